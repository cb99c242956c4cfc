// SPDX-License-Identifier: MIT
#include "conf/client_conf.h"

#include "conf/values.h"
#include "core/alloc.h"
#include "core/base64.h"
#include "core/text.h"

#include <stdlib.h>
#include <string.h>

#define KEY_MAX_BYTES 255 // as the setting has it

void rds_client_conf_clear(struct rds_client_conf *conf)
{
	free(conf->id_server);
	free(conf->relay_server);
	free(conf->api_server);
	free(conf->key);
	*conf = (struct rds_client_conf){0};
}

static char *first_of(const char *list)
{
	struct rds_strings hosts;
	rds_strings_split(list, &hosts);
	char *first = rds_strdup(hosts.n > 0 ? hosts.items[0] : "");
	rds_strings_free(&hosts);
	return first;
}

struct rds_client_conf rds_client_conf_first(const struct rds_client_conf *conf)
{
	return (struct rds_client_conf){.id_server = first_of(conf->id_server),
	                                .relay_server = first_of(conf->relay_server),
	                                .api_server = rds_strdup(conf->api_server),
	                                .key = rds_strdup(conf->key)};
}

static bool is_plain(struct rds_view v)
{
	while (v.len > 0) {
		uint32_t c = 0;
		size_t n = rds_utf8_next(v, &c);
		if (n == 0 || rds_char_is_unsafe(c))
			return false;
		v.data += n;
		v.len -= n;
	}
	return true;
}

static int check_key(const char *key, struct rds_error *err)
{
	size_t len = strlen(key);
	if (rds_text_may_be_secret(key, len))
		return rds_fail(err, RDS_EINVAL,
		                "the key looks like a secret key, which clients must never have");
	if (len > KEY_MAX_BYTES || !is_plain(rds_view_text(key)) ||
	    rds_view_trim(rds_view_text(key)).len != len)
		return rds_fail(err, RDS_EINVAL,
		                "the key is not one line of plain text of at most %d bytes",
		                KEY_MAX_BYTES);
	return 0;
}

static int check_hosts(const char *what, const char *list, struct rds_error *err)
{
	struct rds_error form = {""};
	if (rds_value_hosts(list, &form) != 0)
		return rds_fail(err, RDS_EINVAL, "%s: expected %s", what, form.text);
	return 0;
}

int rds_client_conf_check(const struct rds_client_conf *conf, struct rds_error *err)
{
	if (strspn(conf->id_server, ", ") == strlen(conf->id_server))
		return rds_fail(err, RDS_EINVAL, "no ID server is named");
	if (check_hosts("the ID server", conf->id_server, err) != 0 ||
	    check_hosts("the relay", conf->relay_server, err) != 0)
		return -RDS_EINVAL;
	if (conf->api_server[0] != '\0' && rds_value_url(conf->api_server) != 0)
		return rds_fail(err, RDS_EINVAL,
		                "the API server: expected a URL such as "
		                "https://id.example.com");
	return check_key(conf->key, err);
}
