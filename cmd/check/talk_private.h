// SPDX-License-Identifier: MIT
// Shared by talk.c and talk_say.c and nobody else.
#ifndef RDS_CMD_CHECK_TALK_PRIVATE_H
#define RDS_CMD_CHECK_TALK_PRIVATE_H

#include "cmd/check/talk.h"

#include "net/client.h"
#include "net/datagram.h"

struct payload {
	struct payload *next;
	size_t len;
	uint8_t bytes[];
};

struct talk {
	struct talk *next;
	struct talks *talks;
	enum talk_by by;
	char name[sizeof "websocket " + RDS_ADDR_TEXT + 256];
	struct rds_client *client;
	struct rds_datagram *datagram;
	struct rds_addr remote;
	bool is_open;
	bool is_raw;       // a session's bytes
	uint32_t late_tag; // 0, or the member that was asked for repeatedly: more may come
	enum talk_end end;
	char why[384];
	struct payload *queue; // oldest first
	size_t n_queued;
	struct payload *current; // what talk_receive has handed out
};

struct talks {
	const struct check *check;
	struct rds_loop *loop;
	struct rds_resolver *resolver;
	struct talk *all;
	struct rds_ip ips[RDS_RESOLVE_ADDRS]; // of the last look-up
	size_t n_ips;
	bool looked_up;
	char look_up_why[128];
};

uint64_t talks_in_ms(const struct talks *talks, unsigned ms);
bool talks_is_over(const struct talks *talks, uint64_t until_ms);

// Runs the loop until something has happened, or that moment has come.
void talks_wait(struct talks *talks, uint64_t until_ms);

// For --verbose: what goes which way.
void talk_show(const struct talk *talk, const char *direction, struct rds_view payload);

#endif
