// SPDX-License-Identifier: MIT
// The server's Ed25519 key pair (protocol.md section 2, Keys). Secret bytes don't leave keys/.
#ifndef RDS_KEYS_KEYPAIR_H
#define RDS_KEYS_KEYPAIR_H

#include "core/error.h"
#include "core/view.h"

#define RDS_PUBLIC_BYTES 32
#define RDS_SECRET_BYTES 64 // the seed, then the public key
// Room for the texts, NUL included.
#define RDS_PUBLIC_TEXT      45
#define RDS_SECRET_TEXT      89
#define RDS_FINGERPRINT_TEXT 64

struct rds_keypair;

// A new pair whose public text can be part of a file name. -RDS_ECRYPTO.
int rds_keypair_generate(struct rds_keypair **out, struct rds_error *err)
        __attribute__((warn_unused_result));

// The pair from the text of an id_ed25519, white space around it tolerated. -RDS_EPARSE, with
// *err naming the fault ("32 bytes, not 64") but not where the text came from.
int rds_keypair_parse(struct rds_view text, struct rds_keypair **out, struct rds_error *err)
        __attribute__((warn_unused_result));

// Wipes and frees; NULL is fine.
void rds_keypair_free(struct rds_keypair *pair);

// The public key's base64: the `key` that clients are given. Lives as long as the pair.
const char *rds_keypair_public_text(const struct rds_keypair *pair);

// The text of id_ed25519. The caller wipes it with rds_wipe.
void rds_keypair_secret_text(const struct rds_keypair *pair, char out[RDS_SECRET_TEXT]);

// false if the crypto library refuses.
bool rds_keypair_sign(const struct rds_keypair *pair, struct rds_view bytes, uint8_t signature[64]);

// "SHA256:" and the unpadded base64 of the SHA-256 of the 32 bytes that text stands for; for
// a text that is no public key, "none" (empty) or "not a key".
void rds_fingerprint(struct rds_view public_text, char out[RDS_FINGERPRINT_TEXT]);

// Whether text is the base64 of 32 bytes.
bool rds_text_is_public_key(struct rds_view text);

// SHA-256 of bytes in hexadecimal, NUL-terminated.
void rds_sha256_hex(struct rds_view bytes, char out[65]);

// SHA-1, which WebSocket's opening handshake wants and nothing else should.
bool rds_sha1(struct rds_view bytes, uint8_t out[20]);

// Overwrites what the compiler may otherwise leave.
void rds_wipe(void *bytes, size_t len);

// len random bytes; false if there is no randomness.
bool rds_random(void *bytes, size_t len);

// Of OpenSSL, as it is in use.
const char *rds_openssl_version(void);

#endif
