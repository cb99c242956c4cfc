// SPDX-License-Identifier: MIT
// Goal: the synthetic peers of the benchmarks. Peer i has an id, a uuid, a key and an address that
// follow from i, so that those who make the database and those who generate load agree.
#ifndef RDS_TEST_BENCH_PEERS_H
#define RDS_TEST_BENCH_PEERS_H

#include <stdint.h>

#define PEERS_ID_BYTES   9  // digits, as most ids of clients are
#define PEERS_UUID_BYTES 36 // as text, the way Windows clients send it
#define PEERS_PK_BYTES   32

// Peers behind one address: few enough for the limits on registrations.
#define PEERS_PER_SOURCE 16

struct peer_texts {
	uint8_t id[PEERS_ID_BYTES];
	uint8_t uuid[PEERS_UUID_BYTES];
	uint8_t pk[PEERS_PK_BYTES];
};

void peers_texts(uint32_t i, struct peer_texts *out);

// The address (127.x.y.z, host order) of source number n.
uint32_t peers_source(uint32_t n);

// Of `peers` peers, which share peers / PEERS_PER_SOURCE sources, the source of peer i: those
// behind one address lie far apart in the database.
uint32_t peers_source_of(uint32_t i, uint32_t peers);

#endif
