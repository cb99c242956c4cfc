// SPDX-License-Identifier: MIT
#include "net/relay_private.h"

#include "core/alloc.h"
#include "core/limits.h"
#include "net/listen.h"

#include <stdlib.h>
#include <unistd.h>

static const char *transport_of(const struct relay_session *session)
{
	static const char *const names[2][2] = {{"tcp-tcp", "tcp-websocket"},
	                                        {"websocket-tcp", "websocket-websocket"}};
	return names[session->websocket[0]][session->websocket[1]];
}

static void session_free(struct rds_relay *relay, struct relay_session *session)
{
	*(session->previous != NULL ? &session->previous->next : &relay->sessions) = session->next;
	if (session->next != NULL)
		session->next->previous = session->previous;
	rds_table_remove(&relay->sessions_by_id, relay_hash(relay, session->id), session);
	relay->status.sessions--;
	free(session);
}

static const char *end_of(const struct rds_pump_result *result)
{
	return result->ended_by == 0 ? "first" : result->ended_by == 1 ? "second" : "relay";
}

static uint64_t average(uint64_t bytes, uint64_t ms)
{
	return bytes * 1000 / (ms < 1000 ? 1000 : ms);
}

// Rates are told as the field does, in kilobits a second.
static uint64_t kbps(uint64_t bytes_ps)
{
	return bytes_ps * 8 / 1000;
}

// Returns what it is taken for: whoever makes a session look like a probe or a check only hides how
// little was in it.
static enum relay_kind count_ended(struct rds_relay *relay, const struct relay_session *session)
{
	const struct rds_meter *meter = &session->task.session.meter;
	uint64_t bytes = meter->bytes[0] + meter->bytes[1];
	if (session->kind == RELAY_PROBE && bytes <= RDS_PROBE_SESSION_MAX_BYTES) {
		relay->status.probes++;
		return RELAY_PROBE;
	}
	if (session->kind == RELAY_CHECK && bytes <= RDS_CHECK_SESSION_MAX_BYTES) {
		relay->status.checks++;
		return RELAY_CHECK;
	}
	relay->status.sessions_ended++;
	relay->status.bytes += bytes;
	relay->status.counters.n[session->task.session.result.why]++;
	return RELAY_CLIENTS;
}

static void on_session_end(void *ctx, struct rds_crew_task *task)
{
	struct rds_relay *relay = ctx;
	// The task is the session's first member.
	struct relay_session *session = (struct relay_session *)(void *)task;
	const struct rds_pump_result *result = &task->session.result;
	const struct rds_meter *meter = &task->session.meter;
	uint64_t bytes[2] = {meter->bytes[0], meter->bytes[1]};
	enum relay_kind kind = count_ended(relay, session);
	rds_log(kind == RELAY_CLIENTS ? RDS_LOG_INFO : RDS_LOG_DEBUG, "session ended",
	        rds_field_text("uuid", session->uuid),
	        rds_field_text("of", kind == RELAY_PROBE   ? "probe"
	                             : kind == RELAY_CHECK ? "check"
	                                                   : "clients"),
	        rds_field_addr("first", &session->remotes[0]),
	        rds_field_addr("second", &session->remotes[1]),
	        rds_field_text("transport", transport_of(session)),
	        rds_field_uint("bytes_from_first", bytes[0]),
	        rds_field_uint("bytes_from_second", bytes[1]),
	        rds_field_uint("ms", result->lasted_ms),
	        rds_field_uint("peak_kbps", kbps(meter->peak)),
	        rds_field_uint("average_kbps",
	                       kbps(average(bytes[0] + bytes[1], result->lasted_ms))),
	        rds_field_text("ended_by", end_of(result)), rds_field_reason(result->why));
	session_free(relay, session);
}

static bool has_slow_side(const struct rds_relay *relay, const struct relay_session *session)
{
	const struct rds_relay_lists *lists = &relay->lists;
	return rds_cidrs_find(lists->slow, lists->n_slow, &session->remotes[0].ip) ||
	       rds_cidrs_find(lists->slow, lists->n_slow, &session->remotes[1].ip);
}

