// SPDX-License-Identifier: MIT
// Goal: the client's side of the secure channel (protocol.md section 6), against the server's; and
// signed bytes.
#include "test/unit/testing.h"

#include "core/message.h"
#include "keys/keypair.h"
#include "keys/secure_client.h"

static struct rds_keypair *pair;
static struct rds_keypair *other;
static struct rds_offerer *offerer;

static bool sign(void *ctx, uint32_t held, struct rds_view bytes,
                 uint8_t signature[RDS_SIGNATURE_BYTES])
{
	(void)ctx;
	(void)held;
	return rds_keypair_sign(pair, bytes, signature);
}

static int set_up(void **state)
{
	(void)state;
	static const struct rds_key_hooks hooks = {.sign = sign};
	struct rds_error err;
	if (rds_keypair_generate(&pair, &err) != 0 || rds_keypair_generate(&other, &err) != 0)
		return -1;
	offerer = rds_offerer_new(&hooks, NULL);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	rds_offerer_free(offerer);
	rds_keypair_free(pair);
	rds_keypair_free(other);
	return 0;
}

static void both_sides_understand_each_other(void **state)
{
	(void)state;
	uint8_t answer[RDS_OFFER_ANSWER_BYTES];
	uint8_t sealed[64];
	uint8_t plain[64];
	size_t len = 0;
	struct rds_channel *ours = NULL;
	struct rds_view offer = rds_offerer_offer(offerer, 1, RDS_KEY_CURRENT);
	assert_int_equal(
	        rds_offer_answer(offer, rds_keypair_public_text(pair), answer, &len, &ours),
	        RDS_OFFER_GOOD);
	struct rds_channel *theirs = rds_offerer_accept(offerer, 1, rds_view_of(answer, len));
	assert_non_null(theirs);
	for (int i = 0; i < 3; i++) {
		rds_channel_seal(ours, rds_view_text("from us"), sealed);
		assert_true(
		        rds_channel_open(theirs, rds_view_of(sealed, 7 + RDS_SEAL_BYTES), plain));
		assert_memory_equal(plain, "from us", 7);
		rds_channel_seal(theirs, rds_view_text("to us"), sealed);
		assert_true(rds_channel_open(ours, rds_view_of(sealed, 5 + RDS_SEAL_BYTES), plain));
		assert_memory_equal(plain, "to us", 5);
	}
	rds_channel_free(ours);
	rds_channel_free(theirs);
}

static void other_keys_offer_is_foreign(void **state)
{
	(void)state;
	static const char *const keys[] = {"", "no key",
	                                   "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="};
	uint8_t answer[RDS_OFFER_ANSWER_BYTES];
	size_t len = 0;
	struct rds_channel *channel = NULL;
	struct rds_view offer = rds_offerer_offer(offerer, 1, RDS_KEY_CURRENT);
	assert_int_equal(
	        rds_offer_answer(offer, rds_keypair_public_text(other), answer, &len, &channel),
	        RDS_OFFER_FOREIGN);
	for (size_t i = 0; i < COUNT(keys); i++)
		assert_int_equal(rds_offer_answer(offer, keys[i], answer, &len, &channel),
		                 RDS_OFFER_FOREIGN);
	assert_null(channel);
}

// Cut or changed anywhere, an offer is none, or not the server's.
static void damaged_offers_are_refused(void **state)
{
	(void)state;
	uint8_t copy[256];
	uint8_t answer[RDS_OFFER_ANSWER_BYTES];
	size_t len = 0;
	struct rds_channel *channel = NULL;
	struct rds_view offer = rds_offerer_offer(offerer, 1, RDS_KEY_CURRENT);
	assert_true(offer.len <= sizeof copy);
	for (size_t i = 0; i < offer.len; i++) {
		memcpy(copy, offer.data, offer.len);
		copy[i] ^= 0x10;
		assert_int_not_equal(rds_offer_answer(rds_view_of(copy, offer.len),
		                                      rds_keypair_public_text(pair), answer, &len,
		                                      &channel),
		                     RDS_OFFER_GOOD);
		assert_int_not_equal(rds_offer_answer(rds_view_of(offer.data, i),
		                                      rds_keypair_public_text(pair), answer, &len,
		                                      &channel),
		                     RDS_OFFER_GOOD);
	}
	assert_null(channel);
}

static void signed_bytes_open_with_their_key(void **state)
{
	(void)state;
	uint8_t bytes[RDS_SIGNATURE_BYTES + 5] = {0};
	struct rds_view content;
	memcpy(bytes + RDS_SIGNATURE_BYTES, "hello", 5);
	assert_true(rds_keypair_sign(pair, rds_view_text("hello"), bytes));
	struct rds_view whole = rds_view_of(bytes, sizeof bytes);
	assert_true(rds_signed_open(rds_keypair_public_text(pair), whole, &content));
	assert_view_text(content, "hello");
	assert_false(rds_signed_open(rds_keypair_public_text(other), whole, &content));
	assert_false(
	        rds_signed_open(rds_keypair_public_text(pair), rds_view_of(bytes, 63), &content));
	bytes[sizeof bytes - 1] ^= 1;
	assert_false(rds_signed_open(rds_keypair_public_text(pair), whole, &content));
}

static void whom_the_server_vouches_for_is_read(void **state)
{
	(void)state;
	uint8_t bytes[128];
	rds_IdPk id_pk;
	long len = rds_message_encode_id_pk(rds_view_text("123456789"), rds_view_text("a key"),
	                                    bytes, sizeof bytes);
	assert_true(len > 0);
	assert_int_equal(rds_message_decode_id_pk(rds_view_of(bytes, (size_t)len), &id_pk), 0);
	assert_view_text(rds_get(id_pk.id), "123456789");
	assert_view_text(rds_get(id_pk.pk), "a key");
	assert_int_equal(rds_message_decode_id_pk(rds_view_of(bytes, (size_t)len - 1), &id_pk),
	                 -RDS_EPARSE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test_setup_teardown(both_sides_understand_each_other, set_up,
	                                        tear_down),
	        cmocka_unit_test_setup_teardown(other_keys_offer_is_foreign, set_up, tear_down),
	        cmocka_unit_test_setup_teardown(damaged_offers_are_refused, set_up, tear_down),
	        cmocka_unit_test_setup_teardown(signed_bytes_open_with_their_key, set_up,
	                                        tear_down),
	        cmocka_unit_test(whom_the_server_vouches_for_is_read),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
