// SPDX-License-Identifier: MIT
// Goal: what proxies say about whom they speak for: X-Forwarded-For, PROXY protocol 1 and 2.
#include "test/unit/testing.h"

#include "net/proxy.h"

#include <stdio.h>

static struct rds_cidr net_of(const char *text)
{
	struct rds_cidr net;
	if (rds_cidr_parse(text, &net) != 0)
		fail_msg("\"%s\" is no network", text);
	return net;
}

// X-Forwarded-For.

static void rightmost_untrusted_address_counts(void **state)
{
	(void)state;
	struct rds_cidr trusted[] = {net_of("127.0.0.0/8"), net_of("10.0.0.0/8"), net_of("::1")};
	static const struct {
		const char *list;
		const char *client; // NULL: none
	} cases[] = {
	        {"203.0.113.7", "203.0.113.7"},
	        {" 203.0.113.7\t", "203.0.113.7"},
	        {"198.51.100.1, 203.0.113.7", "203.0.113.7"}, // what is left of it was made up
	        {"203.0.113.7, 10.1.2.3", "203.0.113.7"},
	        {"203.0.113.7,10.1.2.3,127.0.0.1", "203.0.113.7"},
	        {"198.51.100.1,203.0.113.7,10.1.2.3 , 10.0.0.1", "203.0.113.7"},
	        {"203.0.113.7:40000", "203.0.113.7"},
	        {"203.0.113.7, 10.1.2.3:5555", "203.0.113.7"},
	        {"2001:db8::1", "2001:db8::1"},
	        {"[2001:db8::1]", "2001:db8::1"},
	        {"[2001:db8::1]:40000, ::1", "2001:db8::1"},
	        {"[2001:db8::1]:40000, [::1]:80", "2001:db8::1"},
	        {"::ffff:203.0.113.7", "203.0.113.7"},
	        {"::ffff:10.1.2.3", NULL},
	        {"10.1.2.3", NULL},
	        {"10.1.2.3, 127.0.0.1", NULL},
	        {"", NULL},
	        {" ", NULL},
	        {",", NULL},
	        {"203.0.113.7,", NULL}, // who wrote the last one can't be told
	        {"203.0.113.7, unknown", NULL},
	        {"203.0.113.7, unknown, 10.1.2.3", NULL},
	        {"203.0.113.7, , 10.1.2.3", NULL},
	        {"unknown, 203.0.113.7", "203.0.113.7"},
	        {"_hidden", NULL},
	        {"203.0.113", NULL},
	        {"203.0.113.256", NULL},
	        {"[2001:db8::1", NULL},
	        {"[]", NULL},
	        {"[", NULL},
	        {"relay.example.com", NULL},
	        {"2001:db8:2001:db8:2001:db8:2001:db8:2001:db8:2001:db8:1", NULL},
	};
	for (size_t i = 0; i < COUNT(cases); i++) {
		struct rds_ip got = {{0}};
		struct rds_view list = rds_view_text(cases[i].list);
		bool found = rds_forwarded_client(list, trusted, COUNT(trusted), &got);
		if (found != (cases[i].client != NULL))
			fail_msg("\"%s\"", cases[i].list);
		if (found) {
			struct rds_ip expected = ip_of(cases[i].client);
			if (!rds_ip_equal(&got, &expected))
				fail_msg("\"%s\"", cases[i].list);
		}
	}
}

static void without_trusted_proxies_the_last_one_counts(void **state)
{
	(void)state;
	struct rds_ip got;
	struct rds_ip expected = ip_of("127.0.0.1");
	assert_true(rds_forwarded_client(rds_view_text("203.0.113.7, 127.0.0.1"), NULL, 0, &got));
	assert_true(rds_ip_equal(&got, &expected));
	assert_false(rds_forwarded_client(rds_view_of(NULL, 0), NULL, 0, &got));
}

