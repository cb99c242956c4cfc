// SPDX-License-Identifier: MIT
// Goal: see world.h.
#include "test/unit/world.h"

#include "core/alloc.h"

#include <stdlib.h>

static struct world_event *note(struct world *world, enum world_kind kind)
{
	static struct world_event ignored;
	if (world->deaf)
		return &ignored;
	if (world->n == WORLD_EVENTS) {
		print_error("more than %d things noted\n", WORLD_EVENTS);
		abort();
	}
	struct world_event *event = &world->events[world->n++];
	memset(event, 0, offsetof(struct world_event, bytes));
	event->kind = kind;
	return event;
}

static void note_bytes(struct world_event *event, struct rds_view payload)
{
	if (payload.len > sizeof event->bytes)
		abort();
	memcpy(event->bytes, payload.data, payload.len);
	event->len = payload.len;
	if (rds_message_decode(rds_view_of(event->bytes, event->len), &event->msg) != 0)
		abort(); // the rules must speak what they understand
}

static void on_datagram(void *ctx, const struct rds_path *to, struct rds_view payload)
{
	struct world_event *event = note(ctx, DATAGRAM);
	event->to = *to;
	note_bytes(event, payload);
}

static void on_payload(void *ctx, uint64_t conn, struct rds_view payload)
{
	struct world_event *event = note(ctx, PAYLOAD);
	event->conn = conn;
	note_bytes(event, payload);
}

static void on_close(void *ctx, uint64_t conn, enum rds_reason why)
{
	struct world_event *event = note(ctx, CLOSE);
	event->conn = conn;
	event->why = why;
}

static struct rds_view keep(struct world_event *event, struct rds_view v)
{
	uint8_t *at = event->bytes + event->len;
	if (v.len > 0)
		memcpy(at, v.data, v.len);
	event->len += v.len;
	return rds_view_of(at, v.len);
}

static int on_store(void *ctx, const struct rds_peer_row *row, uint64_t ticket)
{
	struct world *world = ctx;
	if (world->store_rc != 0)
		return world->store_rc;
	assert_true(ticket > world->last_ticket); // never used twice
	world->last_ticket = ticket;
	struct world_event *event = note(world, STORE);
	event->len = 0;
	event->ticket = ticket;
	event->row = (struct rds_peer_row){.id = keep(event, row->id),
	                                   .uuid = keep(event, row->uuid),
	                                   .pk = keep(event, row->pk),
	                                   .ip = row->ip,
	                                   .state = row->state};
	return 0;
}

static enum rds_key_verdict on_check(void *ctx, struct rds_view licence_key,
                                     const struct rds_addr *from, uint32_t *held)
{
	struct world *world = ctx;
	world->checks += from == NULL;
	*held = RDS_KEY_CURRENT;
	if (world->key == NULL)
		return RDS_KEY_OK;
	if (licence_key.len == 0)
		return RDS_KEY_ABSENT;
	if (world->old_key != NULL && rds_view_equal(licence_key, rds_view_text(world->old_key))) {
		*held = WORLD_OLD_KEY;
		return world->old_key_refused ? RDS_KEY_RETIRED : RDS_KEY_OK;
	}
	return rds_view_equal(licence_key, rds_view_text(world->key)) ? RDS_KEY_OK : RDS_KEY_WRONG;
}

static void on_refused(void *ctx, enum rds_key_verdict verdict, struct rds_view licence_key,
                       struct rds_view id, const struct rds_addr *from)
{
	struct world *world = ctx;
	assert_non_null(from);
	world->refused++;
	world->verdict = verdict;
	(void)snprintf(world->refused_key, sizeof world->refused_key, "%.*s", (int)licence_key.len,
	               (const char *)licence_key.data);
	(void)snprintf(world->refused_id, sizeof world->refused_id, "%.*s", (int)id.len,
	               (const char *)id.data);
}

static void sign(uint32_t held, struct rds_view bytes, uint8_t signature[RDS_SIGNATURE_BYTES])
{
	memset(signature, 0x5a, RDS_SIGNATURE_BYTES);
	uint64_t hash = rds_hash(&testing_seed, bytes.data, bytes.len);
	memcpy(signature, &hash, sizeof hash);
	memcpy(signature + sizeof hash, &held, sizeof held);
}

static bool on_sign(void *ctx, uint32_t held, struct rds_view bytes,
                    uint8_t signature[RDS_SIGNATURE_BYTES])
{
	const struct world *world = ctx;
	sign(held, bytes, signature);
	return !world->cannot_sign;
}

static bool on_keep(void *ctx, uint64_t conn)
{
	struct world *world = ctx;
	assert_true(conn != 0);
	if (conn == world->gone)
		return false;
	world->kept++;
	world->kept_conn = conn;
	return true;
}

static int note_write(struct world *world, enum world_kind kind, struct rds_view id,
                      struct rds_view old_id, uint64_t ticket)
{
	if (world->store_rc != 0)
		return world->store_rc;
	assert_true(ticket > world->last_ticket);
	world->last_ticket = ticket;
	struct world_event *event = note(world, kind);
	event->len = 0;
	event->ticket = ticket;
	event->row = (struct rds_peer_row){.id = keep(event, id)};
	event->old_id = keep(event, old_id);
	return 0;
}

