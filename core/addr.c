// SPDX-License-Identifier: MIT
#include "core/addr.h"

#include "core/error.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>

static const uint8_t v4_prefix[12] = {[10] = 0xff, [11] = 0xff};

struct rds_ip rds_ip_v4(uint8_t a, uint8_t b, uint8_t c, uint8_t d)
{
	return (struct rds_ip){{[10] = 0xff, [11] = 0xff, [12] = a, [13] = b, [14] = c, [15] = d}};
}

bool rds_ip_is_v4(const struct rds_ip *ip)
{
	return memcmp(ip->b, v4_prefix, sizeof v4_prefix) == 0;
}

bool rds_ip_is_none(const struct rds_ip *ip)
{
	static const struct rds_ip none;
	return rds_ip_equal(ip, &none);
}

bool rds_ip_is_any(const struct rds_ip *ip)
{
	static const struct rds_ip any_v4 = {{[10] = 0xff, [11] = 0xff}};
	return rds_ip_is_none(ip) || rds_ip_equal(ip, &any_v4);
}

bool rds_ip_is_loopback(const struct rds_ip *ip)
{
	static const struct rds_ip six = {{[15] = 1}};
	return rds_ip_equal(ip, &six) || (rds_ip_is_v4(ip) && ip->b[12] == 127);
}

bool rds_ip_equal(const struct rds_ip *a, const struct rds_ip *b)
{
	return memcmp(a->b, b->b, sizeof a->b) == 0;
}

bool rds_addr_equal(const struct rds_addr *a, const struct rds_addr *b)
{
	return a->port == b->port && rds_ip_equal(&a->ip, &b->ip);
}

int rds_ip_parse(const char *text, struct rds_ip *out)
{
	struct in_addr v4;
	if (inet_pton(AF_INET, text, &v4) == 1) {
		memcpy(out->b, v4_prefix, sizeof v4_prefix);
		memcpy(out->b + 12, &v4, sizeof v4);
		return 0;
	}
	return inet_pton(AF_INET6, text, out->b) == 1 ? 0 : -RDS_EPARSE;
}

void rds_ip_format(const struct rds_ip *ip, char out[RDS_IP_TEXT])
{
	const char *text = rds_ip_is_v4(ip) ? inet_ntop(AF_INET, ip->b + 12, out, RDS_IP_TEXT)
	                                    : inet_ntop(AF_INET6, ip->b, out, RDS_IP_TEXT);
	if (text == NULL)
		out[0] = '\0';
}

void rds_ip_format_mapped(const struct rds_ip *ip, char out[RDS_IP_TEXT])
{
	if (rds_ip_is_v4(ip))
		(void)snprintf(out, RDS_IP_TEXT, "::ffff:%d.%d.%d.%d", ip->b[12], ip->b[13],
		               ip->b[14], ip->b[15]);
	else
		rds_ip_format(ip, out);
}

void rds_addr_format(const struct rds_addr *addr, char out[RDS_ADDR_TEXT])
{
	char ip[RDS_IP_TEXT];
	rds_ip_format(&addr->ip, ip);
	(void)snprintf(out, RDS_ADDR_TEXT, rds_ip_is_v4(&addr->ip) ? "%s:%u" : "[%s]:%u", ip,
	               (unsigned)addr->port);
}

// Digits only, at most `most`; -1 otherwise.
static int parse_bits(const char *text, int most)
{
	if (text[0] == '\0' || strlen(text) > 3 || strspn(text, "0123456789") != strlen(text))
		return -1;
	int bits = (int)strtol(text, NULL, 10);
	return bits <= most ? bits : -1;
}

int rds_cidr_parse(const char *text, struct rds_cidr *out)
{
	char ip[RDS_IP_TEXT];
	const char *slash = strchr(text, '/');
	size_t len = slash == NULL ? strlen(text) : (size_t)(slash - text);
	if (len >= sizeof ip)
		return -RDS_EPARSE;
	memcpy(ip, text, len);
	ip[len] = '\0';
	if (rds_ip_parse(ip, &out->ip) != 0)
		return -RDS_EPARSE;
	bool dotted = strchr(ip, ':') == NULL;
	int bits = slash == NULL ? (dotted ? 32 : 128) : parse_bits(slash + 1, dotted ? 32 : 128);
	if (bits < 0)
		return -RDS_EPARSE;
	out->bits = (uint8_t)(dotted ? bits + 96 : bits);
	return 0;
}

void rds_cidr_format(const struct rds_cidr *net, char out[RDS_CIDR_TEXT])
{
	char ip[RDS_IP_TEXT];
	bool dotted = rds_ip_is_v4(&net->ip) && net->bits >= 96;
	if (dotted)
		rds_ip_format(&net->ip, ip);
	else
		rds_ip_format_mapped(&net->ip, ip);
	(void)snprintf(out, RDS_CIDR_TEXT, "%s/%d", ip, dotted ? net->bits - 96 : net->bits);
}

