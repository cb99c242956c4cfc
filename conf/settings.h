// SPDX-License-Identifier: MIT
// The settings: one table of them (name, type, default, bounds, help), and the layers that
// values come from. Highest first: command line, --config file, .env, environment,
// /etc/rdsrv/rdsrv.conf, default (protocol.md section 12).
#ifndef RDS_CONF_SETTINGS_H
#define RDS_CONF_SETTINGS_H

#include "conf/values.h"
#include "core/error.h"

#define RDS_SYSTEM_CONFIG "/etc/rdsrv/rdsrv.conf"

enum rds_setting {
	RDS_SET_DATA_DIR,
	RDS_SET_CONFIG,
	RDS_SET_BIND,
	RDS_SET_PORT,
	RDS_SET_NAT_PORT,
	RDS_SET_RELAY_PORT,
	RDS_SET_WEBSOCKET_PORT,
	RDS_SET_RELAY_WEBSOCKET_PORT,
	RDS_SET_KEY,
	RDS_SET_ID_SERVER,
	RDS_SET_RELAY_SERVERS,
	RDS_SET_RELAY_PROBE,
	RDS_SET_API_SERVER,
	RDS_SET_MASK,
	RDS_SET_ALWAYS_USE_RELAY,
	RDS_SET_ENROL,
	RDS_SET_SECURE_TCP,
	RDS_SET_TRUSTED_PROXIES,
	RDS_SET_PROXY_PROTOCOL,
	RDS_SET_LOOPBACK_CONSOLE,
	RDS_SET_LIMIT_REGISTER_MINUTE,
	RDS_SET_LIMIT_IDS_DAY,
	RDS_SET_LIMIT_EXEMPT,
	RDS_SET_DB_URL,
	RDS_SET_LOG_LEVEL,
	RDS_SET_LOG_FORMAT,
	RDS_SET_LOG_FILE,
	RDS_SET_RMEM,
	RDS_SET_RENDEZVOUS_SERVERS,
	RDS_SET_SERIAL,
	RDS_SET_SOFTWARE_URL,
	RDS_SET_LOCAL_IP,
	RDS_SET_RELAY_THREADS,
	RDS_SET_IDLE_TIMEOUT,
	RDS_SET_DRAIN_TIMEOUT,
	RDS_SET_RELAY_ONLY_ISSUED,
	RDS_SET_SINGLE_BANDWIDTH,
	RDS_SET_TOTAL_BANDWIDTH,
	RDS_SET_LIMIT_SPEED,
	RDS_SET_DOWNGRADE_THRESHOLD,
	RDS_SET_DOWNGRADE_START_CHECK,
	RDS_SET_TEST_HBBS,
	RDS_SET_MAX_DATABASE_CONNECTIONS,
	RDS_SET_USER,
	RDS_SET_CONTAINER,
	RDS_SET_COUNT
};

enum rds_setting_type {
	RDS_TYPE_TEXT,
	RDS_TYPE_NUMBER,
	RDS_TYPE_PORT, // 1 to 65535, or "off"; empty: follows another
	RDS_TYPE_SWITCH,
	RDS_TYPE_SWITCH_OR_CIDRS, // on, off, or on for networks
	RDS_TYPE_CHOICE,          // one of the words in `choices`
	RDS_TYPE_BINDS,           // addresses and names of interfaces
	RDS_TYPE_CIDRS,
	RDS_TYPE_PORTS, // a list
	RDS_TYPE_HOSTS,
	RDS_TYPE_RELAYS, // conf/relays.h
	RDS_TYPE_URL,    // http(s)://host, or empty
	RDS_TYPE_SHARE,  // 0.66: a part of one, as a number in thousandths
};

// Who takes a setting on its command line.
#define RDS_FOR_ID     1U
#define RDS_FOR_RELAY  2U
#define RDS_FOR_KEYGEN 4U
#define RDS_FOR_EXPORT 8U
#define RDS_FOR_CTL    16U
#define RDS_FOR_CHECK  32U
#define RDS_FOR_ALL    63U

struct rds_setting_row {
	const char *name;
	char letter; // 0: none
	enum rds_setting_type type;
	unsigned takers;
	const char *initial; // the default's text
	int64_t least, most; // of numbers
	const char *choices; // "a b c"
	const char *value;   // what --help calls the value
	const char *help;
	bool bare_env;         // hbbs or hbbr read it from the environment without RDSRV_
	bool rare;             // in the manual, not in --help
	const char *no_effect; // why setting it does nothing (yet); NULL: it works
};

const struct rds_setting_row *rds_setting_row(enum rds_setting setting);

// By name, case-blind, '-' and '_' alike. false: there is none.
bool rds_setting_find(struct rds_view name, enum rds_setting *out);

// Lowest first.
enum rds_origin {
	RDS_FROM_DEFAULT,
	RDS_FROM_SYSTEM_FILE,
	RDS_FROM_ENVIRONMENT,
	RDS_FROM_DOTENV,
	RDS_FROM_CONFIG_FILE,
	RDS_FROM_COMMAND_LINE,
};

struct rds_settings;

struct rds_settings *rds_settings_new(void);
void rds_settings_free(struct rds_settings *settings);

// Sets a value unless a higher layer has one; where: "hbbs.ini:3", "RDSRV_PORT", "--port".
// -RDS_EINVAL with *err saying where, what, and the accepted form.
int rds_settings_set(struct rds_settings *settings, enum rds_setting setting, const char *value,
                     enum rds_origin origin, const char *where, struct rds_error *err)
        __attribute__((warn_unused_result));

// Reads "name = value" lines (# and ; start comments) of a file's contents. In .env files
// unknown names are somebody else's, unless they begin with RDSRV_; elsewhere they are errors.
int rds_settings_read(struct rds_settings *settings, struct rds_view contents, const char *path,
                      enum rds_origin origin, struct rds_error *err)
        __attribute__((warn_unused_result));

// Reads RDSRV_NAME for every setting, the bare names that hbbs and hbbr know, and RUST_LOG.
int rds_settings_read_environment(struct rds_settings *settings, char *const *environment,
                                  struct rds_error *err) __attribute__((warn_unused_result));

// Takes one value, and where it comes from, over from another set.
void rds_settings_copy(struct rds_settings *to, const struct rds_settings *from,
                       enum rds_setting setting);

// The value as text; never NULL. Borrowed.
const char *rds_settings_text(const struct rds_settings *settings, enum rds_setting setting);

// Numbers; switches as 0 and 1 (1 is on everywhere); the index of a choice.
int64_t rds_settings_number(const struct rds_settings *settings, enum rds_setting setting);

// Whether any layer set it.
bool rds_settings_is_set(const struct rds_settings *settings, enum rds_setting setting);
enum rds_origin rds_settings_origin(const struct rds_settings *settings, enum rds_setting setting);

// Where the value comes from, in words: "default", "--port", "hbbs.ini:3".
const char *rds_settings_where(const struct rds_settings *settings, enum rds_setting setting);

// A port with what it follows worked out, the first of several; 0: off.
uint16_t rds_settings_port(const struct rds_settings *settings, enum rds_setting setting);

// What may be shown of a value: ports worked out, a secret key named but not told.
// Returns out.
const char *rds_settings_shown(const struct rds_settings *settings, enum rds_setting setting,
                               char *out, size_t cap);

#endif
