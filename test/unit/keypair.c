// SPDX-License-Identifier: MIT
// Goal: the server's key pair (protocol.md section 2, Keys): texts, signatures, fingerprints.
#include "test/unit/testing.h"

#include "core/base64.h"
#include "core/message.h"
#include "keys/keypair.h"

#include <stdio.h>

static struct rds_keypair *parse(const char *text)
{
	struct rds_keypair *pair = NULL;
	struct rds_error err = {""};
	if (rds_keypair_parse(rds_view_text(text), &pair, &err) != 0)
		fail_msg("\"%s\" was refused: %s", text, err.text);
	return pair;
}

static void known_pairs_are_read(void **state)
{
	(void)state;
	cJSON *file = vectors_open("keyfile.json");
	const cJSON *one = NULL;
	size_t n = 0;
	cJSON_ArrayForEach(one, member(file, "keys"))
	{
		uint8_t halves[64];
		char text[RDS_SECRET_TEXT];
		struct rds_keypair *pair = parse(member_text(one, "id_ed25519"));
		assert_string_equal(rds_keypair_public_text(pair),
		                    member_text(one, "id_ed25519.pub"));
		rds_keypair_secret_text(pair, text);
		assert_string_equal(text, member_text(one, "id_ed25519"));
		(void)member_hex(one, "seed", halves, 32);
		(void)member_hex(one, "public", halves + 32, 32);
		rds_base64_encode(halves, 64, text);
		assert_string_equal(text, member_text(one, "id_ed25519"));
		rds_keypair_free(pair);
		n++;
	}
	assert_int_equal(n, 2);
	cJSON_Delete(file);
}

static void bad_ones_are_named(void **state)
{
	(void)state;
	cJSON *file = vectors_open("keyfile.json");
	const cJSON *one = NULL;
	size_t n = 0;
	static const char *const words[] = {"32 bytes", "public half", "base64", "empty"};
	cJSON_ArrayForEach(one, member(file, "bad"))
	{
		struct rds_keypair *pair = NULL;
		struct rds_error err = {""};
		struct rds_view text = rds_view_text(member_text(one, "id_ed25519"));
		assert_int_equal(rds_keypair_parse(text, &pair, &err), -RDS_EPARSE);
		assert_null(pair);
		assert_contains(err.text, words[n]);
		assert_contains(member_text(one, "error"), words[n]);
		n++;
	}
	assert_int_equal(n, 4);
	cJSON_Delete(file);
}

static const char secret[] = "wtOQthcvkjM1Ak3ymSksrOKAC+Hz57qcSbPZ35+QpKXSaIUYB3Ik5AFKAjh1utV9mlPf"
                             "qNx7+AJWqTW8W012OQ==";
static const char public[] = "0miFGAdyJOQBSgI4dbrVfZpT36jce/gCVqk1vFtNdjk=";

static void white_space_around_is_tolerated(void **state)
{
	(void)state;
	static const char *const around[][2] = {
	        {"", "\n"}, {"\n", ""}, {" \t", "\r\n\r\n"}, {"\f\v", " "}};
	for (size_t i = 0; i < COUNT(around); i++) {
		char text[128];
		(void)snprintf(text, sizeof text, "%s%s%s", around[i][0], secret, around[i][1]);
		struct rds_keypair *pair = parse(text);
		assert_string_equal(rds_keypair_public_text(pair), public);
		rds_keypair_free(pair);
	}
}

static void nothing_else_is_a_key(void **state)
{
	(void)state;
	char text[256];
	// Cut short, grown, with white space inside, in the other alphabet, every letter changed.
	for (size_t len = 0; len < sizeof secret - 1; len++) {
		struct rds_keypair *pair = NULL;
		assert_int_equal(rds_keypair_parse(rds_view_of(secret, len), &pair, NULL),
		                 -RDS_EPARSE);
	}
	static const struct {
		size_t at;
		char c;
	} changes[] = {{0, 'x'},  {20, '-'}, {20, ' '}, {20, '\n'}, {43, 'x'},
	               {44, 'x'}, {84, 'x'}, {85, 'R'}, {86, 'x'},  {20, '\0'}};
	for (size_t i = 0; i < COUNT(changes); i++) {
		struct rds_keypair *pair = NULL;
		memcpy(text, secret, sizeof secret);
		text[changes[i].at] = changes[i].c;
		if (rds_keypair_parse(rds_view_of(text, sizeof secret - 1), &pair, NULL) !=
		    -RDS_EPARSE)
			fail_msg("change %zu was taken", i);
	}
	memset(text, 'A', sizeof text);
	struct rds_keypair *pair = NULL;
	for (size_t len = 4; len <= sizeof text; len += 4)
		assert_int_equal(rds_keypair_parse(rds_view_of(text, len), &pair, NULL),
		                 -RDS_EPARSE);
}

