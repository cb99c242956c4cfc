// SPDX-License-Identifier: MIT
#include "cmd/client_hosts.h"

#include "conf/relays.h"
#include "core/alloc.h"

#include <stdlib.h>

#define DEFAULT_PORT       21116
#define DEFAULT_RELAY_PORT 21117

// Appends one host to a comma-separated list, with the port where it has none of its own and
// the server's isn't the default.
static char *append_host(char *list, const char *item, int64_t port, int64_t usual)
{
	struct rds_host_port host;
	bool has_port = rds_value_host(item, &host) == 0 && host.port != 0;
	char *longer = has_port || port == usual
	                       ? rds_asprintf("%s%s%s", list, list[0] == '\0' ? "" : ",", item)
	                       : rds_asprintf("%s%s%s:%lld", list, list[0] == '\0' ? "" : ",", item,
	                                      (long long)port);
	free(list);
	return longer;
}

static char *host_list(const char *text, int64_t port)
{
	struct rds_strings items;
	char *list = rds_strdup("");
	rds_strings_split(text, &items);
	for (size_t i = 0; i < items.n; i++)
		list = append_host(list, items.items[i], port, DEFAULT_PORT);
	rds_strings_free(&items);
	return list;
}

// The names for everybody; those by network are for the ID server to tell.
static char *relay_list(const char *text)
{
	struct rds_relays relays;
	struct rds_error err;
	char *list = rds_strdup("");
	if (rds_relays_parse(text, &relays, &err) != 0)
		return list; // checked when it was set
	for (size_t i = 0; i < relays.n; i++) {
		char *name = rds_strndup(relays.items[i].name.data, relays.items[i].name.len);
		list = append_host(list, name, 0, 0);
		free(name);
	}
	rds_relays_free(&relays);
	return list;
}

// Clients that are told no relay look for it beside the ID server, at the next port: where it has
// another, they are told.
static char *relay_beside(const struct rds_settings *settings)
{
	int64_t port = rds_settings_port(settings, RDS_SET_RELAY_PORT);
	struct rds_strings hosts;
	struct rds_host_port host;
	char *list = rds_strdup("");
	if (port == 0 || port == rds_settings_number(settings, RDS_SET_PORT) + 1)
		return list;
	rds_strings_split(rds_settings_text(settings, RDS_SET_ID_SERVER), &hosts);
	for (size_t i = 0; i < hosts.n; i++) {
		if (rds_value_host(hosts.items[i], &host) != 0)
			continue; // checked when it was set
		bool is_ipv6 = strchr(host.host, ':') != NULL;
		char *name = rds_asprintf(is_ipv6 ? "[%s]" : "%s", host.host);
		list = append_host(list, name, port, DEFAULT_RELAY_PORT);
		free(name);
	}
	rds_strings_free(&hosts);
	return list;
}

void rds_client_hosts(const struct rds_settings *settings, const char *key,
                      struct rds_client_conf *out)
{
	const char *relays = rds_settings_text(settings, RDS_SET_RELAY_SERVERS);
	*out = (struct rds_client_conf){
	        .id_server = host_list(rds_settings_text(settings, RDS_SET_ID_SERVER),
	                               rds_settings_number(settings, RDS_SET_PORT)),
	        .relay_server = relays[0] != '\0' ? relay_list(relays) : relay_beside(settings),
	        .api_server = rds_strdup(rds_settings_text(settings, RDS_SET_API_SERVER)),
	        .key = rds_strdup(key == NULL ? "" : key),
	};
}