static int on_rename(void *ctx, struct rds_view old_id, struct rds_view new_id, uint64_t ticket)
{
	return note_write(ctx, RENAME, new_id, old_id, ticket);
}

static int on_set_state(void *ctx, struct rds_view id, enum rds_peer_state state, uint64_t ticket)
{
	struct world *world = ctx;
	int rc = note_write(world, SET_STATE, id, rds_view_text(""), ticket);
	if (rc == 0 && !world->deaf)
		world->events[world->n - 1].row.state = state;
	return rc;
}

static int on_forget(void *ctx, struct rds_view id, uint64_t ticket)
{
	return note_write(ctx, FORGET, id, rds_view_text(""), ticket);
}

static int on_note(void *ctx, struct rds_view id, uint16_t seen_day, struct rds_view version)
{
	struct world *world = ctx;
	if (world->store_rc != 0)
		return world->store_rc;
	struct world_event *event = note(world, NOTE);
	event->len = 0;
	event->row = (struct rds_peer_row){
	        .id = keep(event, id), .seen_day = seen_day, .version = keep(event, version)};
	return 0;
}

struct world *world_open(const struct rds_rendezvous_config *config)
{
	struct world *world = rds_calloc(1, sizeof *world);
	if (config != NULL)
		world->config = *config;
	world->config.seed = testing_seed;
	world->now_ms = 1000000;
	struct rds_host host = {
	        .ctx = world,
	        .send_datagram = on_datagram,
	        .send_payload = on_payload,
	        .close_conn = on_close,
	        .keep_conn = on_keep,
	        .store = on_store,
	        .rename = on_rename,
	        .set_state = on_set_state,
	        .forget = on_forget,
	        .note = on_note,
	        .keys = {.ctx = world, .check = on_check, .refused = on_refused, .sign = on_sign},
	};
	world->rules = rds_rendezvous_new(&world->config, &host);
	return world;
}

void world_close(struct world *world)
{
	expect_nothing(world);
	rds_rendezvous_free(world->rules);
	free(world);
}

void world_forget(struct world *world)
{
	world->n = world->read = 0;
}

static const char *const kind_names[] = {"a datagram",     "a payload",   "a close", "a store",
                                         "a change of id", "a new state", "an end",  "a note"};

static const struct world_event *next(struct world *world, enum world_kind kind, const char *file,
                                      int line)
{
	if (world->read == world->n) {
		print_error("expected %s, got nothing\n", kind_names[kind]);
		_fail(file, line);
	}
	const struct world_event *event = &world->events[world->read++];
	if (event->kind != kind) {
		print_error("expected %s, got %s\n", kind_names[kind], kind_names[event->kind]);
		_fail(file, line);
	}
	if (world->read == world->n)
		world->read = world->n = 0; // what is pointed to stays until the next is noted
	return event;
}

static bool same_path(const struct rds_path *a, const struct rds_path *b)
{
	return rds_addr_equal(&a->remote, &b->remote) && a->local == b->local;
}

const struct world_event *world_datagram(struct world *world, const struct rds_path *to,
                                         const char *file, int line)
{
	const struct world_event *event = next(world, DATAGRAM, file, line);
	if (!same_path(&event->to, to)) {
		char went[RDS_ADDR_TEXT];
		rds_addr_format(&event->to.remote, went);
		print_error("the datagram went to %s, local %u\n", went, (unsigned)event->to.local);
		_fail(file, line);
	}
	return event;
}

const struct world_event *world_answer(struct world *world, const struct rds_path *to, int number,
                                       const char *file, int line)
{
	const struct world_event *event = world_datagram(world, to, file, line);
	if (event->msg.which_member != number) {
		print_error("expected message %d, got %d\n", number, (int)event->msg.which_member);
		_fail(file, line);
	}
	return event;
}

const struct world_event *world_payload(struct world *world, uint64_t conn, const char *file,
                                        int line)
{
	const struct world_event *event = next(world, PAYLOAD, file, line);
	if (event->conn != conn) {
		print_error("the payload went to connection %d\n", (int)event->conn);
		_fail(file, line);
	}
	return event;
}

void world_closed(struct world *world, uint64_t conn, enum rds_reason why, const char *file,
                  int line)
{
	const struct world_event *event = next(world, CLOSE, file, line);
	if (event->conn != conn || event->why != why) {
		print_error("connection %d was closed: %s\n", (int)event->conn,
		            rds_reason_name(event->why));
		_fail(file, line);
	}
}

const struct world_event *world_store(struct world *world, const char *file, int line)
{
	return next(world, STORE, file, line);
}

const struct world_event *world_write(struct world *world, enum world_kind kind, const char *file,
                                      int line)
{
	return next(world, kind, file, line);
}

void world_nothing(struct world *world, const char *file, int line)
{
	if (world->read == world->n)
		return;
	print_error("expected nothing, got %s\n", kind_names[world->events[world->read].kind]);
	_fail(file, line);
}

