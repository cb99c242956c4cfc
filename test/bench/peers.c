// SPDX-License-Identifier: MIT
#include "test/bench/peers.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#define FIRST_ID     100000000U
#define FIRST_SOURCE 0x7f010001U // 127.1.0.1

// Any bytes that differ from peer to peer (splitmix64).
static uint64_t scrambled(uint64_t x)
{
	x += 0x9e3779b97f4a7c15;
	x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9;
	x = (x ^ (x >> 27)) * 0x94d049bb133111eb;
	return x ^ (x >> 31);
}

void peers_texts(uint32_t i, struct peer_texts *out)
{
	char text[PEERS_UUID_BYTES + 1];
	uint64_t a = scrambled(i);
	uint64_t b = scrambled(a);
	uint32_t id = FIRST_ID + i;
	for (size_t digit = PEERS_ID_BYTES; digit-- > 0; id /= 10)
		out->id[digit] = (uint8_t)('0' + id % 10);
	(void)snprintf(text, sizeof text, "%08x-%04x-%04x-%04x-%012llx", (uint32_t)(a >> 32),
	               (uint32_t)(a >> 16) & 0xffff, (uint32_t)a & 0xffff,
	               (uint32_t)(b >> 48) & 0xffff, (unsigned long long)(b & 0xffffffffffff));
	memcpy(out->uuid, text, PEERS_UUID_BYTES);
	for (size_t word = 0; word < PEERS_PK_BYTES / sizeof b; word++) {
		b = scrambled(b);
		memcpy(out->pk + word * sizeof b, &b, sizeof b);
	}
}

uint32_t peers_source(uint32_t n)
{
	assert(n < 0x00fe0000);
	return FIRST_SOURCE + n;
}

uint32_t peers_source_of(uint32_t i, uint32_t peers)
{
	return peers_source(i % (peers / PEERS_PER_SOURCE));
}