static void signs_as_known(void **state)
{
	(void)state;
	cJSON *file = vectors_open("signed_id.json");
	uint8_t halves[64];
	uint8_t pk[64];
	uint8_t expected[256];
	uint8_t out[256];
	char text[RDS_SECRET_TEXT];
	(void)member_hex(file, "server_seed", halves, 32);
	(void)member_hex(file, "server_public", halves + 32, 32);
	rds_base64_encode(halves, 64, text);
	struct rds_keypair *pair = parse(text);
	long len = rds_message_encode_id_pk(rds_view_text(member_text(file, "id")),
	                                    member_hex(file, "device_public", pk, sizeof pk),
	                                    out + 64, sizeof out - 64);
	assert_true(len > 0);
	assert_true(rds_keypair_sign(pair, rds_view_of(out + 64, (size_t)len), out));
	assert_views_equal(rds_view_of(out, 64 + (size_t)len),
	                   member_hex(file, "signed", expected, sizeof expected));
	rds_keypair_free(pair);
	cJSON_Delete(file);
}

// The text is used in file names.
static void new_pairs_have_plain_texts(void **state)
{
	(void)state;
	char last[RDS_PUBLIC_TEXT] = "";
	for (int i = 0; i < 200; i++) {
		struct rds_keypair *pair = NULL;
		char text[RDS_SECRET_TEXT];
		assert_int_equal(rds_keypair_generate(&pair, NULL), 0);
		const char *mine = rds_keypair_public_text(pair);
		assert_int_equal(strlen(mine), RDS_PUBLIC_TEXT - 1);
		assert_null(strpbrk(mine, "/:"));
		assert_string_not_equal(mine, last);
		memcpy(last, mine, sizeof last);
		rds_keypair_secret_text(pair, text);
		struct rds_keypair *again = parse(text);
		assert_string_equal(rds_keypair_public_text(again), last);
		rds_keypair_free(again);
		rds_keypair_free(pair);
	}
	rds_keypair_free(NULL);
}

// Computed with another program.
static void fingerprints_are_as_known(void **state)
{
	(void)state;
	static const struct {
		const char *text;
		const char *fingerprint;
	} cases[] = {
	        {public, "SHA256:qRxwrGZs7BbZK6r0tVxRbjkk9ZH6mcd71d1HmEE9IJQ"},
	        {"ioabEDv2eNdgsvfLmyt5u3yG4EGLDjLTZBfHZN6d+xQ=",
	         "SHA256:O8ewfB09RL+tQVH5SEKzNDQqGvL4LNjyNC9B0h1yV1c"},
	        {"", "none"},
	        {"password", "not a key"},
	        {"0miFGAdyJOQBSgI4dbrVfZpT36jce/gCVqk1vFtNdjk", "not a key"},
	        {secret, "not a key"},
	};
	for (size_t i = 0; i < COUNT(cases); i++) {
		char out[RDS_FINGERPRINT_TEXT];
		memset(out, 0x55, sizeof out);
		rds_fingerprint(rds_view_text(cases[i].text), out);
		assert_string_equal(out, cases[i].fingerprint);
	}
}

static void kinds_of_texts(void **state)
{
	(void)state;
	static const struct {
		const char *text;
		bool secret;
		bool public;
	} cases[] = {
	        {secret, true, false},
	        {public, false, true},
	        {"", false, false},
	        {"-", false, false},
	        {"_", false, false},
	        {"some password", false, false},
	        {"0miFGAdyJOQBSgI4dbrVfZpT36jce/gCVqk1vFtNdjk", false, false},
	};
	for (size_t i = 0; i < COUNT(cases); i++) {
		struct rds_view text = rds_view_text(cases[i].text);
		assert_int_equal(rds_text_may_be_secret(cases[i].text, strlen(cases[i].text)),
		                 cases[i].secret);
		assert_int_equal(rds_text_is_public_key(text), cases[i].public);
	}
	// A secret that was cut short is still one, so that it is never shown.
	for (size_t cut = 1; strlen(secret) - cut > strlen(public); cut++)
		assert_true(rds_text_may_be_secret(secret, strlen(secret) - cut));
}

static void random_and_wiped(void **state)
{
	(void)state;
	uint8_t bytes[64] = {0};
	static const uint8_t zeros[64];
	assert_true(rds_random(bytes, sizeof bytes));
	assert_memory_not_equal(bytes, zeros, sizeof bytes);
	rds_wipe(bytes, sizeof bytes);
	assert_memory_equal(bytes, zeros, sizeof bytes);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(known_pairs_are_read),
	        cmocka_unit_test(bad_ones_are_named),
	        cmocka_unit_test(white_space_around_is_tolerated),
	        cmocka_unit_test(nothing_else_is_a_key),
	        cmocka_unit_test(signs_as_known),
	        cmocka_unit_test(new_pairs_have_plain_texts),
	        cmocka_unit_test(fingerprints_are_as_known),
	        cmocka_unit_test(kinds_of_texts),
	        cmocka_unit_test(random_and_wiped),
	};
	return cmocka_run_group_tests_name("keypair", tests, NULL, NULL);
}