// A list with thousands of trusted hops is read once over, and ends.
static void long_lists_end(void **state)
{
	(void)state;
	struct rds_cidr trusted = net_of("10.0.0.0/8");
	char list[8000] = "203.0.113.7";
	struct rds_ip got;
	struct rds_ip expected = ip_of("203.0.113.7");
	size_t len = strlen(list);
	while (len + 10 < sizeof list)
		len += (size_t)snprintf(list + len, sizeof list - len, ",10.1.2.3");
	assert_true(rds_forwarded_client(rds_view_of(list, len), &trusted, 1, &got));
	assert_true(rds_ip_equal(&got, &expected));
}

// PROXY protocol.

// A header is taken whole, whatever comes behind it; each part of it asks for more.
static void assert_header(const void *bytes, size_t len, const char *ip, uint16_t port)
{
	uint8_t buffer[RDS_PROXY_HEADER_MAX + 8];
	struct rds_addr got = {.port = 1};
	bool known = false;
	assert_true(len + 8 <= sizeof buffer);
	memcpy(buffer, bytes, len);
	memset(buffer + len, 0xf4, 8);
	for (size_t part = 0; part < len; part++)
		assert_int_equal(rds_proxy_header(rds_view_of(buffer, part), &known, &got), 0);
	for (size_t more = 0; more <= 8; more += 4) {
		known = ip == NULL;
		assert_int_equal(rds_proxy_header(rds_view_of(buffer, len + more), &known, &got),
		                 len);
		assert_int_equal(known, ip != NULL);
		if (ip != NULL) {
			struct rds_addr expected = addr_of(ip, port);
			assert_true(rds_addr_equal(&got, &expected));
		}
	}
}

static void assert_line(const char *line, const char *ip, uint16_t port)
{
	assert_header(line, strlen(line), ip, port);
}

static void version_1_is_read(void **state)
{
	(void)state;
	assert_line("PROXY TCP4 203.0.113.7 10.0.0.1 40000 21116\r\n", "203.0.113.7", 40000);
	assert_line("PROXY TCP4 203.0.113.7 10.0.0.1 65535 65535\r\n", "203.0.113.7", 65535);
	assert_line("PROXY TCP6 2001:db8::1 fd00::1 40000 21116\r\n", "2001:db8::1", 40000);
	// The longest that there can be.
	assert_line("PROXY TCP6 ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff "
	            "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff 65535 65535\r\n",
	            "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", 65535);
	assert_line("PROXY UNKNOWN\r\n", NULL, 0);
	assert_line("PROXY UNKNOWN ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff "
	            "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff 65535 65535\r\n",
	            NULL, 0);
}

// signature, version and command, family, length, n bytes of addresses and others
static size_t version_2(uint8_t command, uint8_t family, size_t n, uint8_t out[])
{
	memcpy(out, "\r\n\r\n\0\r\nQUIT\n", 12);
	out[12] = command;
	out[13] = family;
	out[14] = (uint8_t)(n >> 8);
	out[15] = (uint8_t)n;
	for (size_t i = 0; i < n; i++)
		out[16 + i] = (uint8_t)(i + 1);
	return 16 + n;
}

static void version_2_is_read(void **state)
{
	(void)state;
	static const char v6[] = "0102:0304:0506:0708:090a:0b0c:0d0e:0f10";
	uint8_t b[RDS_PROXY_HEADER_MAX];
	assert_header(b, version_2(0x21, 0x11, 12, b), "1.2.3.4", 0x090a);
	assert_header(b, version_2(0x21, 0x21, 36, b), v6, 0x2122);
	// Type-length-values behind the addresses, up to the bound.
	assert_header(b, version_2(0x21, 0x11, 100, b), "1.2.3.4", 0x090a);
	assert_header(b, version_2(0x21, 0x21, RDS_PROXY_HEADER_MAX - 16, b), v6, 0x2122);
	// The proxy's own health checks, UDP, Unix sockets: nobody is named.
	assert_header(b, version_2(0x20, 0x00, 0, b), NULL, 0);
	assert_header(b, version_2(0x20, 0x11, 12, b), NULL, 0);
	assert_header(b, version_2(0x21, 0x00, 0, b), NULL, 0);
	assert_header(b, version_2(0x21, 0x12, 12, b), NULL, 0);
	assert_header(b, version_2(0x21, 0x31, 216, b), NULL, 0);
}

