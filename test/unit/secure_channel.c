// SPDX-License-Identifier: MIT
// Goal: the secure channel (protocol.md section 6): known answers both ways, what does not open,
// the hourly key.
#include "test/unit/testing.h"

#include "core/base64.h"
#include "core/message.h"
#include "keys/keypair.h"
#include "keys/secure_channel.h"

#include <sodium.h>

#define HOUR_MS   3600000
#define SEALED    48 // a 32-byte key in a box
#define FRAME_MAX 1024

static cJSON *vector;
static struct rds_keypair *pair;
static uint8_t public_key[crypto_sign_PUBLICKEYBYTES];
static unsigned signatures;

static bool sign(void *ctx, uint32_t held, struct rds_view bytes,
                 uint8_t signature[RDS_SIGNATURE_BYTES])
{
	(void)ctx;
	(void)held;
	signatures++;
	return rds_keypair_sign(pair, bytes, signature);
}

static bool sign_nothing(void *ctx, uint32_t held, struct rds_view bytes,
                         uint8_t signature[RDS_SIGNATURE_BYTES])
{
	(void)ctx;
	(void)held;
	(void)bytes;
	(void)signature;
	return false;
}

static const struct rds_key_hooks hooks = {.sign = sign};

static int set_up(void **state)
{
	(void)state;
	uint8_t secret[crypto_sign_SECRETKEYBYTES];
	uint8_t seed[crypto_sign_SEEDBYTES];
	char text[RDS_BASE64_LEN(sizeof secret) + 1];
	struct rds_error err = {""};
	if (sodium_init() < 0)
		return -1;
	vector = vectors_open("secure_channel.json");
	(void)member_hex(vector, "server_seed", seed, sizeof seed);
	(void)crypto_sign_seed_keypair(public_key, secret, seed); // the seed, then the public key
	rds_base64_encode(secret, sizeof secret, text);
	signatures = 0;
	return rds_keypair_parse(rds_view_text(text), &pair, &err);
}

static int tear_down(void **state)
{
	(void)state;
	rds_keypair_free(pair);
	cJSON_Delete(vector);
	return 0;
}

static struct rds_offerer *known_offerer(void)
{
	uint8_t secret[32];
	(void)member_hex(vector, "server_box_secret", secret, sizeof secret);
	return rds_offerer_new(&hooks, secret);
}

static struct rds_channel *known_channel(void)
{
	uint8_t key[32];
	(void)member_hex(vector, "symmetric_key", key, sizeof key);
	return rds_channel_new(key);
}

// The keys in a KeyExchange.
static size_t keys_in(struct rds_view payload, struct rds_view *keys, size_t cap)
{
	rds_message msg;
	size_t n = 0;
	assert_int_equal(rds_message_decode(payload, &msg), 0);
	struct rds_cursor at = rds_cursor_of(payload, rds_RendezvousMessage_key_exchange_tag,
	                                     rds_KeyExchange_keys_tag);
	while (n < cap && rds_cursor_next(&at, &keys[n]))
		n++;
	return n;
}

static struct rds_view exchange(const struct rds_view *keys, size_t n, uint8_t *out, size_t cap)
{
	struct rds_list list = {.items = keys, .n = n};
	rds_message msg = {.which_member = rds_RendezvousMessage_key_exchange_tag};
	msg.member.key_exchange.keys = rds_list_field(&list);
	long len = rds_message_encode(&msg, out, cap);
	assert_true(len >= 0);
	return rds_view_of(out, (size_t)len);
}

// What a client does: checks the offer, takes a key and seals it. Returns its answer.
static struct rds_view answer(struct rds_view offer, const uint8_t key[32], uint8_t out[256])
{
	static const uint8_t nonce[crypto_box_NONCEBYTES];
	uint8_t mine[crypto_box_PUBLICKEYBYTES];
	uint8_t secret[crypto_box_SECRETKEYBYTES];
	uint8_t sealed[SEALED];
	struct rds_view keys[2] = {{0}};
	assert_int_equal(keys_in(offer, keys, 2), 1); // or clients give up
	assert_int_equal(keys[0].len, RDS_SIGNATURE_BYTES + 32);
	const uint8_t *box = keys[0].data + RDS_SIGNATURE_BYTES;
	assert_int_equal(crypto_sign_verify_detached(keys[0].data, box, 32, public_key), 0);
	(void)crypto_box_keypair(mine, secret);
	assert_int_equal(crypto_box_easy(sealed, key, 32, nonce, box, secret), 0);
	keys[0] = rds_view_of(mine, sizeof mine);
	keys[1] = rds_view_of(sealed, sizeof sealed);
	return exchange(keys, 2, out, 256);
}

