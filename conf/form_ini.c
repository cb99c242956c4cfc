// SPDX-License-Identifier: MIT
// server.conf: INI, as the provisioning bundle takes it, with several hosts in order.
#include "conf/form_private.h"

#include <strings.h>

static const char *const guess[] = {
        "# id_server is this machine's own name: change it to the name or address by which",
        "# clients reach this server, here and with --id-server.",
};

int form_ini_write(const struct rds_client_conf *conf, struct rds_form_options options,
                   struct rds_bytes *out, struct rds_error *err)
{
	(void)err;
	const char *end = options.crlf ? "\r\n" : "\n";
	for (size_t i = 0; options.guessed && i < sizeof guess / sizeof guess[0]; i++)
		rds_bytes_format(out, "%s%s", guess[i], end);
	rds_bytes_format(out, "[server]%sid_server=%s%srelay_server=%s%skey=%s%s", end,
	                 conf->id_server, end, conf->relay_server, end, conf->key, end);
	return 0;
}

bool form_ini_looks(struct rds_view text)
{
	struct rds_view line;
	while (form_next_line(&text, &line))
		if (rds_view_equal(line, rds_view_text("[server]")))
			return true;
	return false;
}

static bool is(struct rds_view name, const char *wanted)
{
	return name.len == strlen(wanted) &&
	       strncasecmp((const char *)name.data, wanted, name.len) == 0;
}

static void take(struct rds_view line, struct rds_client_conf *out)
{
	size_t at = form_find(line, "=");
	struct rds_view name = rds_view_trim(rds_view_of(line.data, at));
	if (at == line.len)
		return;
	char **member = is(name, "id_server")      ? &out->id_server
	                : is(name, "relay_server") ? &out->relay_server
	                : is(name, "key")          ? &out->key
	                                           : NULL;
	if (member != NULL)
		form_set(member, rds_view_trim(rds_view_of(line.data + at + 1, line.len - at - 1)));
}

int form_ini_read(struct rds_view text, struct rds_client_conf *out, struct rds_error *err)
{
	struct rds_view line;
	bool inside = false;
	bool found = false;
	while (form_next_line(&text, &line)) {
		if (form_begins(line, "["))
			inside = rds_view_equal(line, rds_view_text("[server]"));
		else if (inside && !form_begins(line, "#") && !form_begins(line, ";"))
			take(line, out);
		found = found || inside;
	}
	return found ? 0 : rds_fail(err, RDS_EPARSE, "there is no section [server] in it");
}