bool rds_cidr_holds(const struct rds_cidr *net, const struct rds_ip *ip)
{
	size_t whole = net->bits / 8;
	unsigned rest = net->bits % 8;
	if (memcmp(net->ip.b, ip->b, whole) != 0)
		return false;
	return rest == 0 || (net->ip.b[whole] ^ ip->b[whole]) >> (8 - rest) == 0;
}

bool rds_cidrs_hold(const struct rds_cidr *nets, size_t n, const struct rds_ip *ip)
{
	for (size_t i = 0; i < n; i++)
		if (rds_cidr_holds(&nets[i], ip))
			return true;
	return false;
}

// Bits beyond the prefix become zero.
static void clear_host(struct rds_cidr *net)
{
	for (size_t i = net->bits / 8; i < sizeof net->ip.b; i++) {
		unsigned rest = i == net->bits / 8 ? net->bits % 8 : 0;
		net->ip.b[i] &= (uint8_t)(0xff00U >> rest);
	}
}

// The wider of two that begin alike comes first, so that it stands before all that lie in it.
static int compare_cidrs(const void *a, const void *b)
{
	const struct rds_cidr *one = a;
	const struct rds_cidr *other = b;
	int order = memcmp(one->ip.b, other->ip.b, sizeof one->ip.b);
	return order != 0 ? order : (int)one->bits - (int)other->bits;
}

size_t rds_cidrs_sort(struct rds_cidr *nets, size_t n)
{
	size_t kept = 0;
	for (size_t i = 0; i < n; i++)
		clear_host(&nets[i]);
	if (n > 0)
		qsort(nets, n, sizeof *nets, compare_cidrs);
	for (size_t i = 0; i < n; i++)
		if (kept == 0 || !rds_cidr_holds(&nets[kept - 1], &nets[i].ip))
			nets[kept++] = nets[i];
	return kept;
}

bool rds_cidrs_find(const struct rds_cidr *sorted, size_t n, const struct rds_ip *ip)
{
	size_t first = 0; // of those that begin behind ip
	while (n > 0) {
		size_t half = n / 2;
		bool before = memcmp(sorted[first + half].ip.b, ip->b, sizeof ip->b) <= 0;
		first += before ? half + 1 : 0;
		n = before ? n - half - 1 : half;
	}
	return first > 0 && rds_cidr_holds(&sorted[first - 1], ip);
}

struct rds_ip rds_ip_source(const struct rds_ip *ip)
{
	struct rds_ip source = *ip;
	if (!rds_ip_is_v4(ip))
		memset(source.b + 8, 0, 8);
	return source;
}

size_t rds_addr_mangle(const struct rds_addr *addr, uint32_t clock_us, uint8_t out[RDS_ADDR_WIRE])
{
	if (!rds_ip_is_v4(&addr->ip)) {
		memcpy(out, addr->ip.b, 16);
		out[16] = (uint8_t)addr->port;
		out[17] = (uint8_t)(addr->port >> 8);
		return RDS_ADDR_WIRE;
	}
	const uint8_t *b = addr->ip.b + 12;
	uint32_t ip =
	        (uint32_t)b[0] | (uint32_t)b[1] << 8 | (uint32_t)b[2] << 16 | (uint32_t)b[3] << 24;
	// A number of 82 bits, the lower 64 of them first.
	uint64_t sum = (uint64_t)ip + clock_us;
	uint64_t halves[2] = {sum << 49 | (uint64_t)clock_us << 17 |
	                              ((uint64_t)addr->port + (clock_us & 0xffff)),
	                      sum >> 15};
	size_t len = 0;
	for (size_t i = 0; i < 16; i++) {
		out[i] = (uint8_t)(halves[i / 8] >> i % 8 * 8);
		len = out[i] != 0 ? i + 1 : len;
	}
	return len;
}

int rds_addr_unmangle(struct rds_view bytes, struct rds_addr *out)
{
	if (bytes.len == RDS_ADDR_WIRE) {
		memcpy(out->ip.b, bytes.data, 16);
		out->port = (uint16_t)(bytes.data[16] | bytes.data[17] << 8);
		return 0;
	}
	if (bytes.len > 16)
		return -RDS_EPARSE;
	uint64_t halves[2] = {0, 0};
	for (size_t i = 0; i < bytes.len; i++)
		halves[i / 8] |= (uint64_t)bytes.data[i] << i % 8 * 8;
	uint32_t clock_us = (uint32_t)(halves[0] >> 17);
	uint32_t ip = (uint32_t)(halves[0] >> 49 | halves[1] << 15) - clock_us;
	out->ip = rds_ip_v4((uint8_t)ip, (uint8_t)(ip >> 8), (uint8_t)(ip >> 16),
	                    (uint8_t)(ip >> 24));
	out->port = (uint16_t)((uint32_t)(halves[0] & 0xffffff) - (clock_us & 0xffff));
	return 0;
}
