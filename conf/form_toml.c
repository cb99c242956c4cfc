// SPDX-License-Identifier: MIT
// RustDesk2.toml, as the stock client has it: written, read, and our values merged into one.
#include "conf/form_private.h"

#include "conf/toml.h"
#include "conf/values.h"
#include "core/alloc.h"

#include <stdlib.h>

#define DEFAULT_PORT 21116

// The first is a cache of the client's at the top of the file; the others, in [options], decide.
enum entry { CACHE, HOST, RELAY, API, KEY, ENTRIES };
static const char *const names[ENTRIES] = {"rendezvous_server", "custom-rendezvous-server",
                                           "relay-server", "api-server", "key"};

#define OPTIONS "[options]"

// A value as TOML has it, as fresh memory. It holds no control characters.
static char *quoted(const char *text)
{
	if (strchr(text, '\'') == NULL)
		return rds_asprintf("'%s'", text);
	struct rds_bytes out = {0};
	rds_bytes_text(&out, "\"");
	for (; *text != '\0'; text++)
		rds_bytes_format(&out, "%s%c", strchr("\"\\", *text) != NULL ? "\\" : "", *text);
	rds_bytes_text(&out, "\"");
	char *line = rds_strndup(out.data, out.len);
	rds_bytes_clear(&out);
	return line;
}

static char *with_port(const char *host)
{
	struct rds_host_port parts;
	bool has_port = rds_value_host(host, &parts) == 0 && parts.port != 0;
	return has_port ? rds_strdup(host) : rds_asprintf("%s:%d", host, DEFAULT_PORT);
}

static void fill(const struct rds_client_conf *conf, char *values[ENTRIES])
{
	char *cache = with_port(conf->id_server);
	values[CACHE] = quoted(cache);
	free(cache);
	values[HOST] = quoted(conf->id_server);
	values[RELAY] = quoted(conf->relay_server);
	values[API] = quoted(conf->api_server);
	values[KEY] = quoted(conf->key);
}

static void add_entry(struct rds_bytes *out, int i, char *const values[ENTRIES], const char *end)
{
	rds_bytes_format(out, "%s = %s%s", names[i], values[i], end);
}

int form_toml_write(const struct rds_client_conf *conf, struct rds_form_options options,
                    struct rds_bytes *out, struct rds_error *err)
{
	(void)options;
	return rds_form_merge(rds_view_of(NULL, 0), conf, out, err);
}

bool form_toml_looks(struct rds_view text)
{
	struct rds_view line;
	while (form_next_line(&text, &line))
		if (form_begins(line, names[CACHE]) || form_begins(line, "options") ||
		    (form_begins(line, "[") && form_find(line, "options") < line.len))
			return true;
	return false;
}

// --- what is there

// Where things are in a file.
struct map {
	struct rds_view values[ENTRIES]; // of no bytes where there is none
	bool in_options;                 // while it is made: where we are
	bool at_top;
	bool has_options;
	size_t options_end; // behind [options]'s last statement
};

// Whether a name is `owner` itself, or something inside it.
static bool is_within(const char *name, const char *owner)
{
	size_t len = strlen(owner);
	return strncmp(name, owner, len) == 0 && (name[len] == '\0' || name[len] == '.');
}

static int fail(size_t line, const char *name, const char *what, struct rds_error *err)
{
	return rds_fail(err, RDS_EPARSE, "line %zu: %s %s", line, name, what);
}

// One of ours, if it is: its place goes to the map.
static int map_value(struct map *map, const struct rds_toml_statement *one, struct rds_error *err)
{
	if (map->at_top && is_within(one->name, "options"))
		return fail(one->line, one->name, "stands outside of a table " OPTIONS, err);
	for (int i = 0; i < ENTRIES; i++) {
		if (!(i == CACHE ? map->at_top : map->in_options) ||
		    !is_within(one->name, names[i]))
			continue;
		if (strcmp(one->name, names[i]) != 0)
			return fail(one->line, names[i], "should be a text, not a table", err);
		if (map->values[i].len != 0)
			return fail(one->line, names[i], "is there twice", err);
		map->values[i] = one->value;
	}
	if (map->in_options)
		map->options_end = one->end;
	return 0;
}

static int map_table(struct map *map, const struct rds_toml_statement *one, struct rds_error *err)
{
	map->at_top = false;
	map->in_options = strcmp(one->name, "options") == 0;
	if (map->in_options && (map->has_options || one->kind == RDS_TOML_ARRAY_TABLE))
		return fail(one->line, OPTIONS, "is there twice", err);
	if (map->in_options) {
		map->has_options = true;
		map->options_end = one->end;
	}
	for (int i = HOST; is_within(one->name, "options") && !map->in_options && i < ENTRIES; i++)
		if (is_within(one->name + strlen("options."), names[i]))
			return fail(one->line, names[i], "should be a text, not a table", err);
	return 0;
}

