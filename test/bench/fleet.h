// SPDX-License-Identifier: MIT
// Goal: a fleet of clients that stay registered for minutes: what its parts share.
#ifndef RDS_TEST_BENCH_FLEET_H
#define RDS_TEST_BENCH_FLEET_H

#include "test/bench/peers.h"

#include <netinet/in.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

// Which peers, by their numbers among the synthetic ones, and where they register.
struct fleet_part {
	struct sockaddr_in server;
	struct sockaddr_in websocket;
	uint32_t first;
	uint32_t n;
	uint32_t n_websocket;   // of connections: the last ones of n
	atomic_uint registered; // have had their OK
	atomic_uint lost;       // are registered no more
	atomic_uint repeats;    // datagrams that had no answer in time
	atomic_uint heartbeats; // echoed
	atomic_bool stop;
};

// The address (host order) of a peer, ten of which share one.
static inline uint32_t fleet_source(uint32_t i)
{
	return peers_source(i / 10);
}

// A thread's work: registers the peers of its part (arg) and keeps them registered until stop.
void *fleet_udp(void *arg);
void *fleet_conns(void *arg);

#endif
