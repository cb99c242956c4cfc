// SPDX-License-Identifier: MIT
// Shared by the role*.c files and nobody else.
#ifndef RDS_CMD_ROLE_PRIVATE_H
#define RDS_CMD_ROLE_PRIVATE_H

#include "cmd/role.h"
#include "conf/client_conf.h"
#include "conf/relays.h"
#include "core/issued.h"
#include "core/key_choice.h"
#include "core/limits.h"
#include "core/log.h"
#include "core/text.h"
#include "keys/key_use.h"
#include "keys/keypair.h"
#include "keys/secure_channel.h"
#include "net/address_watch.h"
#include "net/control.h"
#include "net/id_service.h"
#include "net/listen.h"
#include "net/relay.h"
#include "net/relay_probe.h"
#include "net/resolve.h"

#include <stdio.h>

#define ROLE_STATUS_TEXT 256

// A control socket and which role it speaks for.
struct role_control {
	struct role *role;
	const char *name; // "id", "relay"
	int lock_fd;
	struct rds_control *control;
};

// A command of a console: prints its answer to out.
struct role_console_command {
	const char *name;
	const char *shortly;
	const char *arguments; // for h
	void (*run)(struct role *role, char *words, FILE *out);
};

struct role_console {
	struct role *role;
	const struct role_console_command *commands;
	size_t n_commands;
	struct rds_lines *lines; // NULL: there is none
};

typedef void (*role_fd_fn)(struct role *role, int fd);

// A port on which a role listens, on every address of `bind`.
struct role_door {
	const char *role;
	enum rds_proto proto;
	uint16_t port;
	role_fd_fn add; // takes the socket
	role_fd_fn remove;
};

#define ROLE_DOORS 32

// A socket at an interface's address, which may go.
struct role_open {
	const struct role_door *door;
	struct rds_ip ip;
	int fd;
};

struct role {
	const struct rds_role_kind *kind;
	int argc;
	char **argv;
	struct rds_settings *settings;
	struct rds_datadir *dir;
	const char *dir_why;
	struct rds_loop *loop;
	struct rds_signal *signals[3];
	struct rds_seed seed;
	struct rds_strings bind_items;
	struct rds_binds binds;
	struct role_door doors[ROLE_DOORS];
	size_t n_doors;
	struct role_open *opens;
	size_t n_opens;
	struct rds_address_watch *addresses; // NULL: no interface is named
	struct rds_timer *listen_again;      // set while a socket could not be opened
	char *awaited;                       // interfaces without an address: "a, b", or ""
	struct role_control controls[2];
	struct role_console id_console;
	struct role_console relay_console;
	uint64_t started_ms;
	struct rds_error handed_over; // what is wrong with a socket from the service manager
	struct rds_timer *service;    // tells the service manager how we are
	bool stopping;                // it has been told so
	char service_status[ROLE_STATUS_TEXT]; // what it heard last

	struct rds_keypair *given_pair; // by a container's secrets; NULL: none
	struct rds_key_policy *key;
	struct rds_log_limit key_refusals;
	struct rds_key_use *key_use;
	struct rds_timer *key_timer; // looks at the key files
	uint64_t key_use_saved_ms;
	uint64_t key_complaint_ms; // when a reload failed; 0: the last one didn't

	// ID server
	struct rds_offerer *offerer; // of the secure channel; NULL: none is offered
	struct rds_key_choice *key_choice;
	uint32_t offered[RDS_OFFERED_KEYS]; // with which keys offers are signed, the current one
	                                    // first
	size_t n_offered;
	struct rds_id_service *id;
	struct rds_relays relays; // as they are handed out
	struct rds_strings server_names;
	struct rds_view *server_views;
	struct rds_cidrs trusted;
	struct rds_ports header_ports;
	struct rds_cidrs lan;
	struct rds_switch always_use_relay; // as it holds now
	struct rds_cidrs exempt;
	struct rds_resolver *resolver;
	struct rds_relay_probe *probe;

	// relay
	struct rds_relay *relay;
	struct rds_issued *issued; // what the ID server passed on; NULL: whoever meets is paired
	struct rds_cidrs blocked;
	struct rds_cidrs slow;
	struct rds_timer *drain_timer; // set while it drains
	uint64_t drain_until_ms;
};

// role_id.c
int role_id_start(struct role *role, struct rds_error *err);
void role_id_stop(struct role *role);

// role_relays.c
// Sets the relays that are handed out, from the text of relay-servers.
int role_read_relays(struct role *role, const char *text, struct rds_error *err);
// Looks them up and probes them from now on.
int role_relays_start(struct role *role, struct rds_error *err);
// As often as relay-probe says.
void role_probe_relays(struct role *role);
void role_relays_stop(struct role *role);
// The same for always-use-relay.
int role_read_always_use_relay(struct role *role, const char *text, struct rds_error *err);
// Sets one of the two until the next start, because `by` says so, and logs it.
int role_set(struct role *role, enum rds_setting setting, const char *text, const char *by,
             struct rds_error *err);

// role_relay.c
int role_relay_start(struct role *role, struct rds_error *err);
void role_relay_stop(struct role *role);
// Puts the limits that are set into force.
void role_set_limits(struct role *role);
// Sets one of them until the next start, because `by` says so. -RDS_EINVAL.
int role_set_limit(struct role *role, enum rds_setting setting, const char *value, const char *by,
                   struct rds_error *err);
