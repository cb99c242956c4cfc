// SPDX-License-Identifier: MIT
#include "core/base64.h"

#include "core/error.h"

static const char standard[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
static const char url_safe[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

static void encode(const uint8_t *bytes, size_t len, const char *alphabet, bool pad, char *out)
{
	uint32_t bits = 0;
	unsigned held = 0;
	size_t n = 0;
	for (size_t i = 0; i < len; i++) {
		bits = bits << 8 | bytes[i];
		for (held += 8; held >= 6; held -= 6)
			out[n++] = alphabet[bits >> (held - 6) & 63];
	}
	if (held > 0)
		out[n++] = alphabet[bits << (6 - held) & 63];
	while (pad && n % 4 != 0)
		out[n++] = '=';
	out[n] = '\0';
}

void rds_base64_encode(const uint8_t *bytes, size_t len, char *out)
{
	encode(bytes, len, standard, true, out);
}

void rds_base64url_encode(const uint8_t *bytes, size_t len, char *out)
{
	encode(bytes, len, url_safe, false, out);
}

// The six bits that a character stands for, or -1.
static int value_of(char c, bool url)
{
	if (c >= 'A' && c <= 'Z')
		return c - 'A';
	if (c >= 'a' && c <= 'z')
		return c - 'a' + 26;
	if (c >= '0' && c <= '9')
		return c - '0' + 52;
	if (c == '+' || (url && c == '-'))
		return 62;
	if (c == '/' || (url && c == '_'))
		return 63;
	return -1;
}

// text without its padding; what is left must not end on stray bits.
static long decode(const char *text, size_t len, bool url, uint8_t *out, size_t cap)
{
	if (len % 4 == 1)
		return -RDS_EPARSE;
	if (len * 3 / 4 > cap)
		return -RDS_ETOOBIG;
	uint32_t bits = 0;
	unsigned held = 0;
	size_t n = 0;
	for (size_t i = 0; i < len; i++) {
		int six = value_of(text[i], url);
		if (six < 0)
			return -RDS_EPARSE;
		bits = bits << 6 | (uint32_t)six;
		held += 6;
		if (held >= 8) {
			held -= 8;
			out[n++] = (uint8_t)(bits >> held);
		}
	}
	if ((bits & ((1U << held) - 1)) != 0)
		return -RDS_EPARSE;
	return (long)n;
}

bool rds_text_may_be_secret(const char *text, size_t len)
{
	size_t run = 0;
	for (size_t i = 0; i < len && run <= RDS_BASE64_LEN(32); i++)
		run = value_of(text[i], true) < 0 && text[i] != '=' ? 0 : run + 1;
	return run > RDS_BASE64_LEN(32);
}

static size_t without_padding(const char *text, size_t len)
{
	size_t bare = len;
	while (bare > 0 && len - bare < 2 && text[bare - 1] == '=')
		bare--;
	return bare;
}

long rds_base64_decode(const char *text, size_t len, uint8_t *out, size_t cap)
{
	if (len % 4 != 0)
		return -RDS_EPARSE;
	return decode(text, without_padding(text, len), false, out, cap);
}

long rds_base64url_decode(const char *text, size_t len, uint8_t *out, size_t cap)
{
	size_t bare = without_padding(text, len);
	if (bare != len && len % 4 != 0)
		return -RDS_EPARSE;
	return decode(text, bare, true, out, cap);
}