static void assert_none(const void *bytes, size_t len)
{
	struct rds_addr got;
	bool known;
	if (rds_proxy_header(rds_view_of(bytes, len), &known, &got) != -RDS_EPARSE)
		fail_msg("\"%.*s\" is taken", (int)len, (const char *)bytes);
}

static void bad_version_1_is_refused(void **state)
{
	(void)state;
	static const char *const lines[] = {
	        "PROXY\r\n",
	        "PROXY \r\n",
	        "proxy TCP4 203.0.113.7 10.0.0.1 40000 21116\r\n",
	        "PROXY TCP4\r\n",
	        "PROXY TCP4 203.0.113.7\r\n",
	        "PROXY TCP4 203.0.113.7 10.0.0.1 40000\r\n",
	        "PROXY TCP4 203.0.113.777 10.0.0.1 40000 21116\r\n",
	        "PROXY TCP4 203.0.113.7 10.0.0.1 65536 21116\r\n",
	        "PROXY TCP4 203.0.113.7 10.0.0.1 -1 21116\r\n",
	        "PROXY TCP4 203.0.113.7 10.0.0.1 4x 21116\r\n",
	        "PROXY UDP4 203.0.113.7 10.0.0.1 40000 21116\r\n",
	        "PROXY TCP4 relay.example.com 10.0.0.1 40000 21116\r\n",
	        "GET /ws/id HTTP/1.1\r\n",
	        "\n",
	};
	for (size_t i = 0; i < COUNT(lines); i++)
		assert_none(lines[i], strlen(lines[i]));
	// A line that doesn't end in time.
	char line[200];
	memset(line, 'x', sizeof line);
	memcpy(line, "PROXY UNKNOWN ", 14);
	struct rds_addr got;
	bool known;
	assert_int_equal(rds_proxy_header(rds_view_of(line, 107), &known, &got), 0);
	assert_none(line, 108);
	line[108] = '\n';
	assert_none(line, 109);
}

static void bad_version_2_is_refused(void **state)
{
	(void)state;
	uint8_t b[RDS_PROXY_HEADER_MAX + 16];
	static const uint8_t commands[] = {0x00, 0x01, 0x11, 0x22, 0x2f, 0x31, 0xff};
	for (size_t i = 0; i < COUNT(commands); i++)
		assert_none(b, version_2(commands[i], 0x11, 12, b));
	// Over the bound: told from its head, before the rest has come.
	(void)version_2(0x21, 0x11, RDS_PROXY_HEADER_MAX - 15, b);
	assert_none(b, 16);
	b[14] = b[15] = 0xff;
	assert_none(b, 16);
	for (size_t i = 0; i < 12; i++) {
		(void)version_2(0x21, 0x11, 12, b);
		b[i] ^= 1;
		assert_none(b, 28);
		assert_none(b, i + 1); // as soon as it differs
	}
	// Too short for what they say: else the client would pass for the proxy.
	uint8_t cut[64];
	assert_none(cut, version_2(0x21, 0x11, 11, cut));
	assert_none(cut, version_2(0x21, 0x21, 35, cut));
}

// No header, no client: a frame, a WebSocket's opening, anything.
static void other_bytes_are_refused_at_once(void **state)
{
	(void)state;
	for (unsigned first = 0; first < 256; first++) {
		uint8_t b = (uint8_t)first;
		if (b != 'P' && b != '\r')
			assert_none(&b, 1);
	}
	assert_none("PR\r", 3);
	assert_none("\r\n\r\n\r\n", 6);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(rightmost_untrusted_address_counts),
	        cmocka_unit_test(without_trusted_proxies_the_last_one_counts),
	        cmocka_unit_test(long_lists_end),
	        cmocka_unit_test(version_1_is_read),
	        cmocka_unit_test(version_2_is_read),
	        cmocka_unit_test(bad_version_1_is_refused),
	        cmocka_unit_test(bad_version_2_is_refused),
	        cmocka_unit_test(other_bytes_are_refused_at_once),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