// Takes no new sessions and stops the process when the running ones have ended, or after
// timeout_sec (below 0: no deadline). false: there is no relay, or it drains already.
bool role_drain(struct role *role, int64_t timeout_sec);

// role_lists.c: hbbr's names for whom the relay refuses, and whom it slows down.
#define RDS_BLOCK_FILE "blocklist.txt"
#define RDS_SLOW_FILE  "blacklist.txt"
// Reads both anew. -RDS_EINVAL and the like: nothing has changed.
int role_read_lists(struct role *role, struct rds_error *err);
// Adds an address or network to a file, and takes it over; one that it has already is no error.
int role_list_add(struct role *role, const char *file, const char *net, struct rds_error *err);
// Takes an address or network out of a file, or of both (NULL). -RDS_ENOENT: it isn't there.
int role_list_remove(struct role *role, const char *file, const char *net, struct rds_error *err);

// role_key.c: the key, and what net and core see of it.
int role_key_open(struct role *role, struct rds_error *err);
void role_key_close(struct role *role);
// Looks at the key files once a second from now on, and follows what changes there.
void role_key_watch(struct role *role);
// Takes over what has changed in the key files. A failure, with *err: the old keys go on;
// -RDS_EBUSY: another process is at work on them.
int role_key_follow(struct role *role, struct rds_error *err);
// Writes down which keys are in use.
void role_key_use_save(struct role *role);
// Whether a secret key among the settings is a whole pair. -RDS_EINVAL.
int role_key_check(const struct role *role, struct rds_error *err);
struct rds_key_hooks role_key_hooks(struct role *role);
void role_key_log(const struct role *role);
// Starts offering the secure channel if settings and key allow it; NULL: they don't.
const struct rds_secure_hooks *role_secure_open(struct role *role, struct rds_secure_hooks *hooks);

// role_listen.c: works out what `bind` stands for.
int role_binds_open(struct role *role, struct rds_error *err);
// Listens on every address of it; port 0: nowhere. The door is copied.
int role_listen(struct role *role, const struct role_door *wanted, struct rds_error *err);
// Hands every TCP socket to `add` that the service manager has given this name.
void role_listen_named(struct role *role, const char *name, const char *socket, role_fd_fn add);
// From now on the addresses of named interfaces are followed.
int role_binds_follow(struct role *role, struct rds_error *err);
void role_binds_close(struct role *role);

// role_proxies.c: which proxies both roles believe.
int role_read_proxies(struct role *role, struct rds_error *err);
struct rds_proxies role_proxies(const struct role *role);

// role_service.c: what the service manager is told, where there is one.
// All is open: from now on it hears how we are.
void role_service_ready(struct role *role);
void role_service_reloading(void);
void role_service_reloaded(const struct role *role);
// We were told to end, which may take a while.
// What we do may have changed.
void role_service_tell(struct role *role);
void role_service_stopping(struct role *role);
void role_service_close(struct role *role);

struct cJSON;

// role_reload.c. -RDS_EINVAL with *err: nothing has changed.
int role_reload(struct role *role, struct rds_error *err);

// A command on a role's control socket: run answers it.
struct role_command {
	const char *name;
	struct cJSON *(*run)(struct role *role, const char *words);
	enum { ROLE_NO_WORD, ROLE_MAY_WORD, ROLE_NEEDS_WORD } takes;
};
// NULL: none of them has that name.
struct cJSON *role_command_run(const struct role_command *commands, size_t n, struct role *role,
                               const char *command, const char *words);

// role_control_id.c: answers the ID server's own commands; NULL: there is no such command.
// role_console.c: opens a console on the port of that setting, if there is to be one. NULL: none.
struct rds_lines *role_console_open(struct role *role, struct role_console *console,
                                    enum rds_setting port,
                                    const struct role_console_command *commands, size_t n);
// Takes the first word off; "" where there is none.
const char *role_console_word(char **words);

// role_console_id.c, role_console_relay.c: what hbbs and hbbr know.
#define ROLE_CONSOLE_ID    7
#define ROLE_CONSOLE_RELAY 12
extern const struct role_console_command role_console_id[ROLE_CONSOLE_ID];
extern const struct role_console_command role_console_relay[ROLE_CONSOLE_RELAY];

// role_control_id.c: a time of the loop's clock as a wall clock shows it; "" for 0. Returns out.
const char *role_time(const struct role *role, uint64_t ms, char out[RDS_TIME_TEXT]);

// Answers the ID server's own commands; NULL: there is no such command.
struct cJSON;
struct cJSON *role_control_id(struct role *role, const char *command, const char *words);

// role_control_check.c: commands of rdsrv check.
struct cJSON *role_check_reserve(struct role *role, const char *words);
struct cJSON *role_check_release(struct role *role, const char *words);
struct cJSON *role_check_issue(struct role *role, const char *words);

// Its commands; NULL: no more.
const char *role_control_id_word(size_t i);
// role_control_relay.c: the same of the relay.
const char *role_control_relay_word(size_t i);
struct cJSON *role_control_relay(struct role *role, const char *command, const char *words);

// role_control.c
int role_lock(struct role *role, struct rds_error *err);
int role_control_open(struct role *role, struct rds_error *err);
void role_control_close(struct role *role);
void role_unlock(struct role *role);

// role_conf.c: the data directory's server.conf, written where there is none. wait: as
// rds_datadir_begin.
void role_write_server_conf(struct role *role, bool wait);

#endif
