// SPDX-License-Identifier: MIT
// Goal: addresses from any bytes and any text: refused, or the same again after a round trip.
#include "test/fuzz/fuzzing.h"

#include "core/addr.h"
#include "core/alloc.h"

static void unmangle(struct rds_view bytes, uint32_t clock_us)
{
	struct rds_addr addr;
	struct rds_addr back;
	uint8_t wire[RDS_ADDR_WIRE];
	char text[RDS_ADDR_TEXT];
	uint8_t *copy = exact_copy(bytes);
	int rc = rds_addr_unmangle(rds_view_of(copy, bytes.len), &addr);
	free(copy);
	must((rc == 0) == (bytes.len <= 16 || bytes.len == 18));
	if (rc != 0)
		return;
	size_t len = rds_addr_mangle(&addr, clock_us, wire);
	must(len <= 16 || len == 18);
	must(rds_addr_unmangle(rds_view_of(wire, len), &back) == 0);
	must(rds_addr_equal(&addr, &back));
	rds_addr_format(&addr, text);
	must(memchr(text, '\0', sizeof text) != NULL && strchr(text, ':') != NULL);
}

static void parse_ip(const char *text)
{
	struct rds_ip ip;
	struct rds_ip back;
	char out[RDS_IP_TEXT];
	if (rds_ip_parse(text, &ip) != 0)
		return;
	rds_ip_format(&ip, out);
	must(rds_ip_parse(out, &back) == 0 && rds_ip_equal(&ip, &back));
	rds_ip_format_mapped(&ip, out);
	must(rds_ip_parse(out, &back) == 0 && rds_ip_equal(&ip, &back));
	struct rds_ip source = rds_ip_source(&ip);
	must(rds_ip_is_v4(&ip) == rds_ip_is_v4(&source));
}

static void parse_cidr(const char *text)
{
	struct rds_cidr net;
	if (rds_cidr_parse(text, &net) != 0)
		return;
	must(net.bits <= 128);
	must(rds_cidr_holds(&net, &net.ip));
	struct rds_ip other = net.ip;
	if (net.bits > 0) {
		unsigned last = net.bits - 1U;
		other.b[last / 8] ^= (uint8_t)(0x80U >> last % 8);
		must(!rds_cidr_holds(&net, &other));
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct rds_view input = rds_view_of(data, size);
	uint32_t clock_us = (uint32_t)take_u16(&input) << 16;
	clock_us |= take_u16(&input);
	char *text = rds_strndup(input.data, input.len);
	unmangle(input, clock_us);
	parse_ip(text);
	parse_cidr(text);
	free(text);
	return 0;
}