static void offer_is_the_known_one(void **state)
{
	(void)state;
	uint8_t expected[256];
	struct rds_offerer *offerer = known_offerer();
	struct rds_view known = member_hex(vector, "offer", expected, sizeof expected);
	for (uint64_t now_ms = 1; now_ms < HOUR_MS; now_ms += HOUR_MS / 10)
		assert_views_equal(rds_offerer_offer(offerer, now_ms, RDS_KEY_CURRENT), known);
	assert_int_equal(signatures, 1); // once for each key, not for each connection
	rds_offerer_free(offerer);
}

// What one side seals the other opens, and both are the known bytes.
static void known_answer_opens_known_frames(void **state)
{
	(void)state;
	uint8_t bytes[256];
	struct rds_offerer *offerer = known_offerer();
	struct rds_view payload = member_hex(vector, "answer", bytes, sizeof bytes);
	struct rds_channel *server = rds_offerer_accept(offerer, 1000, payload);
	assert_non_null(server);
	struct rds_channel *client = known_channel();
	const cJSON *frame;
	double sequence = 0;
	cJSON_ArrayForEach(frame, member(vector, "frames"))
	{
		uint8_t plain_bytes[FRAME_MAX];
		uint8_t sealed_bytes[FRAME_MAX];
		uint8_t out[FRAME_MAX];
		struct rds_view plain = member_hex(frame, "plain", plain_bytes, FRAME_MAX);
		struct rds_view sealed = member_hex(frame, "sealed", sealed_bytes, FRAME_MAX);
		assert_true(member_number(frame, "sequence") == ++sequence);
		assert_int_equal(sealed.len, plain.len + RDS_SEAL_BYTES);
		assert_true(rds_channel_open(server, sealed, out));
		assert_views_equal(rds_view_of(out, plain.len), plain);
		rds_channel_seal(server, plain, out);
		assert_views_equal(rds_view_of(out, sealed.len), sealed);
		assert_true(rds_channel_open(client, rds_view_of(out, sealed.len), out));
		assert_views_equal(rds_view_of(out, plain.len), plain);
		rds_channel_seal(client, plain, out);
		assert_views_equal(rds_view_of(out, sealed.len), sealed);
	}
	assert_true(sequence > 0);
	rds_channel_free(server);
	rds_channel_free(client);
	rds_offerer_free(offerer);
}

// The frames' numbers go on beyond one byte of the nonce.
static void long_conversations_stay_in_step(void **state)
{
	(void)state;
	struct rds_channel *one = known_channel();
	struct rds_channel *other = known_channel();
	uint8_t sealed[2 + RDS_SEAL_BYTES];
	uint8_t out[2];
	for (unsigned i = 0; i < 70000; i++) {
		uint8_t plain[2] = {(uint8_t)i, (uint8_t)(i >> 8)};
		rds_channel_seal(one, rds_view_of(plain, 2), sealed);
		assert_true(rds_channel_open(other, rds_view_of(sealed, sizeof sealed), out));
		assert_memory_equal(out, plain, 2);
	}
	rds_channel_free(one);
	rds_channel_free(other);
}

static struct rds_view known_sealed(int which, uint8_t out[FRAME_MAX])
{
	const cJSON *frames = member(vector, "frames");
	return member_hex(cJSON_GetArrayItem(frames, which), "sealed", out, FRAME_MAX);
}

