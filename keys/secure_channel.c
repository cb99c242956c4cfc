// SPDX-License-Identifier: MIT
#include "keys/secure_channel.h"

#include "core/alloc.h"
#include "core/limits.h"
#include "core/message.h"

#include <sodium.h>
#include <stdlib.h>

#define HOUR_MS      (60 * 60 * 1000)
#define SEALED_BYTES (crypto_secretbox_KEYBYTES + crypto_box_MACBYTES)

struct box_key {
	uint8_t secret[crypto_box_SECRETKEYBYTES];
	uint8_t public[crypto_box_PUBLICKEYBYTES];
};

struct offer {
	uint32_t key; // the handle of the server's key that signed it
	size_t len;   // 0: can't be signed
	uint8_t bytes[256];
};

struct rds_offerer {
	struct rds_key_hooks keys;
	struct box_key now;
	struct box_key before; // for answers to offers made just before the change
	uint64_t since_ms;     // when `now` was made
	bool has_before;
	struct offer offers[RDS_OFFERED_KEYS];
	size_t n_offers;
};

struct rds_channel {
	uint8_t key[crypto_secretbox_KEYBYTES];
	uint64_t received;
	uint64_t sent;
};

// KeyExchange{keys: [signature and box public key]}.
static void write_offer(const struct rds_offerer *offerer, struct offer *offer)
{
	uint8_t signed_key[RDS_SIGNATURE_BYTES + crypto_box_PUBLICKEYBYTES];
	struct rds_view box = rds_view_of(offerer->now.public, sizeof offerer->now.public);
	offer->len = 0;
	if (!offerer->keys.sign(offerer->keys.ctx, offer->key, box, signed_key))
		return;
	memcpy(signed_key + RDS_SIGNATURE_BYTES, box.data, box.len);
	struct rds_view item = rds_view_of(signed_key, sizeof signed_key);
	struct rds_list list = {.items = &item, .n = 1};
	rds_message msg = {.which_member = rds_RendezvousMessage_key_exchange_tag};
	msg.member.key_exchange.keys = rds_list_field(&list);
	long len = rds_message_encode(&msg, offer->bytes, sizeof offer->bytes);
	offer->len = len < 0 ? 0 : (size_t)len;
}

static void write_offers(struct rds_offerer *offerer)
{
	for (size_t i = 0; i < offerer->n_offers; i++)
		write_offer(offerer, &offerer->offers[i]);
}

void rds_offerer_set_keys(struct rds_offerer *offerer, const uint32_t *handles, size_t n)
{
	offerer->n_offers = n < RDS_OFFERED_KEYS ? n : RDS_OFFERED_KEYS;
	for (size_t i = 0; i < offerer->n_offers; i++)
		offerer->offers[i].key = handles[i];
	write_offers(offerer);
}

struct rds_offerer *rds_offerer_new(const struct rds_key_hooks *keys, const uint8_t seed[32])
{
	struct rds_offerer *offerer = rds_calloc(1, sizeof *offerer);
	offerer->keys = *keys;
	if (sodium_init() < 0)
		abort(); // no random numbers: nothing can go on
	if (seed == NULL) {
		(void)crypto_box_keypair(offerer->now.public, offerer->now.secret);
	} else {
		memcpy(offerer->now.secret, seed, sizeof offerer->now.secret);
		(void)crypto_scalarmult_base(offerer->now.public, seed);
	}
	const uint32_t current = RDS_KEY_CURRENT;
	rds_offerer_set_keys(offerer, &current, 1);
	return offerer;
}

void rds_offerer_free(struct rds_offerer *offerer)
{
	if (offerer == NULL)
		return;
	sodium_memzero(offerer, sizeof *offerer);
	free(offerer);
}

// The clock starts with the first question; after an hour there is a new key.
static void renew(struct rds_offerer *offerer, uint64_t now_ms)
{
	if (offerer->since_ms == 0)
		offerer->since_ms = now_ms;
	// Whoever got the old offer answers within seconds.
	if (offerer->has_before && now_ms - offerer->since_ms >= RDS_CONN_IDLE_MS) {
		sodium_memzero(&offerer->before, sizeof offerer->before);
		offerer->has_before = false;
	}
	if (now_ms - offerer->since_ms < HOUR_MS)
		return;
	offerer->before = offerer->now;
	offerer->has_before = true;
	offerer->since_ms = now_ms;
	(void)crypto_box_keypair(offerer->now.public, offerer->now.secret);
	write_offers(offerer);
}

struct rds_view rds_offerer_offer(struct rds_offerer *offerer, uint64_t now_ms, uint32_t key)
{
	renew(offerer, now_ms);
	size_t at = 0;
	for (size_t i = 0; i < offerer->n_offers; i++)
		if (offerer->offers[i].key == key)
			at = i;
	return offerer->n_offers == 0
	               ? rds_view_of(NULL, 0)
	               : rds_view_of(offerer->offers[at].bytes, offerer->offers[at].len);
}

static bool open_box(const struct box_key *box, struct rds_view their_public,
                     struct rds_view sealed, uint8_t key[crypto_secretbox_KEYBYTES])
{
	static const uint8_t nonce[crypto_box_NONCEBYTES];
	return crypto_box_open_easy(key, sealed.data, sealed.len, nonce, their_public.data,
	                            box->secret) == 0;
}

struct rds_channel *rds_offerer_accept(struct rds_offerer *offerer, uint64_t now_ms,
                                       struct rds_view payload)
{
	struct rds_view keys[2];
	uint8_t key[crypto_secretbox_KEYBYTES];
	struct rds_channel *channel = NULL;
	renew(offerer, now_ms);
	if (rds_message_keys(payload, keys, 2) && keys[0].len == crypto_box_PUBLICKEYBYTES &&
	    keys[1].len == SEALED_BYTES &&
	    (open_box(&offerer->now, keys[0], keys[1], key) ||
	     (offerer->has_before && open_box(&offerer->before, keys[0], keys[1], key))))
		channel = rds_channel_new(key);
	sodium_memzero(key, sizeof key);
	return channel;
}

struct rds_channel *rds_channel_new(const uint8_t key[32])
{
	struct rds_channel *channel = rds_calloc(1, sizeof *channel);
	memcpy(channel->key, key, sizeof channel->key);
	return channel;
}

void rds_channel_free(struct rds_channel *channel)
{
	if (channel == NULL)
		return;
	sodium_memzero(channel, sizeof *channel);
	free(channel);
}

// The message's number, little-endian, then zeros.
static void make_nonce(uint64_t number, uint8_t nonce[crypto_secretbox_NONCEBYTES])
{
	memset(nonce, 0, crypto_secretbox_NONCEBYTES);
	for (size_t i = 0; i < 8; i++)
		nonce[i] = (uint8_t)(number >> (8 * i));
}

bool rds_channel_open(struct rds_channel *channel, struct rds_view sealed, uint8_t *plain)
{
	uint8_t nonce[crypto_secretbox_NONCEBYTES];
	make_nonce(++channel->received, nonce);
	return sealed.len >= RDS_SEAL_BYTES &&
	       crypto_secretbox_open_easy(plain, sealed.data, sealed.len, nonce, channel->key) == 0;
}

void rds_channel_seal(struct rds_channel *channel, struct rds_view plain, uint8_t *sealed)
{
	uint8_t nonce[crypto_secretbox_NONCEBYTES];
	make_nonce(++channel->sent, nonce);
	(void)crypto_secretbox_easy(sealed, plain.data, plain.len, nonce, channel->key);
}

const char *rds_sodium_version(void)
{
	return sodium_version_string();
}
