// SPDX-License-Identifier: MIT
// Which of the server's keys a client is offered a secure channel with (protocol.md section 6),
// while several are accepted: the offer comes before the client has said which it holds. Sources
// are IPv4 addresses and IPv6 /64s.
#ifndef RDS_CORE_KEY_CHOICE_H
#define RDS_CORE_KEY_CHOICE_H

#include "core/addr.h"
#include "core/table.h"

struct rds_key_choice;

struct rds_key_choice *rds_key_choice_new(const struct rds_seed *seed);
void rds_key_choice_free(struct rds_key_choice *choice);

// The key to be offered now, one of the n (at least one) that there are, the current one first: the
// one with which an exchange from there opened last; after one that was refused, the next.
uint32_t rds_key_choice_next(struct rds_key_choice *choice, const struct rds_ip *from,
                             const uint32_t *keys, size_t n);

// An exchange with this key has opened.
void rds_key_choice_opened(struct rds_key_choice *choice, const struct rds_ip *from, uint32_t key);

// A client there has read the offer of this key and left, as one that holds another key does. One
// that went on plainly, or never read it, says nothing about its key.
void rds_key_choice_refused(struct rds_key_choice *choice, const struct rds_ip *from, uint32_t key);

#endif