static void replayed_skipped_and_altered_frames_do_not_open(void **state)
{
	(void)state;
	uint8_t bytes[FRAME_MAX];
	uint8_t out[FRAME_MAX];
	struct rds_view sealed = known_sealed(0, bytes);
	struct rds_channel *replayed = known_channel();
	assert_true(rds_channel_open(replayed, sealed, out));
	assert_false(rds_channel_open(replayed, sealed, out));
	rds_channel_free(replayed);

	struct rds_channel *skipped = known_channel();
	sealed = known_sealed(1, bytes);
	assert_false(rds_channel_open(skipped, sealed, out));
	rds_channel_free(skipped);

	sealed = known_sealed(2, bytes);
	for (size_t i = 0; i < sealed.len * 8; i++) {
		struct rds_channel *altered = known_channel();
		uint8_t first[FRAME_MAX];
		assert_true(rds_channel_open(altered, known_sealed(0, first), out));
		assert_true(rds_channel_open(altered, known_sealed(1, first), out));
		bytes[i / 8] ^= (uint8_t)(1U << i % 8);
		assert_false(rds_channel_open(altered, sealed, out));
		bytes[i / 8] ^= (uint8_t)(1U << i % 8);
		rds_channel_free(altered);
	}
}

static void short_frames_do_not_open(void **state)
{
	(void)state;
	uint8_t bytes[FRAME_MAX];
	uint8_t out[FRAME_MAX];
	struct rds_view sealed = known_sealed(0, bytes);
	for (size_t len = 0; len < sealed.len; len++) {
		struct rds_channel *channel = known_channel();
		assert_false(rds_channel_open(channel, rds_view_of(bytes, len), out));
		rds_channel_free(channel);
	}
}

static void assert_refused(struct rds_offerer *offerer, struct rds_view payload)
{
	struct rds_channel *channel = rds_offerer_accept(offerer, 1000, payload);
	assert_null(channel);
	rds_channel_free(channel);
}

// Exactly two keys of the right lengths.
static void other_numbers_and_lengths_of_keys_are_refused(void **state)
{
	(void)state;
	uint8_t bytes[256];
	uint8_t out[512];
	struct rds_view k[2] = {{0}};
	struct rds_offerer *offerer = known_offerer();
	struct rds_view known = member_hex(vector, "answer", bytes, sizeof bytes);
	assert_int_equal(keys_in(known, k, 2), 2);
	struct rds_view keys[3] = {k[0], k[1], k[0]};
	for (size_t n = 0; n <= 3; n++)
		if (n != 2)
			assert_refused(offerer, exchange(keys, n, out, sizeof out));
	struct rds_view swapped[2] = {k[1], k[0]};
	assert_refused(offerer, exchange(swapped, 2, out, sizeof out));
	for (size_t which = 0; which < 2; which++) {
		struct rds_view cut[2] = {k[0], k[1]};
		for (size_t len = 0; len < k[which].len; len++) {
			cut[which].len = len;
			assert_refused(offerer, exchange(cut, 2, out, sizeof out));
		}
		uint8_t longer[SEALED + 1] = {0};
		memcpy(longer, k[which].data, k[which].len);
		cut[which] = rds_view_of(longer, k[which].len + 1);
		assert_refused(offerer, exchange(cut, 2, out, sizeof out));
	}
	rds_offerer_free(offerer);
}

static void wrong_keys_and_other_messages_are_refused(void **state)
{
	(void)state;
	uint8_t bytes[256];
	uint8_t out[256];
	struct rds_view k[2] = {{0}};
	struct rds_offerer *offerer = known_offerer();
	struct rds_view known = member_hex(vector, "answer", bytes, sizeof bytes);
	assert_int_equal(keys_in(known, k, 2), 2);
	for (size_t i = 0; i < SEALED; i++) {
		size_t at = (size_t)(k[1].data - bytes) + i;
		bytes[at] ^= 1;
		assert_refused(offerer, known);
		bytes[at] ^= 1;
	}
	uint8_t zero[32] = {0}; // a key that no secret goes with
	struct rds_view keys[2] = {rds_view_of(zero, sizeof zero), k[1]};
	assert_refused(offerer, exchange(keys, 2, out, sizeof out));
	for (size_t len = 0; len < known.len; len++)
		assert_refused(offerer, rds_view_of(bytes, len));
	rds_message other = {.which_member = rds_RendezvousMessage_register_peer_tag};
	long len = rds_message_encode(&other, out, sizeof out);
	assert_true(len > 0);
	assert_refused(offerer, rds_view_of(out, (size_t)len));
	// Nothing of that has spoilt it for the next.
	struct rds_channel *channel = rds_offerer_accept(offerer, 1000, known);
	assert_non_null(channel);
	rds_channel_free(channel);
	rds_offerer_free(offerer);
}

