// SPDX-License-Identifier: MIT
// ws.name and http.21114: ports that the client finds by itself (protocol.md sections 1 and 2).
#include "cmd/check/play.h"

#include "conf/values.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

// --- ws.name

// The first ID server by name; false: there is none, or it is an address.
static bool name_of(const struct check *check, struct rds_host_port *out)
{
	struct rds_ip ip;
	struct rds_strings hosts;
	const char *told = check->site.told.id_server;
	rds_strings_split(told != NULL && told[0] != '\0' ? told : check->site.id_host, &hosts);
	bool is_name = hosts.n > 0 && rds_value_host(hosts.items[0], out) == 0 &&
	               rds_ip_parse(out->host, &ip) != 0;
	rds_strings_free(&hosts);
	return is_name;
}

static bool has_https(const struct check *check)
{
	const char *api = check->site.told.api_server;
	return api != NULL && strncasecmp(api, "https", 5) == 0;
}

// With https clients speak TLS, which isn't played: whether anything listens there has to do.
static void try_443(struct check *check, struct check_result *result, struct talks *talks,
                    const char *name)
{
	struct talk *talk = talk_open(talks, TALK_TCP, name, 443);
	if (talk_ended(talk) == TALK_OPEN) {
		check_ok(result,
		         "%s answers; TLS and the paths /ws/id and /ws/relay behind it are "
		         "not looked at",
		         talk_name(talk));
		return;
	}
	(void)check;
	check_warn(result,
	           "clients in WebSocket mode come to wss://%s/ws/id, where nothing "
	           "answers: %s",
	           name, talk_why(talk));
	check_fix(result, "have a reverse proxy pass /ws/id and /ws/relay on 443 to the server's "
	                  "WebSocket ports");
}

static void try_80(struct check *check, struct check_result *result, struct talks *talks,
                   const char *name)
{
	static const char *const paths[] = {"/ws/id", "/ws/relay"};
	for (size_t i = 0; i < 2; i++) {
		struct talk *talk = talk_open_path(talks, name, 80, paths[i]);
		if (talk_ended(talk) == TALK_OPEN)
			continue;
		check_warn(result,
		           "clients in WebSocket mode come to ws://%s%s, where no server "
		           "answers: %s",
		           name, paths[i], talk_why(talk));
		check_fix(result, check->site.local
		                          ? "have a reverse proxy pass /ws/id and /ws/relay on 80 "
		                            "to the WebSocket ports, or let rdsrv serve have port "
		                            "80: as a service by rdsrv.socket (rdsrv-serve(1)), "
		                            "else by websocket-port = 21118,80"
		                          : "have a reverse proxy there pass /ws/id and /ws/relay "
		                            "on 80 to the server's WebSocket ports");
		return;
	}
	check_ok(result, "ws://%s/ws/id and /ws/relay answer", name);
}

void check_web_name(struct check *check)
{
	struct check_result result;
	struct rds_host_port name;
	check_begin(&result, "ws.name");
	if (!name_of(check, &name)) {
		check_skip(&result,
		           "clients know the server by its address: in WebSocket mode they "
		           "come to the WebSocket ports");
	} else {
		struct talks *talks = talks_new(check);
		if (has_https(check))
			try_443(check, &result, talks, name.host);
		else
			try_80(check, &result, talks, name.host);
		talks_free(talks);
	}
	check_end(check, &result);
}

// --- http.21114

void check_http(struct check *check)
{
	struct check_result result;
	struct talks *talks = talks_new(check);
	uint16_t port = check->site.api_port;
	check_begin(&result, "http.21114");
	struct talk *talk = talk_open(talks, TALK_TCP, check->site.id_host, port);
	switch (talk_ended(talk)) {
	case TALK_OPEN:
		check_ok(&result, "%s answers", talk_name(talk));
		break;
	case TALK_TIMED_OUT:
		check_warn(&result,
		           "%s drops connections: clients wait for it and show \"not "
		           "ready\"",
		           talk_name(talk));
		check_fix(&result,
		          "have the firewall reject TCP %u instead of dropping it: "
		          "`ufw reject %u/tcp`",
		          port, port);
		break;
	case TALK_UNRESOLVED:
		check_skip(&result, "%s", talk_why(talk));
		break;
	case TALK_UNREACHED:
	case TALK_CLOSED:
	case TALK_NONSENSE:
		check_ok(&result, "no API there, and clients are told so at once");
		break;
	}
	check_end(check, &result);
	talks_free(talks);
}
