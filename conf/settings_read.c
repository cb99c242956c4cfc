// SPDX-License-Identifier: MIT
// Settings from files and the environment.
#include "conf/settings.h"

#include "core/alloc.h"
#include "core/text.h"

#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

static const char prefix[] = "RDSRV_";

static bool has_prefix(struct rds_view name)
{
	return name.len >= sizeof prefix - 1 &&
	       strncasecmp((const char *)name.data, prefix, sizeof prefix - 2) == 0 &&
	       (name.data[sizeof prefix - 2] == '_' || name.data[sizeof prefix - 2] == '-');
}

// The setting that a name in .env or the environment stands for: RDSRV_NAME for all, a bare
// name where hbbs and hbbr have it. false: not one of ours.
static bool find_shared(struct rds_view name, enum rds_setting *out)
{
	if (has_prefix(name)) {
		struct rds_view rest =
		        rds_view_of(name.data + sizeof prefix - 1, name.len - (sizeof prefix - 1));
		return rds_setting_find(rest, out);
	}
	return rds_setting_find(name, out) && rds_setting_row(*out)->bare_env;
}

struct pair {
	struct rds_view name;
	struct rds_view value;
};

static struct rds_view unquoted(struct rds_view v)
{
	bool quoted = v.len >= 2 && (v.data[0] == '"' || v.data[0] == '\'') &&
	              v.data[v.len - 1] == v.data[0];
	return quoted ? rds_view_of(v.data + 1, v.len - 2) : v;
}

// Splits "name = value". false: there is no '='.
static bool split(struct rds_view line, struct pair *out)
{
	const uint8_t *equals = memchr(line.data, '=', line.len);
	if (equals == NULL)
		return false;
	size_t at = (size_t)(equals - line.data);
	out->name = rds_view_trim(rds_view_of(line.data, at));
	out->value = unquoted(rds_view_trim(rds_view_of(equals + 1, line.len - at - 1)));
	return true;
}

// Compose files pass on variables that nobody set as empty ones. An empty key says something.
static bool is_unset(enum rds_setting setting, enum rds_origin origin)
{
	return setting != RDS_SET_KEY &&
	       (origin == RDS_FROM_ENVIRONMENT || origin == RDS_FROM_DOTENV);
}

static int set_pair(struct rds_settings *settings, enum rds_setting setting,
                    const struct pair *pair, enum rds_origin origin, const char *where,
                    struct rds_error *err)
{
	if (pair->value.len == 0 && is_unset(setting, origin))
		return 0;
	if (pair->value.len > 0 && memchr(pair->value.data, '\0', pair->value.len) != NULL)
		return rds_fail(err, RDS_EINVAL, "%s: a NUL byte in the value", where);
	char *value = rds_strndup(pair->value.data, pair->value.len);
	int rc = rds_settings_set(settings, setting, value, origin, where, err);
	explicit_bzero(value, pair->value.len); // it may be a key
	free(value);
	return rc;
}

static int read_line(struct rds_settings *settings, struct rds_view line, const char *where,
                     enum rds_origin origin, struct rds_error *err)
{
	struct pair pair;
	enum rds_setting setting = RDS_SET_COUNT;
	bool shared = origin == RDS_FROM_DOTENV;
	char shown[80];
	if (!split(line, &pair))
		return shared ? 0
		              : rds_fail(err, RDS_EINVAL, "%s: \"%s\" is not a name = value line",
		                         where, rds_text_escape(line, shown, sizeof shown));
	bool known = shared || has_prefix(pair.name) ? find_shared(pair.name, &setting)
	                                             : rds_setting_find(pair.name, &setting);
	if (known)
		return set_pair(settings, setting, &pair, origin, where, err);
	if (shared && !has_prefix(pair.name))
		return 0;
	return rds_fail(err, RDS_EINVAL,
	                "%s: there is no setting \"%s\"; rdsrv.conf(5) lists them all", where,
	                rds_text_escape(pair.name, shown, sizeof shown));
}

int rds_settings_read(struct rds_settings *settings, struct rds_view contents, const char *path,
                      enum rds_origin origin, struct rds_error *err)
{
	static const char mark[] = "\xef\xbb\xbf"; // that some editors put before UTF-8
	unsigned number = 0;
	if (contents.len >= 3 && memcmp(contents.data, mark, 3) == 0)
		contents = rds_view_of(contents.data + 3, contents.len - 3);
	while (contents.len > 0) {
		const uint8_t *newline = memchr(contents.data, '\n', contents.len);
		size_t len = newline == NULL ? contents.len : (size_t)(newline - contents.data);
		struct rds_view line = rds_view_trim(rds_view_of(contents.data, len));
		number++;
		if (line.len > 0 && line.data[0] != '#' && line.data[0] != ';') {
			char *where = rds_asprintf("%s:%u", path, number);
			int rc = read_line(settings, line, where, origin, err);
			free(where);
			if (rc != 0)
				return rc;
		}
		size_t used = len + (newline != NULL);
		contents = rds_view_of(contents.data + used, contents.len - used);
	}
	return 0;
}

// RUST_LOG sets hbbs's and hbbr's log level; richer forms of it ("info,hyper=warn") are for
// programs that have modules, and leave the level as it is.
static void read_rust_log(struct rds_settings *settings, const char *value)
{
	struct rds_error other_form;
	if (rds_settings_set(settings, RDS_SET_LOG_LEVEL, value, RDS_FROM_ENVIRONMENT, "RUST_LOG",
	                     &other_form) != 0)
		return;
}

static int read_variable(struct rds_settings *settings, const char *variable, struct rds_view name,
                         struct rds_error *err)
{
	enum rds_setting setting = RDS_SET_COUNT;
	if (!find_shared(name, &setting) && !has_prefix(name))
		return 0;
	if (setting != RDS_SET_COUNT && variable[name.len + 1] == '\0' &&
	    is_unset(setting, RDS_FROM_ENVIRONMENT))
		return 0;
	char *where = rds_asprintf("environment variable %.*s", (int)name.len, variable);
	int rc = setting == RDS_SET_COUNT
	                 ? rds_fail(err, RDS_EINVAL, "%s: there is no such setting", where)
	                 : rds_settings_set(settings, setting, variable + name.len + 1,
	                                    RDS_FROM_ENVIRONMENT, where, err);
	free(where);
	return rc;
}

// Those whose names begin with RDSRV_, or the others.
static int read_variables(struct rds_settings *settings, char *const *environment, bool prefixed,
                          struct rds_error *err)
{
	int rc = 0;
	for (; *environment != NULL && rc == 0; environment++) {
		const char *equals = strchr(*environment, '=');
		if (equals == NULL)
			continue;
		struct rds_view name = rds_view_of(*environment, (size_t)(equals - *environment));
		if (has_prefix(name) == prefixed)
			rc = read_variable(settings, *environment, name, err);
		if (!prefixed && rds_view_equal(name, rds_view_text("RUST_LOG")))
			read_rust_log(settings, equals + 1);
	}
	return rc;
}

// Our own names go before the bare ones that others may use too.
int rds_settings_read_environment(struct rds_settings *settings, char *const *environment,
                                  struct rds_error *err)
{
	int rc = read_variables(settings, environment, false, err);
	return rc != 0 ? rc : read_variables(settings, environment, true, err);
}
