// SPDX-License-Identifier: MIT
#include "net/relay_probe.h"

#include "core/alloc.h"
#include "core/limits.h"
#include "core/log.h"
#include "core/message.h"
#include "core/pairing.h"
#include "net/client.h"

#include <event2/event.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

// One probe that is under way.
struct run {
	struct rds_relay_probe *probe;
	char *name;                  // of the relay; NULL: this place is free
	struct rds_client *sides[2]; // the second one comes when the first one is connected
	char uuid[sizeof RDS_PROBE_UUID_PREFIX + 24];
	uint64_t asked_ms; // when the second one asked
	bool over;         // what follows is the wake's business: no side can be freed before
	char why[RDS_PROBE_WHY_BYTES];
	unsigned round_trip_ms;
};

struct rds_relay_probe {
	struct rds_loop *loop;
	struct rds_resolver *resolver;
	struct rds_rotation *rotation;
	struct rds_seed seed;
	struct rds_relay_probe_hooks hooks;
	uint64_t last_number; // that a uuid was made of
	struct event *wake;
	struct run runs[RDS_PROBES];
};

// why: NULL if the relay is alive.
static void conclude(struct run *run, const char *why)
{
	if (run->over)
		return;
	run->over = true;
	(void)snprintf(run->why, sizeof run->why, "%s", why == NULL ? "" : why);
	rds_relay_probe_wake(run->probe);
}

static void ask(const struct run *run, struct rds_client *side)
{
	rds_message msg = {.which_member = rds_RendezvousMessage_request_relay_tag};
	rds_RequestRelay *request = &msg.member.request_relay;
	uint8_t bytes[RDS_MESSAGE_MAX_BYTES];
	(void)rds_set(&request->uuid, rds_view_text(run->uuid));
	(void)rds_set(&request->licence_key, run->probe->hooks.key(run->probe->hooks.ctx));
	long len = rds_message_encode(&msg, bytes, sizeof bytes);
	if (len < 0)
		abort(); // both fields are bounded below the buffer
	rds_client_send(side, rds_view_of(bytes, (size_t)len));
}

static void open_side(struct run *run, int i, const char *host, uint16_t port);

// The first one waits at the relay until the second one comes, to the same address: names may have
// several. What the second one sends is to arrive at the first.
static void on_connected(void *ctx, struct rds_client *client)
{
	struct run *run = ctx;
	const struct rds_addr *remote = rds_client_remote(client);
	ask(run, client);
	if (client == run->sides[0]) {
		char host[RDS_IP_TEXT];
		rds_ip_format(&remote->ip, host);
		open_side(run, 1, host, remote->port);
		return;
	}
	rds_client_send(client, rds_view_text(run->uuid));
	run->asked_ms = rds_loop_now_ms(run->probe->loop);
}

static const char no_relay[] = "it answers as no relay does";

static void on_payload(void *ctx, struct rds_client *client, struct rds_view payload)
{
	struct run *run = ctx;
	if (client != run->sides[0] || run->asked_ms == 0 ||
	    !rds_view_equal(payload, rds_view_text(run->uuid))) {
		conclude(run, no_relay);
		return;
	}
	// Rounded up: 0 stands for none.
	run->round_trip_ms = (unsigned)(rds_loop_now_ms(run->probe->loop) - run->asked_ms) + 1;
	conclude(run, NULL);
}

static void on_end(void *ctx, struct rds_client *client, enum rds_client_end how, const char *why)
{
	char guess[RDS_PROBE_WHY_BYTES];
	(void)client;
	(void)snprintf(guess, sizeof guess, "%s%s", why,
	               how == RDS_CLIENT_CLOSED ? ": another key, or full?" : "");
	conclude(ctx, how == RDS_CLIENT_GARBAGE ? no_relay : guess);
}

static void open_side(struct run *run, int i, const char *host, uint16_t port)
{
	static const struct rds_client_callbacks callbacks = {
	        .on_connected = on_connected, .on_payload = on_payload, .on_end = on_end};
	run->sides[i] = rds_client_open(run->probe->loop, run->probe->resolver, host, port,
	                                RDS_PROBE_MS, &callbacks, run);
}

