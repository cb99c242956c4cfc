// SPDX-License-Identifier: MIT
// The installer's name, from which the client takes its configuration.
#include "conf/form_private.h"

#include "core/alloc.h"

#include <stdlib.h>
#include <strings.h>

#define NAME_MAX_CHARS 255 // of Windows' file systems
#define LICENSED       "rustdesk-licensed-"

// What Windows forbids in names, and the comma, at which the client cuts.
static bool fits(const char *value)
{
	return strpbrk(value, ":/\\?*\"<>|,") == NULL;
}

// As it reads best; NULL: a value can't be part of a name.
static char *plain_name(const struct rds_client_conf *conf)
{
	const char *relay = conf->relay_server;
	const char *api = conf->api_server;
	if (!fits(conf->id_server) || !fits(relay) || !fits(api) || !fits(conf->key))
		return NULL;
	// The last comma guards the key against the " (1)" of a second download.
	return rds_asprintf("rustdesk-host=%s,key=%s%s%s%s%s,.exe", conf->id_server, conf->key,
	                    relay[0] == '\0' ? "" : ",relay=", relay,
	                    api[0] == '\0' ? "" : ",api=", api);
}

static char *licensed_name(const struct rds_client_conf *conf)
{
	char *string = form_config_string(conf);
	char *name = rds_asprintf(LICENSED "%s.exe", string);
	free(string);
	return name;
}

int form_exe_write(const struct rds_client_conf *conf, struct rds_form_options options,
                   struct rds_bytes *out, struct rds_error *err)
{
	(void)options;
	char *name = plain_name(conf);
	if (name == NULL)
		name = licensed_name(conf);
	size_t len = strlen(name);
	int rc = 0;
	if (len > NAME_MAX_CHARS)
		rc = rds_fail(err, RDS_EINVAL,
		              "an installer's name with all that in it would have %zu characters, "
		              "and can have %d: use another form",
		              len, NAME_MAX_CHARS);
	else
		rds_bytes_format(out, "%s\n", name);
	free(name);
	return rc;
}

bool form_exe_looks(struct rds_view text)
{
	text = rds_view_trim(text);
	return text.len > 4 && form_begins(text, "rustdesk-") &&
	       strncasecmp((const char *)text.data + text.len - 4, ".exe", 4) == 0;
}

static void take(struct rds_view part, struct rds_client_conf *out)
{
	static const char *const names[] = {"host=", "relay=", "api=", "key="};
	char **const members[] = {&out->id_server, &out->relay_server, &out->api_server, &out->key};
	for (size_t i = 0; i < 4; i++) {
		size_t len = strlen(names[i]);
		if (part.len >= len && strncasecmp((const char *)part.data, names[i], len) == 0)
			form_set(members[i], rds_view_of(part.data + len, part.len - len));
	}
}

int form_exe_read(struct rds_view text, struct rds_client_conf *out, struct rds_error *err)
{
	text = rds_view_trim(text);
	text.len -= strlen(".exe");
	if (form_begins(text, LICENSED)) {
		struct rds_view string =
		        rds_view_of(text.data + strlen(LICENSED), text.len - strlen(LICENSED));
		string.len = form_find(string, " ("); // of a second download
		return form_string_read(string, out, err);
	}
	struct rds_view rest =
	        rds_view_of(text.data + strlen("rustdesk-"), text.len - strlen("rustdesk-"));
	if (!form_begins(rest, "host="))
		return rds_fail(err, RDS_EPARSE, "an installer's name without a server in it");
	while (rest.len > 0) {
		size_t len = form_find(rest, ",");
		take(rds_view_of(rest.data, len), out);
		len += len < rest.len;
		rest = rds_view_of(rest.data + len, rest.len - len);
	}
	return 0;
}