uint64_t counted(const struct world *world, enum rds_reason why)
{
	return rds_rendezvous_counters(world->rules)->n[why];
}

struct rds_path path_of(const char *ip, uint16_t port)
{
	return (struct rds_path){.remote = addr_of(ip, port), .local = 7};
}

void datagram_bytes(struct world *world, const struct rds_path *from, struct rds_view payload)
{
	struct rds_source source = {.door = RDS_DOOR_UDP, .path = *from};
	rds_rendezvous_expect(world->rules, &payload, 1);
	rds_rendezvous_message(world->rules, world->now_ms, &source, payload);
}

static struct rds_view encoded(const rds_message *msg, uint8_t out[RDS_MESSAGE_MAX_BYTES])
{
	long len = rds_message_encode(msg, out, RDS_MESSAGE_MAX_BYTES);
	assert_true(len >= 0);
	return rds_view_of(out, (size_t)len);
}

void datagram(struct world *world, const struct rds_path *from, const rds_message *msg)
{
	uint8_t bytes[RDS_MESSAGE_MAX_BYTES];
	datagram_bytes(world, from, encoded(msg, bytes));
}

void frame_bytes(struct world *world, enum rds_door door, uint64_t conn,
                 const struct rds_addr *from, struct rds_view payload)
{
	struct rds_source source = {.door = door, .conn = conn, .path = {.remote = *from}};
	rds_rendezvous_message(world->rules, world->now_ms, &source, payload);
}

void frame(struct world *world, enum rds_door door, uint64_t conn, const struct rds_addr *from,
           const rds_message *msg)
{
	uint8_t bytes[RDS_MESSAGE_MAX_BYTES];
	frame_bytes(world, door, conn, from, encoded(msg, bytes));
}

void stored(struct world *world, uint64_t ticket, bool ok)
{
	rds_rendezvous_stored(world->rules, world->now_ms, ticket, ok);
}

void registered(struct world *world, const char *id, const char *uuid, const char *pk,
                const struct rds_path *at)
{
	send_register_pk(world, id, uuid, pk, at);
	uint64_t ticket = expect_store(world)->ticket;
	expect_nothing(world);
	stored(world, ticket, true);
	expect_result(world, at, OK);
	expect_nothing(world);
}

void load(struct world *world, const char *id, const char *uuid, const char *pk, const char *ip)
{
	struct rds_peer_row row = {
	        .id = rds_view_text(id), .uuid = rds_view_text(uuid), .pk = rds_view_text(pk)};
	if (ip != NULL)
		row.ip = ip_of(ip);
	assert_int_equal(rds_rendezvous_load(world->rules, &row), 0);
}

bool is_online(struct world *world, const char *id)
{
	const uint64_t conn = 999999;
	struct rds_addr asker = addr_of("192.0.2.250", 999);
	struct rds_view peers[] = {rds_view_text(id)};
	struct rds_list list = {.items = peers, .n = 1};
	rds_message msg = {.which_member = rds_RendezvousMessage_online_request_tag};
	msg.member.online_request.peers = rds_list_field(&list);
	frame(world, RDS_DOOR_MAIN, conn, &asker, &msg);
	const struct world_event *answer = expect_payload(world, conn);
	struct rds_cursor at = rds_cursor_of(rds_view_of(answer->bytes, answer->len),
	                                     rds_RendezvousMessage_online_response_tag,
	                                     rds_OnlineResponse_states_tag);
	struct rds_view states = {0};
	assert_true(rds_cursor_next(&at, &states));
	assert_int_equal(states.len, 1);
	return states.data[0] != 0;
}

struct rds_view mangled(const struct rds_addr *addr, uint32_t clock_us, uint8_t out[RDS_ADDR_WIRE])
{
	return rds_view_of(out, rds_addr_mangle(addr, clock_us, out));
}

void world_is_addr(struct rds_view bytes, const struct rds_addr *addr, const char *file, int line)
{
	struct rds_addr got;
	if (rds_addr_unmangle(bytes, &got) == 0 && rds_addr_equal(&got, addr))
		return;
	print_error("not the address that it should be\n");
	_fail(file, line);
}

size_t signed_id_pk_by(uint32_t held, const char *id, const char *pk, uint8_t out[512])
{
	uint8_t *at = out + RDS_SIGNATURE_BYTES;
	size_t id_len = strlen(id);
	size_t pk_len = strlen(pk);
	assert_true(id_len < 128 && pk_len < 128);
	*at++ = 0x0a;
	*at++ = (uint8_t)id_len;
	memcpy(at, id, id_len);
	at += id_len;
	*at++ = 0x12;
	*at++ = (uint8_t)pk_len;
	memcpy(at, pk, pk_len);
	size_t len = id_len + pk_len + 4;
	sign(held, rds_view_of(out + RDS_SIGNATURE_BYTES, len), out);
	return RDS_SIGNATURE_BYTES + len;
}

size_t signed_id_pk(const char *id, const char *pk, uint8_t out[512])
{
	return signed_id_pk_by(RDS_KEY_CURRENT, id, pk, out);
}