// As long as the uuids of clients, and not to be guessed: whoever knew one could come in between.
static void make_uuid(struct rds_relay_probe *probe, struct run *run)
{
	uint64_t hashes[2];
	for (int i = 0; i < 2; i++) {
		uint64_t number = ++probe->last_number;
		hashes[i] = rds_hash(&probe->seed, &number, sizeof number);
	}
	(void)snprintf(run->uuid, sizeof run->uuid,
	               RDS_PROBE_UUID_PREFIX "%016" PRIx64 "%08" PRIx32, hashes[0],
	               (uint32_t)hashes[1]);
}

static void begin(struct run *run, struct rds_view name)
{
	char host[256];
	uint16_t port = 0;
	struct rds_relay_probe *probe = run->probe;
	probe->hooks.split(probe->hooks.ctx, name, host, &port);
	run->name = rds_strndup(name.data, name.len);
	make_uuid(probe, run);
	probe->hooks.announce(probe->hooks.ctx, rds_view_text(run->uuid));
	open_side(run, 0, host, port);
}

// Closes both connections, and makes room for another one.
static void clear(struct run *run)
{
	rds_client_free(run->sides[0]);
	rds_client_free(run->sides[1]);
	free(run->name);
	*run = (struct run){.probe = run->probe};
}

static void finish(struct run *run)
{
	struct rds_relay_probe *probe = run->probe;
	const char *why = run->why[0] == '\0' ? NULL : run->why;
	rds_log(RDS_LOG_DEBUG, "relay probed", rds_field_text("relay", run->name),
	        rds_field_text("why_not", run->why),
	        rds_field_uint("round_trip_ms", run->round_trip_ms));
	rds_rotation_probed(probe->rotation, rds_loop_now_ms(probe->loop), rds_view_text(run->name),
	                    why, run->round_trip_ms);
	clear(run);
}

static void sleep_until_due(struct rds_relay_probe *probe)
{
	uint64_t wait_ms = rds_rotation_wait_ms(probe->rotation, rds_loop_now_ms(probe->loop));
	struct timeval wait = {.tv_sec = (time_t)(wait_ms / 1000),
	                       .tv_usec = (suseconds_t)(wait_ms % 1000) * 1000};
	if (wait_ms == UINT64_MAX)
		(void)event_del(probe->wake);
	else
		(void)event_add(probe->wake, &wait);
}

// Deals with the probes that are over, and begins one that is due. With every place taken, the
// next that ends wakes us.
static void on_wake(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	struct rds_relay_probe *probe = arg;
	struct run *room = NULL;
	for (size_t i = 0; i < RDS_PROBES; i++) {
		struct run *run = &probe->runs[i];
		if (run->over)
			finish(run);
		if (run->name == NULL)
			room = run;
	}
	if (room == NULL)
		return;
	const struct rds_relay_names *due =
	        rds_rotation_take_due(probe->rotation, rds_loop_now_ms(probe->loop));
	if (due != NULL)
		begin(room, due->name);
	sleep_until_due(probe);
}

struct rds_relay_probe *rds_relay_probe_new(struct rds_loop *loop, struct rds_resolver *resolver,
                                            struct rds_rotation *rotation,
                                            const struct rds_seed *seed,
                                            const struct rds_relay_probe_hooks *hooks)
{
	struct rds_relay_probe *probe = rds_calloc(1, sizeof *probe);
	probe->loop = loop;
	probe->resolver = resolver;
	probe->rotation = rotation;
	probe->seed = *seed;
	probe->hooks = *hooks;
	for (size_t i = 0; i < RDS_PROBES; i++)
		probe->runs[i].probe = probe;
	probe->wake = event_new(rds_loop_base(loop), -1, 0, on_wake, probe);
	if (probe->wake == NULL)
		abort();
	rds_relay_probe_wake(probe);
	return probe;
}

void rds_relay_probe_free(struct rds_relay_probe *probe)
{
	if (probe == NULL)
		return;
	for (size_t i = 0; i < RDS_PROBES; i++)
		clear(&probe->runs[i]);
	event_free(probe->wake);
	free(probe);
}

void rds_relay_probe_wake(struct rds_relay_probe *probe)
{
	event_active(probe->wake, EV_TIMEOUT, 0);
}
