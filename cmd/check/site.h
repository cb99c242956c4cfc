// SPDX-License-Identifier: MIT
// Which server is checked: found out once, before the scripts run, who then only read it.
#ifndef RDS_CMD_CHECK_SITE_H
#define RDS_CMD_CHECK_SITE_H

#include "cmd/known_keys.h"
#include "conf/client_conf.h"
#include "conf/settings.h"
#include "core/error.h"
#include "keys/datadir.h"

#include <cJSON.h>
#include <stdbool.h>
#include <stdint.h>

// A role in the data directory, by its control socket.
enum site_running {
	SITE_NOT_RUNNING, // nobody listens there
	SITE_ANSWERS,
	SITE_SILENT, // somebody listens, but no answer came in time, or one that makes no sense
	SITE_HIDDEN, // it can't be asked: not our socket
};

struct site_role {
	enum site_running running;
	cJSON *status;   // NULL unless it answers
	cJSON *settings; // by name: {"value","from"}; NULL unless it answers
	char why[256];   // it doesn't
};

// Ids for played clients: reserved by our own server, or made up. Row i of a played client i.
#define SITE_IDS 4

struct check_site {
	bool local;       // this host's data directory; else somebody's server, by --host or --conf
	unsigned here_ms; // how long control sockets and the service manager may take

	// Of a local one; NULL and empty otherwise.
	struct rds_settings *settings; // effective: the running ID server's where it answers
	char *data_dir;                // its path, even if it isn't there
	char data_dir_fault[512];      // why there is none to look at; "": there is
	bool hidden;                   // it isn't for this user to look at
	struct rds_datadir *dir;       // NULL: there is none
	struct site_role id;
	struct site_role relay;
	struct rds_known_keys keys; // n = 0: none could be read
	char keys_fault[512];

	// What clients are told, from settings or from --conf; texts are never NULL.
	struct rds_client_conf told;
	bool has_conf; // --conf was given: `given` is what it holds
	struct rds_client_conf given;

	// Where the played clients go. Hosts are names or addresses, without brackets.
	char id_host[256];
	uint16_t id_port;        // UDP and TCP
	uint16_t nat_port;       // 0: off
	uint16_t websocket_port; // 0: off
	char relay_host[256];
	uint16_t relay_port;           // 0: there is no relay to be tried
	uint16_t relay_websocket_port; // 0: off
	uint16_t api_port;             // 21114, or the ID server's port - 2
	char key[256];                 // what clients show; "": none is known
	bool is_ours;                  // known to be rdsrv (its control socket answered)

	char ids[SITE_IDS][64];
	bool reserved; // by our own server: they leave no trace
};

// Reads the data directory's server (dir_settings: from the command line; taken). Never fails: what
// is wrong is in *site for the checks to tell.
void check_site_here(struct check_site *site, struct rds_settings *settings, unsigned here_ms);

// Another server: host ("name", "name:port") and key may be NULL, where conf_text (a file's name or
// a config string) has them. -RDS_EINVAL and the like with *err.
int check_site_elsewhere(struct check_site *site, const char *host, const char *key,
                         const char *conf_text, struct rds_error *err)
        __attribute__((warn_unused_result));

// Reads a client's configuration from a file, or from the text of a config string itself.
int check_conf_read(const char *file_or_text, struct rds_client_conf *out, struct rds_error *err)
        __attribute__((warn_unused_result));

// Has the running ID server reserve ids for the played clients, or makes ids up.
void check_site_reserve(struct check_site *site);

// Whether this is a relay's host: one runs here, and no ID server ever did.
bool check_site_is_relay_only(const struct check_site *site);

// Whether its roles can't be asked by this user: neither their ports nor their key are sure then.
bool check_site_is_hidden(const struct check_site *site);

// Gives reserved ids back, and frees all.
void check_site_clear(struct check_site *site);

#endif
