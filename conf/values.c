// SPDX-License-Identifier: MIT
#include "conf/values.h"

#include "core/alloc.h"
#include "core/text.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <strings.h>

int rds_value_number(const char *text, int64_t least, int64_t most, int64_t *out)
{
	char *end = NULL;
	if (!isdigit((unsigned char)text[0]) && text[0] != '-')
		return -RDS_EINVAL;
	errno = 0;
	long long n = strtoll(text, &end, 10);
	if (errno != 0 || end == text || *end != '\0' || n < least || n > most)
		return -RDS_EINVAL;
	*out = n;
	return 0;
}

int rds_value_duration(const char *text, int64_t *out_sec)
{
	static const struct {
		char unit;
		int64_t sec;
	} units[] = {{'s', 1}, {'m', 60}, {'h', 3600}, {'d', 86400}};
	const int64_t most = 3653 * (int64_t)86400;
	size_t digits = strspn(text, "0123456789");
	char number[16] = "";
	int64_t n = 0;
	if (digits == 0 || digits >= sizeof number)
		return -RDS_EINVAL;
	memcpy(number, text, digits);
	if (rds_value_number(number, 0, most, &n) != 0)
		return -RDS_EINVAL;
	*out_sec = 0;
	if (n == 0 && text[digits] == '\0')
		return 0;
	for (size_t i = 0; i < sizeof units / sizeof units[0]; i++)
		if (text[digits] == units[i].unit && text[digits + 1] == '\0' &&
		    n <= most / units[i].sec) {
			*out_sec = n * units[i].sec;
			return 0;
		}
	return -RDS_EINVAL;
}

int rds_value_share(const char *text, int64_t *out)
{
	size_t whole = strspn(text, "0123456789");
	size_t decimals = text[whole] == '.' ? strspn(text + whole + 1, "0123456789") : 0;
	const char *end = text + whole + (text[whole] == '.' ? 1 + decimals : 0);
	int64_t n = 0;
	if (whole + decimals == 0 || decimals > 3 || whole > 3 || *end != '\0')
		return -RDS_EINVAL;
	for (size_t i = 0; i < whole; i++)
		n = n * 10 + (text[i] - '0');
	for (size_t i = 0; i < 3; i++)
		n = n * 10 + (i < decimals ? text[whole + 1 + i] - '0' : 0);
	if (n > 1000)
		return -RDS_EINVAL;
	*out = n;
	return 0;
}

int rds_value_switch(const char *text, bool *out)
{
	static const char *const yes[] = {"y", "yes", "on", "true", "1"};
	static const char *const no[] = {"n", "no", "off", "false", "0"};
	for (size_t i = 0; i < sizeof yes / sizeof yes[0]; i++) {
		bool is_yes = strcasecmp(text, yes[i]) == 0;
		if (is_yes || strcasecmp(text, no[i]) == 0) {
			*out = is_yes;
			return 0;
		}
	}
	return -RDS_EINVAL;
}

// An item for an error message: no hostile bytes, and not too long.
#define SHOWN_BYTES 100
static const char *shown(const char *item, char out[SHOWN_BYTES])
{
	return rds_text_escape(rds_view_text(item), out, SHOWN_BYTES);
}

void rds_strings_split(const char *text, struct rds_strings *out)
{
	*out = (struct rds_strings){0};
	while (*text != '\0') {
		size_t len = strcspn(text, ",");
		struct rds_view item = rds_view_trim(rds_view_of(text, len));
		if (item.len > 0) {
			out->items = rds_realloc(out->items, out->n + 1, sizeof *out->items);
			out->items[out->n++] = rds_strndup(item.data, item.len);
		}
		text += len;
		text += *text == ',';
	}
}

void rds_strings_free(struct rds_strings *strings)
{
	for (size_t i = 0; i < strings->n; i++)
		free(strings->items[i]);
	free(strings->items);
	*strings = (struct rds_strings){0};
}

int rds_value_cidrs(const char *text, struct rds_cidrs *out, struct rds_error *err)
{
	struct rds_strings items;
	char text_of_item[SHOWN_BYTES];
	int rc = 0;
	rds_strings_split(text, &items);
	*out = (struct rds_cidrs){.items = rds_calloc(items.n, sizeof *out->items)};
	for (size_t i = 0; i < items.n && rc == 0; i++) {
		if (rds_cidr_parse(items.items[i], &out->items[out->n++]) != 0)
			rc = rds_fail(
			        err, RDS_EINVAL,
			        "networks (10.0.0.0/8, fd00::/8, 192.0.2.7), which \"%s\" is not",
			        shown(items.items[i], text_of_item));
	}
	rds_strings_free(&items);
	if (rc != 0)
		rds_cidrs_free(out);
	return rc;
}

int rds_value_switch_or_cidrs(const char *text, struct rds_switch *out, struct rds_error *err)
{
	struct rds_error form;
	*out = (struct rds_switch){0};
	if (rds_value_switch(text, &out->on) == 0)
		return 0;
	if (rds_value_cidrs(text, &out->nets, &form) != 0)
		return rds_fail(err, RDS_EINVAL, "Y or N, or %s", form.text);
	if (out->nets.n > 0)
		return 0;
	rds_switch_free(out);
	return rds_fail(err, RDS_EINVAL, "Y or N, or networks (10.0.0.0/8, fd00::/8, 192.0.2.7)");
}

void rds_switch_free(struct rds_switch *sw)
{
	rds_cidrs_free(&sw->nets);
	sw->on = false;
}

