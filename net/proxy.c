// SPDX-License-Identifier: MIT
#include "net/proxy.h"

#include "core/error.h"

#include <stdlib.h>

// An address as proxies write it: bare, in brackets, with or without a port.
static bool read_ip(struct rds_view v, struct rds_ip *out)
{
	char text[RDS_IP_TEXT];
	v = rds_view_trim(v);
	if (v.len > 0 && v.data[0] == '[') {
		const uint8_t *end = memchr(v.data, ']', v.len);
		if (end == NULL)
			return false;
		v = rds_view_of(v.data + 1, (size_t)(end - v.data) - 1);
	}
	if (v.len == 0 || v.len >= sizeof text)
		return false;
	memcpy(text, v.data, v.len);
	text[v.len] = '\0';
	if (rds_ip_parse(text, out) == 0)
		return true;
	char *colon = strchr(text, ':');
	if (colon == NULL)
		return false;
	*colon = '\0';
	return rds_ip_parse(text, out) == 0;
}

bool rds_forwarded_client(struct rds_view list, const struct rds_cidr *trusted, size_t n_trusted,
                          struct rds_ip *out)
{
	while (list.len > 0) {
		size_t start = list.len;
		while (start > 0 && list.data[start - 1] != ',')
			start--;
		if (!read_ip(rds_view_of(list.data + start, list.len - start), out))
			return false; // who wrote this, and what is left of it, can't be told
		if (!rds_cidrs_hold(trusted, n_trusted, out))
			return true;
		list.len = start > 0 ? start - 1 : 0;
	}
	return false;
}

bool rds_proxies_trust(const struct rds_proxies *proxies, const struct rds_ip *ip)
{
	return rds_cidrs_hold(proxies->trusted, proxies->n_trusted, ip);
}

bool rds_proxies_expect_header(const struct rds_proxies *proxies, uint16_t port)
{
	for (size_t i = 0; i < proxies->n_header_ports; i++)
		if (proxies->header_ports[i] == port)
			return true;
	return false;
}

enum rds_forwarded rds_proxies_client(const struct rds_proxies *proxies, const struct rds_ip *from,
                                      struct rds_view real_ip, struct rds_view forwarded_for,
                                      struct rds_ip *client)
{
	if (real_ip.len == 0 && forwarded_for.len == 0)
		return RDS_FORWARDED_NOTHING;
	if (!rds_proxies_trust(proxies, from))
		return RDS_FORWARDED_UNTRUSTED;
	bool known =
	        rds_forwarded_client(forwarded_for, proxies->trusted, proxies->n_trusted, client) ||
	        rds_forwarded_client(real_ip, NULL, 0, client);
	return known ? RDS_FORWARDED_CLIENT : RDS_FORWARDED_NOTHING;
}

static const uint8_t v2_signature[12] = "\r\n\r\n\0\r\nQUIT\n";
static const char v1_start[] = "PROXY ";

// The client in a line of version 1.
static bool read_v1(char *line, struct rds_addr *out)
{
	char *rest = NULL;
	char *end = NULL;
	const char *words[6];
	for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
		words[i] = strtok_r(i == 0 ? line : NULL, " \r", &rest);
		if (words[i] == NULL)
			return false;
	}
	struct rds_ip to;
	bool four = strcmp(words[1], "TCP4") == 0;
	unsigned long port = strtoul(words[4], &end, 10);
	if ((!four && strcmp(words[1], "TCP6") != 0) || *end != '\0' || port > UINT16_MAX ||
	    rds_ip_parse(words[2], &out->ip) != 0 || rds_ip_parse(words[3], &to) != 0 ||
	    (strchr(words[2], ':') == NULL) != four || (strchr(words[3], ':') == NULL) != four)
		return false;
	out->port = (uint16_t)port;
	return true;
}

// Version 1: "PROXY TCP4 source destination sourceport destinationport\r\n".
static long parse_v1(struct rds_view bytes, bool *known, struct rds_addr *out)
{
	char line[108];
	const uint8_t *newline = memchr(bytes.data, '\n', bytes.len);
	size_t len = newline == NULL ? bytes.len : (size_t)(newline - bytes.data);
	if (len >= sizeof line)
		return -RDS_EPARSE;
	if (newline == NULL)
		return 0;
	memcpy(line, bytes.data, len);
	line[len] = '\0';
	*known = strncmp(line, "PROXY UNKNOWN", 13) != 0;
	if (*known && !read_v1(line, out))
		return -RDS_EPARSE;
	return (long)len + 1;
}

static uint16_t big_endian(const uint8_t *b)
{
	return (uint16_t)(b[0] << 8 | b[1]);
}

// Version 2: signature, version and command, family, length, addresses, more.
static long parse_v2(struct rds_view bytes, bool *known, struct rds_addr *out)
{
	enum { HEAD = 16, LOCAL = 0x20, PROXY = 0x21, TCP4 = 0x11, TCP6 = 0x21 };
	const uint8_t *b = bytes.data;
	if (bytes.len < HEAD)
		return 0;
	size_t len = HEAD + (size_t)big_endian(b + 14);
	if ((b[12] != LOCAL && b[12] != PROXY) || len > RDS_PROXY_HEADER_MAX)
		return -RDS_EPARSE;
	if (bytes.len < len)
		return 0;
	*known = false;
	if (b[12] == PROXY && len < HEAD + (b[13] == TCP4 ? 12U : b[13] == TCP6 ? 36U : 0U))
		return -RDS_EPARSE;
	if (b[12] == PROXY && b[13] == TCP4) {
		out->ip = rds_ip_v4(b[16], b[17], b[18], b[19]);
		out->port = big_endian(b + 24);
		*known = true;
	} else if (b[12] == PROXY && b[13] == TCP6) {
		memcpy(out->ip.b, b + 16, 16);
		out->port = big_endian(b + 48);
		*known = true;
	}
	return (long)len;
}

static bool begins(struct rds_view bytes, const void *with, size_t len)
{
	return memcmp(bytes.data, with, bytes.len < len ? bytes.len : len) == 0;
}

long rds_proxy_header(struct rds_view bytes, bool *known, struct rds_addr *out)
{
	if (bytes.len == 0)
		return 0;
	if (begins(bytes, v2_signature, sizeof v2_signature))
		return bytes.len < sizeof v2_signature ? 0 : parse_v2(bytes, known, out);
	if (begins(bytes, v1_start, sizeof v1_start - 1))
		return bytes.len < sizeof v1_start - 1 ? 0 : parse_v1(bytes, known, out);
	return -RDS_EPARSE;
}