static int make_map(struct rds_view text, struct map *map, struct rds_error *err)
{
	struct rds_toml toml = {.text = text};
	struct rds_toml_statement one;
	int rc = 0;
	*map = (struct map){.at_top = true};
	while (rc == 0 && (rc = rds_toml_next(&toml, &one, err)) == 1) {
		rc = one.kind == RDS_TOML_VALUE ? map_value(map, &one, err)
		                                : map_table(map, &one, err);
		free(one.name);
	}
	return rc;
}

static int read_string(struct rds_view value, const char *name, char **member,
                       struct rds_error *err)
{
	if (value.len == 0)
		return 0;
	char *text = rds_toml_string(value);
	if (text == NULL)
		return rds_fail(err, RDS_EPARSE, "%s is no text in quotes", name);
	free(*member);
	*member = text;
	return 0;
}

int form_toml_read(struct rds_view text, struct rds_client_conf *out, struct rds_error *err)
{
	struct map map;
	char **const members[ENTRIES] = {NULL, &out->id_server, &out->relay_server,
	                                 &out->api_server, &out->key};
	int rc = make_map(text, &map, err);
	for (int i = HOST; rc == 0 && i < ENTRIES; i++)
		rc = read_string(map.values[i], names[i], members[i], err);
	if (rc == 0 && map.values[HOST].len == 0 && map.values[KEY].len == 0)
		rc = rds_fail(err, RDS_EPARSE, "there is no server in its " OPTIONS);
	return rc;
}

// --- ours into it

static void copy_until(struct rds_bytes *out, struct rds_view old, size_t *at, size_t until)
{
	rds_bytes_add(out, old.data + *at, until - *at);
	*at = until;
}

// Begins a new line, unless one has just begun.
static void end_line(struct rds_bytes *out, const char *end)
{
	if (out->len > 0 && out->data[out->len - 1] != '\n')
		rds_bytes_text(out, end);
}

// What isn't there yet, behind what is in [options].
static void add_missing(struct rds_bytes *out, const struct map *map, char *const values[ENTRIES],
                        const char *end)
{
	for (int i = HOST; i < ENTRIES; i++) {
		if (map->values[i].len != 0)
			continue;
		end_line(out, end);
		add_entry(out, i, values, end);
	}
}

// The first of our values that stands in the file from there on; ENTRIES: none.
static int next_value(const struct map *map, const uint8_t *from)
{
	int next = ENTRIES;
	for (int i = 0; i < ENTRIES; i++)
		if (map->values[i].len != 0 && map->values[i].data >= from &&
		    (next == ENTRIES || map->values[i].data < map->values[next].data))
			next = i;
	return next;
}

// Copies up to a place, with our values instead of those that are there.
static void replace_until(struct rds_bytes *out, struct rds_view old, size_t *at, size_t until,
                          const struct map *map, char *const values[ENTRIES])
{
	for (;;) {
		int i = next_value(map, old.data + *at);
		if (i == ENTRIES || map->values[i].data >= old.data + until)
			break;
		copy_until(out, old, at, (size_t)(map->values[i].data - old.data));
		rds_bytes_text(out, values[i]);
		*at += map->values[i].len;
	}
	copy_until(out, old, at, until);
}

static void merge(struct rds_view old, const struct map *map, char *const values[ENTRIES],
                  const char *end, struct rds_bytes *out)
{
	size_t at = 0;
	if (map->values[CACHE].len == 0)
		add_entry(out, CACHE, values, end);
	replace_until(out, old, &at, map->has_options ? map->options_end : old.len, map, values);
	if (!map->has_options) {
		end_line(out, end);
		rds_bytes_format(out, "%s" OPTIONS "%s", end, end);
	}
	add_missing(out, map, values, end);
	replace_until(out, old, &at, old.len, map, values);
}

int rds_form_merge(struct rds_view old, const struct rds_client_conf *conf, struct rds_bytes *out,
                   struct rds_error *err)
{
	struct map map;
	char *values[ENTRIES];
	size_t mark = form_begins(old, FORM_UTF8_MARK) ? strlen(FORM_UTF8_MARK) : 0;
	rds_bytes_add(out, old.data, mark);
	old = old.len == mark ? rds_view_text("") : rds_view_of(old.data + mark, old.len - mark);
	int rc = rds_client_conf_check(conf, err);
	if (rc == 0)
		rc = make_map(old, &map, err);
	if (rc != 0)
		return rc;
	struct rds_client_conf first = rds_client_conf_first(conf);
	fill(&first, values);
	size_t line_end = form_find(old, "\n");
	bool crlf = line_end < old.len && form_find(old, "\r\n") + 1 == line_end;
	merge(old, &map, values, crlf ? "\r\n" : "\n", out);
	for (int i = 0; i < ENTRIES; i++)
		free(values[i]);
	rds_client_conf_clear(&first);
	return 0;
}
