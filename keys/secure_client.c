// SPDX-License-Identifier: MIT
#include "keys/secure_client.h"

#include "core/base64.h"
#include "core/message.h"

#include <sodium.h>
#include <stdlib.h>

bool rds_signed_open(const char *public_text, struct rds_view signed_bytes,
                     struct rds_view *content)
{
	uint8_t public[crypto_sign_PUBLICKEYBYTES + 2];
	if (sodium_init() < 0 ||
	    rds_base64_decode(public_text, strlen(public_text), public, sizeof public) !=
	            crypto_sign_PUBLICKEYBYTES ||
	    signed_bytes.len < RDS_SIGNATURE_BYTES)
		return false;
	*content = rds_view_of(signed_bytes.data + RDS_SIGNATURE_BYTES,
	                       signed_bytes.len - RDS_SIGNATURE_BYTES);
	return crypto_sign_verify_detached(signed_bytes.data, content->data, content->len,
	                                   public) == 0;
}

// KeyExchange{keys: [our box public key, the sealed key of the channel]}.
static size_t write_answer(const uint8_t *our_public, const uint8_t *sealed, size_t sealed_len,
                           uint8_t answer[RDS_OFFER_ANSWER_BYTES])
{
	struct rds_view keys[] = {rds_view_of(our_public, crypto_box_PUBLICKEYBYTES),
	                          rds_view_of(sealed, sealed_len)};
	struct rds_list list = {.items = keys, .n = 2};
	rds_message msg = {.which_member = rds_RendezvousMessage_key_exchange_tag};
	msg.member.key_exchange.keys = rds_list_field(&list);
	long len = rds_message_encode(&msg, answer, RDS_OFFER_ANSWER_BYTES);
	if (len < 0)
		abort(); // 87 bytes
	return (size_t)len;
}

enum rds_offer_verdict rds_offer_answer(struct rds_view offer, const char *public_text,
                                        uint8_t answer[RDS_OFFER_ANSWER_BYTES], size_t *len,
                                        struct rds_channel **channel)
{
	static const uint8_t nonce[crypto_box_NONCEBYTES];
	uint8_t public[crypto_box_PUBLICKEYBYTES];
	uint8_t secret[crypto_box_SECRETKEYBYTES];
	uint8_t key[crypto_secretbox_KEYBYTES];
	uint8_t sealed[sizeof key + crypto_box_MACBYTES];
	struct rds_view signed_key;
	struct rds_view theirs;
	if (!rds_message_keys(offer, &signed_key, 1) ||
	    signed_key.len != RDS_SIGNATURE_BYTES + crypto_box_PUBLICKEYBYTES)
		return RDS_OFFER_NONE;
	if (!rds_signed_open(public_text, signed_key, &theirs))
		return RDS_OFFER_FOREIGN;
	(void)crypto_box_keypair(public, secret);
	randombytes_buf(key, sizeof key);
	// Only a box key of low order is refused: nobody's.
	bool boxed = crypto_box_easy(sealed, key, sizeof key, nonce, theirs.data, secret) == 0;
	if (boxed) {
		*len = write_answer(public, sealed, sizeof sealed, answer);
		*channel = rds_channel_new(key);
	}
	sodium_memzero(secret, sizeof secret);
	sodium_memzero(key, sizeof key);
	return boxed ? RDS_OFFER_GOOD : RDS_OFFER_NONE;
}