static void set_side(struct relay_session *session, int i, struct conn *conn)
{
	session->task.session.sides[i] = (struct rds_pump_side){
	        .fd = conn->fd, .websocket = conn->websocket, .early = conn->early};
	session->remotes[i] = conn->remote;
	session->websocket[i] = conn->websocket;
	relay_conn_release(conn);
}

void relay_start_session(struct rds_relay *relay, struct conn *a, struct conn *b)
{
	struct relay_session *session = rds_calloc(1, sizeof *session);
	memcpy(session->uuid, b->uuid, sizeof session->uuid);
	session->kind = b->kind;
	session->id = b->id;
	session->started_ms = rds_loop_now_ms(relay->loop);
	set_side(session, 0, a);
	set_side(session, 1, b);
	session->task.session.meter.active_ms = session->started_ms;
	session->task.session.meter.slow = has_slow_side(relay, session);
	session->next = relay->sessions;
	if (session->next != NULL)
		session->next->previous = session;
	relay->sessions = session;
	rds_table_insert(&relay->sessions_by_id, relay_hash(relay, session->id), session);
	relay->status.sessions++;
	rds_log(RDS_LOG_DEBUG, "session started", rds_field_text("uuid", session->uuid),
	        rds_field_uint("id", session->id), rds_field_addr("first", &session->remotes[0]),
	        rds_field_addr("second", &session->remotes[1]));
	rds_crew_take(relay->crew, &session->task);
}

static void on_tick(void *ctx)
{
	relay_conns_tick(ctx);
}

int rds_relay_new(struct rds_loop *loop, const struct rds_relay_config *config,
                  struct rds_relay **out, struct rds_error *err)
{
	struct rds_relay *relay = rds_calloc(1, sizeof *relay);
	relay->loop = loop;
	relay->config = *config;
	int rc = rds_crew_new(loop, config->threads, on_session_end, relay, &relay->crew, err);
	if (rc != 0) {
		free(relay);
		return rc;
	}
	relay->pairing = rds_pairing_new(&config->seed);
	rds_shares_init(&relay->shares, &config->seed, RDS_RELAY_WAITING, RDS_RELAY_WAITING_PER_IP);
	rds_table_init(&relay->conns_by_id);
	rds_table_init(&relay->sessions_by_id);
	relay->tick = rds_timer_every(loop, 1000, on_tick, relay);
	relay_udp_open(relay);
	*out = relay;
	return 0;
}

static void close_doors(struct rds_relay *relay)
{
	for (size_t i = 0; i < relay->n_doors; i++) {
		rds_acceptor_free(relay->doors[i]->acceptor);
		free(relay->doors[i]);
	}
	relay->n_doors = 0;
}

void rds_relay_free(struct rds_relay *relay)
{
	if (relay == NULL)
		return;
	close_doors(relay);
	while (relay->conns != NULL)
		relay_conn_free(relay->conns);
	rds_crew_free(relay->crew);
	relay_udp_close(relay);
	rds_timer_free(relay->tick);
	rds_pairing_free(relay->pairing);
	rds_shares_clear(&relay->shares);
	rds_table_clear(&relay->conns_by_id);
	rds_table_clear(&relay->sessions_by_id);
	free(relay->doors);
	free(relay);
}

static void add_door(struct rds_relay *relay, int fd, bool websocket)
{
	if (relay->status.draining) {
		(void)close(fd);
		return;
	}
	struct relay_door *door = rds_calloc(1, sizeof *door);
	struct rds_addr local = {0};
	(void)rds_local_addr(fd, &local);
	rds_pump_set_options(fd);
	door->relay = relay;
	door->websocket = websocket;
	door->proxy_header = rds_proxies_expect_header(&relay->config.proxies, local.port);
	door->acceptor = rds_acceptor_new(relay->loop, fd, relay_accept, door);
	relay->doors = rds_realloc(relay->doors, relay->n_doors + 1, sizeof(struct relay_door *));
	relay->doors[relay->n_doors++] = door;
}

void rds_relay_add_tcp(struct rds_relay *relay, int fd)
{
	add_door(relay, fd, false);
}

void rds_relay_add_websocket(struct rds_relay *relay, int fd)
{
	add_door(relay, fd, true);
}

