// SPDX-License-Identifier: MIT
// Goal: base64 in both alphabets, and that nothing else is taken for it.
#include "test/unit/testing.h"

#include "core/base64.h"

// RFC 4648, section 10, and the characters that differ between the alphabets.
static const struct {
	const char *plain;
	const char *standard;
	const char *url;
} known[] = {
        {"", "", ""},
        {"f", "Zg==", "Zg"},
        {"fo", "Zm8=", "Zm8"},
        {"foo", "Zm9v", "Zm9v"},
        {"foob", "Zm9vYg==", "Zm9vYg"},
        {"fooba", "Zm9vYmE=", "Zm9vYmE"},
        {"foobar", "Zm9vYmFy", "Zm9vYmFy"},
        {"\xfb\xff\xbf", "+/+/", "-_-_"},
        {"\xff\xff\xfe", "///+", "___-"},
};

static void encodes_known_answers(void **state)
{
	(void)state;
	char out[16];
	for (size_t i = 0; i < COUNT(known); i++) {
		struct rds_view plain = rds_view_text(known[i].plain);
		rds_base64_encode(plain.data, plain.len, out);
		assert_string_equal(out, known[i].standard);
		assert_int_equal(strlen(out), RDS_BASE64_LEN(plain.len));
		rds_base64url_encode(plain.data, plain.len, out);
		assert_string_equal(out, known[i].url);
	}
}

static void decodes_known_answers(void **state)
{
	(void)state;
	uint8_t out[16];
	for (size_t i = 0; i < COUNT(known); i++) {
		long len = rds_base64_decode(known[i].standard, strlen(known[i].standard), out,
		                             sizeof out);
		assert_true(len >= 0);
		assert_view_text(rds_view_of(out, (size_t)len), known[i].plain);
		// Either alphabet, padded or not.
		const char *forms[] = {known[i].standard, known[i].url};
		for (size_t k = 0; k < COUNT(forms); k++) {
			len = rds_base64url_decode(forms[k], strlen(forms[k]), out, sizeof out);
			assert_true(len >= 0);
			assert_view_text(rds_view_of(out, (size_t)len), known[i].plain);
		}
	}
}

static void strict_form_refuses(void **state)
{
	(void)state;
	static const char *const bad[] = {
	        "Z",    "Zg",   "Zg=",      "Zm8",  "Zm9vY",  "=",     "==",       "====",
	        "Z===", "Zg=g", "Zg==Zg==", "=Zg=", "Zm9\n",  "Zm9 ",  "Z m9",     "!!!!",
	        "Zm8-", "Zm8_", "Zh==",     "Zm9=", "Zm9v\n", " Zm9v", "Zm9v====", "Zm\xc3\xa9",
	};
	uint8_t out[16];
	for (size_t i = 0; i < COUNT(bad); i++)
		if (rds_base64_decode(bad[i], strlen(bad[i]), out, sizeof out) != -RDS_EPARSE)
			fail_msg("\"%s\" was taken", bad[i]);
	assert_int_equal(rds_base64_decode("Zm\0v", 4, out, sizeof out), -RDS_EPARSE);
}

static void url_form_refuses(void **state)
{
	(void)state;
	static const char *const bad[] = {"Z",  "Zg=", "Zm9vY", "=",   "==",  "Zg===",  "Zm8==",
	                                  "Zh", "Zm9", "Zm9v=", "Z g", "Zg.", "Zm9v==", "Zg==Zg"};
	uint8_t out[16];
	for (size_t i = 0; i < COUNT(bad); i++)
		if (rds_base64url_decode(bad[i], strlen(bad[i]), out, sizeof out) != -RDS_EPARSE)
			fail_msg("\"%s\" was taken", bad[i]);
}

static void room_is_respected(void **state)
{
	(void)state;
	uint8_t out[4] = {0, 0, 0, 0xa5};
	assert_int_equal(rds_base64_decode("Zm9v", 4, out, 3), 3);
	assert_int_equal(rds_base64_decode("Zm9v", 4, out, 2), -RDS_ETOOBIG);
	assert_int_equal(rds_base64_decode("Zm8=", 4, out, 2), 2);
	assert_int_equal(rds_base64_decode("Zm8=", 4, out, 1), -RDS_ETOOBIG);
	assert_int_equal(rds_base64_decode("Zg==", 4, out, 1), 1);
	assert_int_equal(rds_base64_decode("Zg==", 4, out, 0), -RDS_ETOOBIG);
	assert_int_equal(rds_base64_decode("", 0, out, 0), 0);
	assert_int_equal(rds_base64url_decode("Zm9v", 4, out, 2), -RDS_ETOOBIG);
	assert_int_equal(rds_base64url_decode("Zm8", 3, out, 2), 2);
	assert_int_equal(out[3], 0xa5);
}

static void comes_back_whatever_it_is(void **state)
{
	(void)state;
	static const char url_safe[] =
	        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
	struct testing_random random = {1};
	for (size_t len = 0; len < 200; len++) {
		uint8_t bytes[200];
		uint8_t back[200];
		char text[RDS_BASE64_LEN(200) + 1];
		random_bytes(&random, bytes, len);
		rds_base64_encode(bytes, len, text);
		assert_int_equal(rds_base64_decode(text, strlen(text), back, len), len);
		assert_memory_equal(bytes, back, len);
		rds_base64url_encode(bytes, len, text);
		assert_int_equal(strspn(text, url_safe), strlen(text));
		assert_int_equal(rds_base64url_decode(text, strlen(text), back, len), len);
		assert_memory_equal(bytes, back, len);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(encodes_known_answers),
	        cmocka_unit_test(decodes_known_answers),
	        cmocka_unit_test(strict_form_refuses),
	        cmocka_unit_test(url_form_refuses),
	        cmocka_unit_test(room_is_respected),
	        cmocka_unit_test(comes_back_whatever_it_is),
	};
	return cmocka_run_group_tests_name("base64", tests, NULL, NULL);
}
