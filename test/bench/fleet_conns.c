// SPDX-License-Identifier: MIT
// Peers over TCP and WebSocket: RegisterPk on a connection that stays open, heartbeats echoed.
#include "test/bench/fleet.h"
#include "test/bench/tool.h"
#include "test/bench/wire.h"

#include <stdlib.h>
#include <sys/epoll.h>
#include <unistd.h>

#define EVENTS 256

struct conn_fleet {
	struct fleet_part *part;
	struct wire *wires;
	int epoll;
};

static void open_conn(struct conn_fleet *fleet, uint32_t k)
{
	const struct fleet_part *part = fleet->part;
	bool websocket = k >= part->n - part->n_websocket;
	wire_open(&fleet->wires[k], websocket ? &part->websocket : &part->server,
	          fleet_source(part->first + k), websocket);
}

static void say(struct conn_fleet *fleet, uint32_t k)
{
	rds_message msg;
	wire_register_pk(fleet->part->first + k, &msg);
	if (!wire_greeted(&fleet->wires[k]) || !wire_send_message(&fleet->wires[k], &msg))
		tool_fail("a connection was not greeted");
}

static void await_ok(struct conn_fleet *fleet, uint32_t k)
{
	rds_message msg;
	struct epoll_event event = {.events = EPOLLIN, .data.u32 = k};
	if (!wire_read_message(&fleet->wires[k], &msg) ||
	    msg.which_member != rds_RendezvousMessage_register_pk_response_tag ||
	    msg.member.register_pk_response.result != 0)
		tool_fail("a registration was refused");
	if (epoll_ctl(fleet->epoll, EPOLL_CTL_ADD, fleet->wires[k].fd, &event) != 0)
		tool_fail_errno("epoll_ctl");
	fleet->part->registered++;
}

static void take(struct conn_fleet *fleet, uint32_t k, struct rds_view payload)
{
	struct fleet_part *part = fleet->part;
	rds_message msg;
	if (payload.len == 0) {
		(void)wire_send(&fleet->wires[k], payload);
		part->heartbeats++;
	} else if (rds_message_decode(payload, &msg) == 0 &&
	           msg.which_member == rds_RendezvousMessage_punch_hole_tag) {
		wire_answer_punch(&part->server, fleet_source(part->first + k), part->first + k,
		                  &msg.member.punch_hole);
	}
}

static void hear(struct conn_fleet *fleet)
{
	struct epoll_event events[EVENTS];
	int n = epoll_wait(fleet->epoll, events, EVENTS, 100);
	for (int i = 0; i < n; i++) {
		uint32_t k = events[i].data.u32;
		struct rds_view payload;
		if (!wire_receive(&fleet->wires[k])) {
			wire_close(&fleet->wires[k]);
			fleet->part->lost++;
			continue;
		}
		while (wire_next(&fleet->wires[k], &payload))
			take(fleet, k, payload);
	}
}

void *fleet_conns(void *arg)
{
	struct fleet_part *part = arg;
	struct conn_fleet fleet = {.part = part, .epoll = epoll_create1(EPOLL_CLOEXEC)};
	if (part->n == 0)
		return NULL;
	fleet.wires = calloc(part->n, sizeof *fleet.wires);
	if (fleet.wires == NULL || fleet.epoll < 0)
		tool_fail_errno("can't make the fleet");
	for (uint32_t k = 0; k < part->n; k++)
		open_conn(&fleet, k);
	for (uint32_t k = 0; k < part->n; k++)
		say(&fleet, k);
	for (uint32_t k = 0; k < part->n; k++)
		await_ok(&fleet, k);
	while (!part->stop)
		hear(&fleet);
	for (uint32_t k = 0; k < part->n; k++)
		wire_close(&fleet.wires[k]);
	(void)close(fleet.epoll);
	free(fleet.wires);
	return NULL;
}
