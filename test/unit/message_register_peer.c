// SPDX-License-Identifier: MIT
// Goal: RegisterPeer, which is decoded by hand where clients write it plainly, means the same to
// that decoder as to nanopb: whatever is done to its bytes.
#include "test/unit/testing.h"

#include "core/error.h"
#include "core/message.h"

enum { ROUNDS = 200000, MOST_BYTES = 320 };

// A field that nobody knows (number 500, a varint) in front makes it nanopb's, and changes nothing.
static int decode_by_nanopb(struct rds_view payload, rds_message *msg)
{
	uint8_t bytes[MOST_BYTES + 3];
	memcpy(bytes, "\xa0\x1f\x00", 3);
	memcpy(bytes + 3, payload.data, payload.len);
	return rds_message_decode(rds_view_of(bytes, payload.len + 3), msg);
}

// Whether it is one.
static bool check(struct rds_view payload)
{
	rds_message by_hand;
	rds_message by_nanopb;
	int rc = rds_message_decode(payload, &by_hand);
	assert_int_equal(decode_by_nanopb(payload, &by_nanopb), rc);
	if (rc != 0)
		return false;
	assert_int_equal(by_hand.which_member, by_nanopb.which_member);
	if (by_hand.which_member != rds_RendezvousMessage_register_peer_tag)
		return false;
	const rds_RegisterPeer *a = &by_hand.member.register_peer;
	const rds_RegisterPeer *b = &by_nanopb.member.register_peer;
	assert_int_equal(a->serial, b->serial);
	assert_views_equal(rds_get(a->id), rds_get(b->id));
	return true;
}

static size_t write_register_peer(struct testing_random *random, uint8_t out[MOST_BYTES])
{
	size_t id =
	        random_below(random, 4) == 0 ? random_below(random, 140) : random_below(random, 12);
	size_t serial = random_below(random, 3);
	uint8_t *at = out;
	*at++ = 0x32;
	*at++ = (uint8_t)(2 + id + (serial > 0 ? 2 : 0));
	*at++ = 0x0a;
	*at++ = (uint8_t)id;
	memset(at, 'i', id);
	at += id;
	if (serial > 0) {
		*at++ = 0x10;
		*at++ = (uint8_t)(serial == 1 ? 3 : random_below(random, 256));
	}
	return (size_t)(at - out);
}

static void decoders_agree(void **state)
{
	(void)state;
	struct testing_random random = {1};
	size_t good = 0;
	for (int round = 0; round < ROUNDS; round++) {
		uint8_t bytes[MOST_BYTES];
		size_t len = write_register_peer(&random, bytes);
		for (size_t n = random_below(&random, 3); n > 0; n--)
			bytes[random_below(&random, 8) % len] = (uint8_t)random_next(&random);
		if (random_below(&random, 4) == 0)
			len = random_below(&random, len + 1);
		good += check(rds_view_of(bytes, len));
	}
	assert_true(good > ROUNDS / 4 && good < ROUNDS);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(decoders_agree)};
	return cmocka_run_group_tests_name("message_register_peer", tests, NULL, NULL);
}