// Keys are drawn, not known, where no seed is given.
static void unseeded_offers_differ(void **state)
{
	(void)state;
	uint8_t key[32] = {7};
	uint8_t out[256];
	struct rds_offerer *one = rds_offerer_new(&hooks, NULL);
	struct rds_offerer *other = rds_offerer_new(&hooks, NULL);
	struct rds_view payload = answer(rds_offerer_offer(one, 1, RDS_KEY_CURRENT), key, out);
	assert_refused(other, payload);
	struct rds_channel *channel = rds_offerer_accept(one, 1, payload);
	assert_non_null(channel);
	rds_channel_free(channel);
	rds_offerer_free(one);
	rds_offerer_free(other);
}

static bool opens(struct rds_offerer *offerer, uint64_t now_ms, struct rds_view payload)
{
	struct rds_channel *channel = rds_offerer_accept(offerer, now_ms, payload);
	rds_channel_free(channel);
	return channel != NULL;
}

static void key_is_renewed_every_hour(void **state)
{
	(void)state;
	static const uint64_t starts[] = {1000, 5 * HOUR_MS + 17};
	uint8_t key[32] = {7};
	uint8_t bytes[2][256];
	for (size_t i = 0; i < COUNT(starts); i++) {
		uint64_t t = starts[i];
		struct rds_offerer *offerer = known_offerer();
		signatures = 0;
		struct rds_view first =
		        answer(rds_offerer_offer(offerer, t, RDS_KEY_CURRENT), key, bytes[0]);
		assert_true(opens(offerer, t + HOUR_MS - 1, first));
		assert_int_equal(signatures, 0);
		t += HOUR_MS;
		struct rds_view second =
		        answer(rds_offerer_offer(offerer, t, RDS_KEY_CURRENT), key, bytes[1]);
		assert_int_equal(signatures, 1);
		assert_true(opens(offerer, t, second));
		// The answer to an offer made just before still opens for 30 s.
		assert_true(opens(offerer, t + 29999, first));
		assert_false(opens(offerer, t + 30000, first));
		assert_false(opens(offerer, t + 30001, first));
		assert_true(opens(offerer, t + HOUR_MS - 1, second));
		// The answer itself may be what finds the hour over.
		assert_true(opens(offerer, t + HOUR_MS + 5, second));
		assert_int_equal(signatures, 2);
		assert_false(opens(offerer, t + HOUR_MS + 5, first));
		rds_offerer_free(offerer);
	}
}

static void nothing_to_sign_with_is_an_empty_offer(void **state)
{
	(void)state;
	static const struct rds_key_hooks silent = {.sign = sign_nothing};
	struct rds_offerer *offerer = rds_offerer_new(&silent, NULL);
	assert_int_equal(rds_offerer_offer(offerer, 1000, RDS_KEY_CURRENT).len, 0);
	assert_int_equal(rds_offerer_offer(offerer, 1000 + 2 * HOUR_MS, RDS_KEY_CURRENT).len, 0);
	rds_offerer_free(offerer);
}

static void freeing_nothing_is_fine(void **state)
{
	(void)state;
	rds_offerer_free(NULL);
	rds_channel_free(NULL);
}

int main(void)
{
#define ROW(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
	const struct CMUnitTest tests[] = {
	        ROW(offer_is_the_known_one),
	        ROW(known_answer_opens_known_frames),
	        ROW(long_conversations_stay_in_step),
	        ROW(replayed_skipped_and_altered_frames_do_not_open),
	        ROW(short_frames_do_not_open),
	        ROW(other_numbers_and_lengths_of_keys_are_refused),
	        ROW(wrong_keys_and_other_messages_are_refused),
	        ROW(unseeded_offers_differ),
	        ROW(key_is_renewed_every_hour),
	        ROW(nothing_to_sign_with_is_an_empty_offer),
	        cmocka_unit_test(freeing_nothing_is_fine),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
