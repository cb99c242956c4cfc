// SPDX-License-Identifier: MIT
// Addresses: one form for IPv4 and IPv6, networks, text, and the wire's mangled form.
#ifndef RDS_CORE_ADDR_H
#define RDS_CORE_ADDR_H

#include "core/view.h"

// An IP address; IPv4 as ::ffff:a.b.c.d. All zero: none known.
struct rds_ip {
	uint8_t b[16];
};

struct rds_addr {
	struct rds_ip ip;
	uint16_t port; // host order
};

// A network: the first `bits` (0 to 128, counted in the 16-byte form) of ip.
struct rds_cidr {
	struct rds_ip ip;
	uint8_t bits;
};

// Room for the longest text of each, NUL included.
#define RDS_IP_TEXT   46
#define RDS_ADDR_TEXT 54
#define RDS_CIDR_TEXT 50

// Bytes of a socket_addr field at most.
#define RDS_ADDR_WIRE 18

struct rds_ip rds_ip_v4(uint8_t a, uint8_t b, uint8_t c, uint8_t d);
bool rds_ip_is_v4(const struct rds_ip *ip);
bool rds_ip_is_none(const struct rds_ip *ip);
// "::" or "0.0.0.0": where one listens on all addresses.
bool rds_ip_is_any(const struct rds_ip *ip);
// 127.0.0.0/8, ::1.
bool rds_ip_is_loopback(const struct rds_ip *ip);
bool rds_ip_equal(const struct rds_ip *a, const struct rds_ip *b);
bool rds_addr_equal(const struct rds_addr *a, const struct rds_addr *b);

// Reads "203.0.113.7", "2001:db8::1" or "::ffff:203.0.113.7" (the last is IPv4); no port, no
// brackets, no zone. 0 or -RDS_EPARSE.
int rds_ip_parse(const char *text, struct rds_ip *out) __attribute__((warn_unused_result));

// "203.0.113.7", "2001:db8::1".
void rds_ip_format(const struct rds_ip *ip, char out[RDS_IP_TEXT]);

// As rds_ip_format, but IPv4 as "::ffff:203.0.113.7", the form that hbbs writes.
void rds_ip_format_mapped(const struct rds_ip *ip, char out[RDS_IP_TEXT]);

// "203.0.113.7:21116", "[2001:db8::1]:21116".
void rds_addr_format(const struct rds_addr *addr, char out[RDS_ADDR_TEXT]);

// Reads "10.0.0.0/8", "fd00::/8", or an address alone (a network of one). Bits beyond the
// prefix are ignored. 0 or -RDS_EPARSE.
int rds_cidr_parse(const char *text, struct rds_cidr *out) __attribute__((warn_unused_result));
// "10.0.0.0/8", "fd00::/8"; one address too has its prefix. A network of both IPv4 and IPv6 is
// written as IPv6.
void rds_cidr_format(const struct rds_cidr *net, char out[RDS_CIDR_TEXT]);
bool rds_cidr_holds(const struct rds_cidr *net, const struct rds_ip *ip);
bool rds_cidrs_hold(const struct rds_cidr *nets, size_t n, const struct rds_ip *ip);

// For long lists: puts networks in order, without those that lie in others; how many are left. Then
// rds_cidrs_find says what rds_cidrs_hold would, without a look at each.
size_t rds_cidrs_sort(struct rds_cidr *nets, size_t n) __attribute__((warn_unused_result));
bool rds_cidrs_find(const struct rds_cidr *sorted, size_t n, const struct rds_ip *ip);

// The address by which sources are limited: IPv4 whole, IPv6 its /64.
struct rds_ip rds_ip_source(const struct rds_ip *ip);

// The wire's form (section 2, Addresses). clock_us: low 32 bits of a clock in microseconds,
// used for IPv4 only. Returns the length.
size_t rds_addr_mangle(const struct rds_addr *addr, uint32_t clock_us, uint8_t out[RDS_ADDR_WIRE]);

// Its inverse; empty bytes are the address 0.0.0.0:0. 0 or -RDS_EPARSE.
int rds_addr_unmangle(struct rds_view bytes, struct rds_addr *out)
        __attribute__((warn_unused_result));

#endif