void rds_relay_remove(struct rds_relay *relay, int fd)
{
	rds_udp_remove(relay->udp, fd);
	for (size_t i = 0; i < relay->n_doors; i++) {
		struct relay_door *door = relay->doors[i];
		if (rds_acceptor_fd(door->acceptor) != fd)
			continue;
		relay->doors[i] = relay->doors[--relay->n_doors];
		rds_acceptor_free(door->acceptor);
		free(door);
		return;
	}
}

void rds_relay_set_console(struct rds_relay *relay, struct rds_lines *console)
{
	relay->console = console;
}

void rds_relay_add_udp(struct rds_relay *relay, int fd)
{
	rds_udp_add(relay->udp, fd, 0);
}

static bool is_blocked(const struct rds_relay *relay, const struct rds_addr *remote)
{
	return rds_cidrs_find(relay->lists.blocked, relay->lists.n_blocked, &remote->ip);
}

void rds_relay_set_lists(struct rds_relay *relay, const struct rds_relay_lists *lists)
{
	relay->lists = *lists;
	for (struct conn *conn = relay->conns, *next; conn != NULL; conn = next) {
		next = conn->next;
		if (is_blocked(relay, &conn->remote))
			relay_conn_end(conn, RDS_WHY_BLOCKED);
	}
	for (struct relay_session *s = relay->sessions; s != NULL; s = s->next) {
		if (is_blocked(relay, &s->remotes[0]) || is_blocked(relay, &s->remotes[1]))
			rds_crew_kick(relay->crew, &s->task, RDS_WHY_BLOCKED);
		s->task.session.meter.slow = has_slow_side(relay, s);
	}
}

bool rds_relay_answers(struct rds_relay *relay)
{
	return rds_crew_answers(relay->crew);
}

struct rds_pump_limits *rds_relay_limits(struct rds_relay *relay)
{
	return rds_crew_limits(relay->crew);
}

void rds_relay_drain(struct rds_relay *relay)
{
	relay->status.draining = true;
	close_doors(relay);
	while (relay->conns != NULL)
		relay_conn_end(relay->conns, RDS_WHY_DRAINING);
}

void rds_relay_status(const struct rds_relay *relay, struct rds_relay_status *out)
{
	*out = relay->status;
}

static bool has_id(const void *entry, const void *key)
{
	return ((const struct relay_session *)entry)->id == *(const uint64_t *)key;
}

static struct relay_session *find_session(const struct rds_relay *relay, uint64_t id)
{
	return rds_table_find(&relay->sessions_by_id, relay_hash(relay, id), has_id, &id);
}

bool rds_relay_next_session(const struct rds_relay *relay, uint64_t *at,
                            struct rds_relay_session *out)
{
	const struct relay_session *last = *at == 0 ? NULL : find_session(relay, *at);
	const struct relay_session *s = *at == 0       ? relay->sessions
	                                : last == NULL ? NULL
	                                               : last->next;
	if (s == NULL)
		return false;
	const struct rds_meter *meter = &s->task.session.meter;
	uint64_t now_ms = rds_loop_now_ms(relay->loop);
	uint64_t active_ms = meter->active_ms;
	*at = s->id;
	*out = (struct rds_relay_session){.id = s->id,
	                                  .uuid = s->uuid,
	                                  .transport = transport_of(s),
	                                  .remotes = {s->remotes[0], s->remotes[1]},
	                                  .bytes = {meter->bytes[0], meter->bytes[1]},
	                                  .lasted_ms = now_ms - s->started_ms,
	                                  .idle_ms = active_ms < now_ms ? now_ms - active_ms : 0,
	                                  .peak = meter->peak,
	                                  .current = meter->recent,
	                                  .slow = meter->slow || meter->downgraded,
	                                  .check = s->kind == RELAY_CHECK};
	out->average = average(out->bytes[0] + out->bytes[1], out->lasted_ms);
	if (out->idle_ms > 2000)
		out->current = 0;
	return true;
}

bool rds_relay_kick(struct rds_relay *relay, uint64_t id)
{
	struct relay_session *session = find_session(relay, id);
	if (session != NULL)
		rds_crew_kick(relay->crew, &session->task, RDS_WHY_KICKED);
	return session != NULL;
}
