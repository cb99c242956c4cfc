// SPDX-License-Identifier: MIT
// Peers over UDP, each at a socket of its own: RegisterPk until it is OK, then RegisterPeer every
// 15 s, evenly spread.
#include "test/bench/fleet.h"
#include "test/bench/peers.h"
#include "test/bench/tool.h"
#include "test/bench/wire.h"

#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define ROUND_US 15000000
#define AT_ONCE  256 // registrations under way
#define EVENTS   256

struct udp_peer {
	int fd;
	bool registered;
	bool waits; // for an answer to the last datagram
};

struct udp_fleet {
	struct fleet_part *part;
	struct udp_peer *peers;
	int epoll;
};

static void open_peer(struct udp_fleet *fleet, uint32_t k)
{
	struct sockaddr_in own = {.sin_family = AF_INET};
	struct epoll_event event = {.events = EPOLLIN, .data.u32 = k};
	struct udp_peer *peer = &fleet->peers[k];
	own.sin_addr.s_addr = htonl(fleet_source(fleet->part->first + k));
	peer->fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (peer->fd < 0 || bind(peer->fd, (const struct sockaddr *)&own, sizeof own) != 0 ||
	    connect(peer->fd, (const struct sockaddr *)&fleet->part->server,
	            sizeof fleet->part->server) != 0 ||
	    epoll_ctl(fleet->epoll, EPOLL_CTL_ADD, peer->fd, &event) != 0)
		tool_fail_errno("can't make a peer's socket");
}

static void say(struct udp_fleet *fleet, uint32_t k)
{
	struct udp_peer *peer = &fleet->peers[k];
	rds_message msg;
	uint8_t bytes[256];
	wire_register_pk(fleet->part->first + k, &msg);
	if (peer->registered) {
		rds_message again = {.which_member = rds_RendezvousMessage_register_peer_tag};
		(void)rds_set(&again.member.register_peer.id, rds_get(msg.member.register_pk.id));
		msg = again;
	}
	long len = rds_message_encode(&msg, bytes, sizeof bytes);
	if (len > 0)
		(void)send(peer->fd, bytes, (size_t)len, 0);
	peer->waits = true;
}

static void take(struct udp_fleet *fleet, uint32_t k, const rds_message *msg)
{
	struct fleet_part *part = fleet->part;
	struct udp_peer *peer = &fleet->peers[k];
	switch (msg->which_member) {
	case rds_RendezvousMessage_register_pk_response_tag:
		peer->waits = false;
		if (msg->member.register_pk_response.result != 0)
			tool_fail("a registration was refused");
		part->registered += !peer->registered;
		peer->registered = true;
		break;
	case rds_RendezvousMessage_register_peer_response_tag:
		peer->waits = false;
		part->lost += msg->member.register_peer_response.request_pk;
		break;
	case rds_RendezvousMessage_punch_hole_tag:
		wire_answer_punch(&part->server, fleet_source(part->first + k), part->first + k,
		                  &msg->member.punch_hole);
		break;
	default:
		break;
	}
}

static void hear(struct udp_fleet *fleet, int wait_ms)
{
	struct epoll_event events[EVENTS];
	int n = epoll_wait(fleet->epoll, events, EVENTS, wait_ms);
	for (int i = 0; i < n; i++) {
		uint8_t bytes[WIRE_BYTES];
		rds_message msg;
		uint32_t k = events[i].data.u32;
		ssize_t len = recv(fleet->peers[k].fd, bytes, sizeof bytes, 0);
		if (len > 0 && rds_message_decode(rds_view_of(bytes, (size_t)len), &msg) == 0)
			take(fleet, k, &msg);
	}
}

// A window of peers registers; whoever isn't answered within some seconds says it again.
static void register_all(struct udp_fleet *fleet)
{
	uint32_t n = fleet->part->n;
	uint32_t said = 0;
	uint64_t heard_us = tool_now_us();
	while (fleet->part->registered < n) {
		uint32_t before = fleet->part->registered;
		for (; said < n && said < before + AT_ONCE; said++)
			say(fleet, said);
		hear(fleet, 100);
		if (fleet->part->registered != before)
			heard_us = tool_now_us();
		if (tool_now_us() - heard_us < 3000000)
			continue;
		for (uint32_t k = 0; k < said; k++)
			if (!fleet->peers[k].registered)
				say(fleet, k);
		heard_us = tool_now_us();
	}
}

// One round after the other, each peer in its turn.
static void keep(struct udp_fleet *fleet)
{
	uint32_t n = fleet->part->n;
	uint64_t start_us = tool_now_us();
	for (uint64_t turn = 0; !fleet->part->stop;) {
		uint64_t due = (tool_now_us() - start_us) * n / ROUND_US;
		for (; turn < due; turn++) {
			uint32_t k = (uint32_t)(turn % n);
			fleet->part->repeats += fleet->peers[k].waits;
			say(fleet, k);
		}
		hear(fleet, 5);
	}
}

void *fleet_udp(void *arg)
{
	struct fleet_part *part = arg;
	struct udp_fleet fleet = {.part = part, .epoll = epoll_create1(EPOLL_CLOEXEC)};
	if (part->n == 0)
		return NULL;
	fleet.peers = calloc(part->n, sizeof *fleet.peers);
	if (fleet.peers == NULL || fleet.epoll < 0)
		tool_fail_errno("can't make the fleet");
	for (uint32_t k = 0; k < part->n; k++)
		open_peer(&fleet, k);
	register_all(&fleet);
	keep(&fleet);
	for (uint32_t k = 0; k < part->n; k++)
		(void)close(fleet.peers[k].fd);
	(void)close(fleet.epoll);
	free(fleet.peers);
	return NULL;
}
