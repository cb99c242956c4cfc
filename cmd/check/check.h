// SPDX-License-Identifier: MIT
// rdsrv check: what its parts share. A check has a name, which is in the catalogue and stays the
// same for ever; a script makes one or several checks, in a thread of its own beside the others.
#ifndef RDS_CMD_CHECK_CHECK_H
#define RDS_CMD_CHECK_CHECK_H

#include "cmd/check/site.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

// --- results

enum check_status { CHECK_OK, CHECK_WARN, CHECK_FAIL, CHECK_SKIP };

struct check_result {
	char name[64];
	enum check_status status;
	char detail[640]; // what was seen, one line
	char fix[640];    // what to do, one line; of warnings and failures
	bool answered;    // for --compare: whatever is wrong, no firewall is in between
	uint64_t began_ms;
	unsigned ms;
};

// --- what was asked for

struct check_options {
	bool json;
	bool verbose;
	bool may_register;   // rows may stay behind in a database elsewhere
	unsigned timeout_ms; // of each step
	const char *only;    // names and groups, separated by commas; NULL: all
	const char *skip;
};

struct check {
	struct check_options options;
	struct check_site site; // not changed while scripts run
	pthread_mutex_t lock;   // of what follows
	struct check_result *results;
	size_t n_results;
	size_t cap_results;
};

// Milliseconds of a clock that never goes back.
uint64_t check_now_ms(void);

// Begins a check; the clock runs.
void check_begin(struct check_result *result, const char *name);

// What came of it; the last word counts.
void check_ok(struct check_result *result, const char *fmt, ...)
        __attribute__((format(printf, 2, 3)));
void check_skip(struct check_result *result, const char *fmt, ...)
        __attribute__((format(printf, 2, 3)));
void check_warn(struct check_result *result, const char *fmt, ...)
        __attribute__((format(printf, 2, 3)));
void check_fail(struct check_result *result, const char *fmt, ...)
        __attribute__((format(printf, 2, 3)));

// What to do about it: of every warning and failure.
void check_fix(struct check_result *result, const char *fmt, ...)
        __attribute__((format(printf, 2, 3)));

// Ends it: stops the clock and adds a copy to the results, if it is wanted. From any thread.
void check_end(struct check *check, struct check_result *result);

// In one go, for checks that end as soon as they begin.
void check_skipped(struct check *check, const char *name, const char *why);

// Whether that check was asked for: by its name, its group, or by nothing being said.
bool check_wants(const struct check *check, const char *name);

// --- catalogue.c

enum check_where {
	CHECK_HERE = 1,      // at the server, with its data directory
	CHECK_ELSEWHERE = 2, // against --host
	CHECK_ANYWHERE = 3,
};

struct check_row {
	const char *name; // "listen." stands for all that begin with it
	enum check_where where;
	const char *about; // what it looks at, for --list and the manual
};

extern const struct check_row check_rows[];
extern const size_t check_n_rows;

// The place of a name in the catalogue, which is the order of the report; check_n_rows: it has
// none.
size_t check_place(const char *name);

// The first word of a list for --only or --skip that is neither a name nor a group; NULL: none.
// Fresh memory.
char *check_unknown_word(const char *list);

// --- the scripts, one file a group

void check_files(struct check *check);
void check_keys(struct check *check);
void check_service(struct check *check);
void check_limits(struct check *check);
void check_listen(struct check *check);
void check_firewall(struct check *check);
void check_docker(struct check *check);
void check_tailscale(struct check *check);
void check_names(struct check *check);
void check_peer_udp(struct check *check);
void check_peer_tcp(struct check *check);
void check_peer_websocket(struct check *check);
void check_nat(struct check *check);
void check_relay_tcp(struct check *check);
void check_relay_websocket(struct check *check);
void check_relay_mixed(struct check *check);
void check_relay_key(struct check *check);
void check_web_name(struct check *check);
void check_http(struct check *check);
void check_conf(struct check *check);
void check_clock(struct check *check);

// --- report.c

// Puts the results in the catalogue's order.
void check_sort(struct check *check);

// To stdout, for people or as JSON.
void check_print(const struct check *check, uint64_t took_ms);

// As JSON into a file, with what a comparison needs besides. -RDS_E... with *err.
#define CHECK_REPORT_VERSION 1
int check_report(const struct check *check, const char *path, struct rds_error *err)
        __attribute__((warn_unused_result));

// This host's private addresses, separated by commas; fresh memory.
char *check_addresses(void);

// compare.c: the report of a check at the server. NULL with *err: it can't be read, or is none.
struct check_compared;
struct check_compared *check_compared_open(const char *path, struct rds_error *err);
void check_compared_free(struct check_compared *compared);

// Adds what it says beside our own results, named compare.*.
void check_compare(struct check *check, const struct check_compared *compared);

// explain.c: what a message of a client or server means. Returns the exit code. text: empty or a
// part of the message.
int check_explain(const char *text, bool json);

#endif
