// SPDX-License-Identifier: MIT
#include "keys/keypair.h"

#include "core/alloc.h"
#include "core/base64.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/rand.h>
#include <openssl/sha.h>
#include <stdio.h>
#include <stdlib.h>

#define SEED_BYTES 32
#define DRAWS      300

struct rds_keypair {
	uint8_t secret[RDS_SECRET_BYTES];
	char public_text[RDS_PUBLIC_TEXT];
	EVP_PKEY *signer;
};

void rds_wipe(void *bytes, size_t len)
{
	OPENSSL_cleanse(bytes, len);
}

bool rds_random(void *bytes, size_t len)
{
	return RAND_bytes(bytes, (int)len) == 1;
}

// The pair of a seed, or NULL.
static struct rds_keypair *from_seed(const uint8_t seed[SEED_BYTES])
{
	struct rds_keypair *pair = rds_calloc(1, sizeof *pair);
	size_t len = RDS_PUBLIC_BYTES;
	memcpy(pair->secret, seed, SEED_BYTES);
	pair->signer = EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, NULL, seed, SEED_BYTES);
	if (pair->signer == NULL ||
	    EVP_PKEY_get_raw_public_key(pair->signer, pair->secret + SEED_BYTES, &len) != 1) {
		rds_keypair_free(pair);
		return NULL;
	}
	rds_base64_encode(pair->secret + SEED_BYTES, RDS_PUBLIC_BYTES, pair->public_text);
	return pair;
}

int rds_keypair_generate(struct rds_keypair **out, struct rds_error *err)
{
	for (int i = 0; i < DRAWS; i++) {
		uint8_t seed[SEED_BYTES];
		struct rds_keypair *pair = rds_random(seed, sizeof seed) ? from_seed(seed) : NULL;
		rds_wipe(seed, sizeof seed);
		if (pair == NULL)
			return rds_fail(err, RDS_ECRYPTO, "OpenSSL could not make an Ed25519 key");
		if (strpbrk(pair->public_text, "/:") == NULL) {
			*out = pair;
			return 0;
		}
		rds_keypair_free(pair);
	}
	return rds_fail(err, RDS_ECRYPTO,
	                "no usable key in %d draws: the random generator is broken", DRAWS);
}

static int parse_secret(const uint8_t secret[RDS_SECRET_BYTES], struct rds_keypair **out,
                        struct rds_error *err)
{
	struct rds_keypair *pair = from_seed(secret);
	if (pair == NULL)
		return rds_fail(err, RDS_ECRYPTO, "OpenSSL could not use the key");
	if (memcmp(pair->secret, secret, RDS_SECRET_BYTES) != 0) {
		rds_keypair_free(pair);
		return rds_fail(err, RDS_EPARSE, "its public half does not belong to its seed");
	}
	*out = pair;
	return 0;
}

int rds_keypair_parse(struct rds_view text, struct rds_keypair **out, struct rds_error *err)
{
	text = rds_view_trim(text);
	if (text.len == 0)
		return rds_fail(err, RDS_EPARSE, "it is empty");
	uint8_t secret[RDS_SECRET_BYTES + 3];
	long len = rds_base64_decode((const char *)text.data, text.len, secret, sizeof secret);
	int rc = len == RDS_SECRET_BYTES ? parse_secret(secret, out, err)
	         : len == -RDS_ETOOBIG
	                 ? rds_fail(err, RDS_EPARSE, "it is too long for a key (%zu characters)",
	                            text.len)
	         : len < 0 ? rds_fail(err, RDS_EPARSE, "it is not base64")
	                   : rds_fail(err, RDS_EPARSE, "it holds %ld bytes, not 64", len);
	rds_wipe(secret, sizeof secret);
	return rc;
}

void rds_keypair_free(struct rds_keypair *pair)
{
	if (pair == NULL)
		return;
	EVP_PKEY_free(pair->signer);
	rds_wipe(pair, sizeof *pair);
	free(pair);
}

const char *rds_keypair_public_text(const struct rds_keypair *pair)
{
	return pair->public_text;
}

void rds_keypair_secret_text(const struct rds_keypair *pair, char out[RDS_SECRET_TEXT])
{
	rds_base64_encode(pair->secret, sizeof pair->secret, out);
}

bool rds_keypair_sign(const struct rds_keypair *pair, struct rds_view bytes, uint8_t signature[64])
{
	size_t len = 64;
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	bool ok = ctx != NULL && EVP_DigestSignInit(ctx, NULL, NULL, NULL, pair->signer) == 1 &&
	          EVP_DigestSign(ctx, signature, &len, bytes.data, bytes.len) == 1 && len == 64;
	EVP_MD_CTX_free(ctx);
	return ok;
}

void rds_sha256_hex(struct rds_view bytes, char out[65])
{
	uint8_t hash[SHA256_DIGEST_LENGTH];
	(void)SHA256(bytes.data, bytes.len, hash);
	for (size_t i = 0; i < sizeof hash; i++)
		(void)snprintf(out + 2 * i, 3, "%02x", hash[i]);
}

bool rds_sha1(struct rds_view bytes, uint8_t out[20])
{
	return EVP_Digest(bytes.data, bytes.len, out, NULL, EVP_sha1(), NULL) == 1;
}

// Bytes that text stands for if it is base64 of at most cap of them, else -1.
static long decoded(struct rds_view text, uint8_t *out, size_t cap)
{
	return rds_base64_decode((const char *)text.data, text.len, out, cap);
}

void rds_fingerprint(struct rds_view public_text, char out[RDS_FINGERPRINT_TEXT])
{
	uint8_t key[RDS_PUBLIC_BYTES + 3];
	if (decoded(public_text, key, sizeof key) != RDS_PUBLIC_BYTES) {
		(void)snprintf(out, RDS_FINGERPRINT_TEXT, "%s",
		               public_text.len == 0 ? "none" : "not a key");
		return;
	}
	uint8_t hash[SHA256_DIGEST_LENGTH];
	(void)SHA256(key, RDS_PUBLIC_BYTES, hash);
	static const char head[] = "SHA256:";
	memcpy(out, head, sizeof head);
	rds_base64_encode(hash, sizeof hash, out + sizeof head - 1);
	out[strcspn(out, "=")] = '\0';
}

bool rds_text_is_public_key(struct rds_view text)
{
	uint8_t bytes[RDS_PUBLIC_BYTES + 3];
	return decoded(text, bytes, sizeof bytes) == RDS_PUBLIC_BYTES;
}

const char *rds_openssl_version(void)
{
	return OpenSSL_version(OPENSSL_VERSION_STRING);
}
