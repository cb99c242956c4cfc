// SPDX-License-Identifier: MIT
// The client's side of what the server signs: its offer of a secure channel (protocol.md section
// 6), and whom it vouches for (section 7).
#ifndef RDS_KEYS_SECURE_CLIENT_H
#define RDS_KEYS_SECURE_CLIENT_H

#include "core/secure_hooks.h"
#include "keys/secure_channel.h"

// Opens signed bytes (section 2) with a public key's text; *content views what was signed. false:
// the signature is another key's, or there is none.
bool rds_signed_open(const char *public_text, struct rds_view signed_bytes,
                     struct rds_view *content) __attribute__((warn_unused_result));

enum rds_offer_verdict {
	RDS_OFFER_GOOD,
	RDS_OFFER_NONE,    // the payload is no offer
	RDS_OFFER_FOREIGN, // signed with another key
};

// Reads the first payload of a connection. A good one is answered: the payload to be sent goes to
// answer, *len bytes of it, and the channel that is in force then to *channel, the caller's.
#define RDS_OFFER_ANSWER_BYTES 128
enum rds_offer_verdict rds_offer_answer(struct rds_view offer, const char *public_text,
                                        uint8_t answer[RDS_OFFER_ANSWER_BYTES], size_t *len,
                                        struct rds_channel **channel);

#endif