int rds_value_ports(const char *text, struct rds_ports *out, struct rds_error *err)
{
	struct rds_strings items;
	char text_of_item[SHOWN_BYTES];
	int rc = 0;
	*out = (struct rds_ports){0};
	if (strcasecmp(text, "off") == 0)
		return 0;
	rds_strings_split(text, &items);
	out->items = rds_calloc(items.n, sizeof *out->items);
	for (size_t i = 0; i < items.n && rc == 0; i++) {
		int64_t port = 0;
		rc = rds_value_number(items.items[i], 1, 65535, &port);
		if (rc != 0)
			rc = rds_fail(err, RDS_EINVAL,
			              "ports from 1 to 65535, or off, which \"%s\" is not",
			              shown(items.items[i], text_of_item));
		out->items[out->n++] = (uint16_t)port;
	}
	rds_strings_free(&items);
	if (rc != 0)
		rds_ports_free(out);
	return rc;
}

void rds_ports_free(struct rds_ports *ports)
{
	free(ports->items);
	*ports = (struct rds_ports){0};
}

// What Linux takes for an interface's name, and no mistyped address.
static bool is_interface_name(const char *text)
{
	size_t len = strlen(text);
	return len < 16 && rds_text_is_id(rds_view_text(text)) && strpbrk(text, "/:") == NULL &&
	       strspn(text, "0123456789.") != len;
}

int rds_value_binds(const char *text, struct rds_error *err)
{
	struct rds_strings items;
	char text_of_item[SHOWN_BYTES];
	struct rds_ip ip;
	int rc = 0;
	rds_strings_split(text, &items);
	for (size_t i = 0; i < items.n && rc == 0; i++)
		if (rds_ip_parse(items.items[i], &ip) != 0 && !is_interface_name(items.items[i]))
			rc = rds_fail(err, RDS_EINVAL,
			              "addresses or names of interfaces (192.0.2.7, 2001:db8::7, "
			              "tailscale0), which \"%s\" is not",
			              shown(items.items[i], text_of_item));
	rds_strings_free(&items);
	return rc;
}

void rds_cidrs_free(struct rds_cidrs *cidrs)
{
	free(cidrs->items);
	*cidrs = (struct rds_cidrs){0};
}

// Letters of any script, digits, dots, hyphens and underscores; for IPv6 (in brackets) colons.
static bool is_host_name(struct rds_view name)
{
	if (!rds_text_is_id(name))
		return false;
	for (size_t i = 0; i < name.len; i++)
		if (name.data[i] < 0x80 && !isalnum(name.data[i]) &&
		    strchr(".-_", name.data[i]) == NULL)
			return false;
	return name.len > 0 && name.data[0] != '-' && name.data[0] != '.';
}

static bool is_ipv6(const char *text)
{
	struct rds_ip ip;
	return strchr(text, ':') != NULL && rds_ip_parse(text, &ip) == 0;
}

int rds_value_host(const char *text, struct rds_host_port *out)
{
	const char *host = text;
	const char *rest = NULL;
	bool brackets = text[0] == '[';
	size_t len = 0;
	if (brackets) {
		host = text + 1;
		len = strcspn(host, "]");
		rest = host + len + (host[len] == ']');
		if (host[len] != ']')
			return -RDS_EINVAL;
	} else {
		len = strcspn(text, ":");
		rest = text + len;
	}
	if (strlen(text) >= sizeof out->host)
		return -RDS_EINVAL;
	memcpy(out->host, host, len);
	out->host[len] = '\0';
	if (brackets ? !is_ipv6(out->host) : !is_host_name(rds_view_of(host, len)))
		return -RDS_EINVAL;
	out->port = 0;
	if (rest[0] == '\0')
		return 0;
	int64_t port = 0;
	if (rest[0] != ':' || rds_value_number(rest + 1, 1, 65535, &port) != 0)
		return -RDS_EINVAL;
	out->port = (uint16_t)port;
	return 0;
}

int rds_value_url(const char *text)
{
	static const char path_may_hold[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
	                                    "0123456789-._~%/";
	struct rds_host_port host;
	const char *authority = strncmp(text, "https://", 8) == 0  ? text + 8
	                        : strncmp(text, "http://", 7) == 0 ? text + 7
	                                                           : NULL;
	if (authority == NULL || strlen(text) >= sizeof host.host)
		return -RDS_EINVAL;
	size_t len = strcspn(authority, "/");
	const char *path = authority + len;
	if (path[strspn(path, path_may_hold)] != '\0')
		return -RDS_EINVAL;
	char *name = rds_strndup(authority, len);
	int rc = rds_value_host(name, &host);
	free(name);
	return rc;
}

int rds_value_hosts(const char *text, struct rds_error *err)
{
	struct rds_strings items;
	char text_of_item[SHOWN_BYTES];
	struct rds_host_port host;
	int rc = 0;
	rds_strings_split(text, &items);
	for (size_t i = 0; i < items.n && rc == 0; i++)
		if (rds_value_host(items.items[i], &host) != 0 ||
		    !rds_host_is_reachable(items.items[i]))
			rc = rds_fail(err, RDS_EINVAL,
			              "hosts that clients can reach (name, name:port, 192.0.2.7, "
			              "[2001:db8::7]:21117), "
			              "which \"%s\" is not",
			              shown(items.items[i], text_of_item));
	rds_strings_free(&items);
	return rc;
}

bool rds_host_is_reachable(const char *text)
{
	struct rds_host_port host;
	struct rds_ip ip;
	if (rds_value_host(text, &host) != 0 || rds_ip_parse(host.host, &ip) != 0)
		return true;
	return !rds_ip_is_any(&ip);
}
