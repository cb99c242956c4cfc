// SPDX-License-Identifier: MIT
// Every check by name, in the order of the report. Names never change: scripts go by them.
#include "cmd/check/check.h"

#include "conf/values.h"
#include "core/alloc.h"

#include <stdlib.h>
#include <string.h>

const struct check_row check_rows[] = {
        {"files.data-dir", CHECK_HERE,
         "the data directory: there, owner, modes, writable, space, a file system for SQLite"},
        {"files.keys", CHECK_HERE, "the key files: modes 0600 and 0644, owned by the service"},
        {"files.database", CHECK_HERE, "the database: opens, whole, its tables, how many peers"},
        {"files.server-conf", CHECK_HERE, "server.conf: there, and fits the live key"},
        {"keys.pair", CHECK_HERE, "the two halves are a pair, and the one that is in use"},
        {"keys.grace", CHECK_HERE, "retired keys: until when they count, who still uses them"},
        {"keys.same", CHECK_HERE, "ID server and relay enforce the same key"},
        {"service.self", CHECK_HERE, "every role that holds a lock in the data directory answers"},
        {"service.id", CHECK_HERE, "the ID server: running, version, uptime, its unit"},
        {"service.relay", CHECK_HERE, "the relay: running, version, uptime, its unit"},
        {"service.stale", CHECK_HERE, "a lock, socket or port that another process holds"},
        {"service.limits", CHECK_HERE, "file descriptors, against what the load needs"},
        {"listen.", CHECK_HERE, "listen.PORT/PROTO: who listens there, on which addresses"},
        {"firewall", CHECK_HERE, "ufw, firewalld, nftables, iptables: which ports are closed"},
        {"docker", CHECK_HERE, "in a container: do all peers come from one gateway?"},
        {"tailscale", CHECK_HERE, "the tailnet's interface, address and name"},
        {"dns.id", CHECK_ANYWHERE, "the ID server's name: resolves, to what, for whom"},
        {"dns.relay", CHECK_ANYWHERE, "the relays' names: resolve, to what, for whom"},
        {"udp.register", CHECK_ANYWHERE, "a device registers over UDP"},
        {"tcp.secure", CHECK_ANYWHERE, "the secure channel's offer is signed with the key"},
        {"tcp.register", CHECK_ANYWHERE, "a device registers over TCP, on a secure channel"},
        {"ws.register", CHECK_ANYWHERE, "a device registers over WebSocket"},
        {"nat", CHECK_ANYWHERE, "the ports that three NAT tests see"},
        {"online", CHECK_ANYWHERE, "the registered device is told to be online"},
        {"punch", CHECK_ANYWHERE,
         "a second client asks for the device, which is told, answers, "
         "and is vouched for with the key"},
        {"punch.key", CHECK_ANYWHERE, "a client with another key is refused"},
        {"relay.tcp", CHECK_ANYWHERE, "a session through the relay: bytes, latency, rate"},
        {"relay.ws", CHECK_ANYWHERE, "the same, both sides on WebSocket"},
        {"relay.mixed", CHECK_ANYWHERE, "the same, one side on WebSocket"},
        {"relay.key", CHECK_ANYWHERE, "the relay refuses another key"},
        {"relay.name", CHECK_ANYWHERE, "the relay that clients are told pairs them"},
        {"ws.name", CHECK_ANYWHERE, "port 80 or 443, where clients in WebSocket mode come to"},
        {"http.21114", CHECK_ANYWHERE, "the API's port answers or refuses at once"},
        {"conf", CHECK_ANYWHERE, "--conf: host, relay and key against the server"},
        {"clock", CHECK_ANYWHERE, "this machine's clock"},
        {"compare.all", CHECK_ANYWHERE, "--compare: how much is fine at the server and here"},
        {"compare.server", CHECK_ANYWHERE, "what fails at the server itself"},
        {"compare.dns", CHECK_ANYWHERE, "names resolve to the same here and there (split DNS)"},
        {"compare.host", CHECK_ANYWHERE, "nothing is reached: firewall, forwarding, address"},
        {"compare.hairpin", CHECK_ANYWHERE, "the public address, from the server's own network"},
        {"compare.udp", CHECK_ANYWHERE, "UDP is blocked on the way"},
        {"compare.tcp", CHECK_ANYWHERE, "TCP ports that a firewall closes on the way"},
        {"compare.nat", CHECK_ANYWHERE, "ports are rewritten on the way"},
        {"compare.gateway", CHECK_ANYWHERE, "the server sees all peers as one gateway"},
        {"compare.other", CHECK_ANYWHERE, "what else works at the server and not here"},
};
const size_t check_n_rows = sizeof check_rows / sizeof check_rows[0];

static bool row_stands_for(const struct check_row *row, const char *name, size_t len)
{
	size_t row_len = strlen(row->name);
	if (row->name[row_len - 1] == '.')
		return len > row_len && strncmp(row->name, name, row_len) == 0;
	return len == row_len && strncmp(row->name, name, len) == 0;
}

static bool row_is_of_group(const struct check_row *row, const char *group, size_t len)
{
	return strncmp(row->name, group, len) == 0 && row->name[len] == '.';
}

size_t check_place(const char *name)
{
	size_t i = 0;
	while (i < check_n_rows && !row_stands_for(&check_rows[i], name, strlen(name)))
		i++;
	return i;
}

static bool is_known(const char *word)
{
	size_t len = strlen(word);
	for (size_t i = 0; i < check_n_rows; i++)
		if (row_stands_for(&check_rows[i], word, len) ||
		    row_is_of_group(&check_rows[i], word, len))
			return true;
	return false;
}

char *check_unknown_word(const char *list)
{
	struct rds_strings words;
	char *unknown = NULL;
	rds_strings_split(list, &words);
	for (size_t i = 0; i < words.n && unknown == NULL; i++)
		if (!is_known(words.items[i]))
			unknown = rds_strdup(words.items[i]);
	rds_strings_free(&words);
	return unknown;
}

// Whether the list has that name, or its group; or, where name stands for several ("listen."), one
// of them.
static bool list_has(const char *list, const char *name)
{
	struct rds_strings words;
	bool has = false;
	size_t name_len = strlen(name);
	bool is_many = name[name_len - 1] == '.';
	rds_strings_split(list, &words);
	for (size_t i = 0; i < words.n && !has; i++) {
		const char *word = words.items[i];
		size_t len = strlen(word);
		has = strcmp(word, name) == 0 ||
		      (strncmp(word, name, len) == 0 && name[len] == '.') ||
		      (is_many && strncmp(word, name, name_len) == 0);
	}
	rds_strings_free(&words);
	return has;
}

bool check_wants(const struct check *check, const char *name)
{
	const struct check_options *options = &check->options;
	size_t len = strlen(name);
	bool skipped =
	        options->skip != NULL && name[len - 1] != '.' && list_has(options->skip, name);
	// Comparisons are asked for by an option of their own.
	return !skipped && (options->only == NULL || list_has(options->only, name) ||
	                    strncmp(name, "compare.", 8) == 0);
}
