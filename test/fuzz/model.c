// SPDX-License-Identifier: MIT
// Goal: see model.h.
#include "test/fuzz/model.h"

#include "core/limits.h"
#include "core/text.h"
#include "test/fuzz/fuzzing.h"

static bool same_path(const struct rds_path *a, const struct rds_path *b)
{
	return rds_addr_equal(&a->remote, &b->remote) && a->local == b->local;
}

static bool holds(const struct model_paths *paths, const struct rds_path *path)
{
	for (size_t i = 0; i < paths->n; i++)
		if (same_path(&paths->items[i], path))
			return true;
	return false;
}

static void add(struct model_paths *paths, const struct rds_path *path)
{
	if (holds(paths, path))
		return;
	must(paths->n < MODEL_PATHS);
	paths->items[paths->n++] = *path;
}

static rds_message decoded(struct rds_view payload)
{
	rds_message msg;
	must(payload.len > 0);
	must(rds_message_decode(payload, &msg) == 0);
	return msg;
}

static bool holds_ip(const struct model_paths *paths, const struct rds_ip *ip)
{
	for (size_t i = 0; i < paths->n; i++)
		if (rds_ip_equal(&paths->items[i].remote.ip, ip))
			return true;
	return false;
}

// What goes back to who asked by UDP.
static void check_answer(struct model *model, const rds_message *msg, size_t len)
{
	switch (msg->which_member) {
	case rds_RendezvousMessage_register_peer_response_tag:
		// A peer for which there is news is asked for its key even where it is known, and
		// moves all the same, but never to another IP.
		if (!msg->member.register_peer_response.request_pk ||
		    holds_ip(&model->registered, &model->from.remote.ip))
			add(&model->registered, &model->from);
		break;
	case rds_RendezvousMessage_register_pk_response_tag:
		if (msg->member.register_pk_response.result == rds_RegisterPkResponse_Result_OK) {
			add(&model->registered, &model->from);
			add(&model->proven, &model->from);
		}
		break;
	case rds_RendezvousMessage_test_nat_response_tag:
		must(!msg->member.test_nat_response.has_cu);
		must(msg->member.test_nat_response.port == model->from.remote.port);
		break;
	case rds_RendezvousMessage_configure_update_tag:
		must(holds(&model->proven, &model->from));
		break;
	default:
		must(msg->which_member == rds_RendezvousMessage_software_update_tag);
		break;
	}
	model->answers++;
	must(model->answers <= 2);
	must(model->call != MODEL_UDP || holds(&model->proven, &model->from) ||
	     len <= model->asked_bytes + MODEL_EXTRA);
}

// What is pushed to B.
static void check_push(const struct model *model, const struct rds_path *to, const rds_message *msg)
{
	struct rds_addr a;
	struct rds_view addr = msg->which_member == rds_RendezvousMessage_punch_hole_tag
	                               ? rds_get(msg->member.punch_hole.socket_addr)
	                       : msg->which_member == rds_RendezvousMessage_fetch_local_addr_tag
	                               ? rds_get(msg->member.fetch_local_addr.socket_addr)
	                               : rds_get(msg->member.request_relay.socket_addr);
	must(msg->which_member == rds_RendezvousMessage_punch_hole_tag ||
	     msg->which_member == rds_RendezvousMessage_fetch_local_addr_tag ||
	     msg->which_member == rds_RendezvousMessage_request_relay_tag);
	must(holds(&model->registered, to));
	must(rds_addr_unmangle(addr, &a) == 0 && rds_addr_equal(&a, &model->conn->addr));
	must(model->conn->door == RDS_DOOR_MAIN);
}

static uint32_t held_by(struct rds_view licence_key)
{
	return rds_view_equal(licence_key, rds_view_text(MODEL_OLD_KEY)) ? MODEL_OLD_HANDLE
	                                                                 : RDS_KEY_CURRENT;
}

static void start_wait(struct model *model)
{
	struct model_conn *conn = model->conn;
	must(model->asks_for.data != NULL && model->asks_for.len <= RDS_ID_MAX_BYTES);
	conn->waits = true;
	conn->for_relay = model->said.which_member == rds_RendezvousMessage_request_relay_tag;
	conn->held = conn->for_relay
	                     ? RDS_KEY_CURRENT
	                     : held_by(rds_get(model->said.member.punch_hole_request.licence_key));
	memcpy(conn->id_bytes, model->asks_for.data, model->asks_for.len);
	conn->id = rds_view_of(conn->id_bytes, model->asks_for.len);
}

static void on_datagram(void *ctx, const struct rds_path *to, struct rds_view payload)
{
	struct model *model = ctx;
	rds_message msg = decoded(payload);
	must(payload.len <= RDS_DATAGRAM_MAX_BYTES);
	if (model->call == MODEL_TCP) {
		check_push(model, to, &msg);
		start_wait(model);
		return;
	}
	must(model->call == MODEL_UDP || model->call == MODEL_STORED);
	must(same_path(to, &model->from));
	must(model->call == MODEL_UDP ||
	     msg.which_member == rds_RendezvousMessage_register_pk_response_tag);
	check_answer(model, &msg, payload.len);
}

static struct model_conn *find_conn(struct model *model, uint64_t name)
{
	for (size_t i = 0; i < model->n_conns; i++)
		if (model->conns[i].name == name)
			return &model->conns[i];
	return NULL;
}

// A signature is of the id that A asked for, by the key that A holds.
static void check_pk(const struct model *model, const struct model_conn *conn, struct rds_view pk)
{
	if (pk.len == 0)
		return;
	must(model->can_sign && pk.len > RDS_SIGNATURE_BYTES + 2 + conn->id.len);
	must(pk.data[0] == conn->held);
	must(pk.data[RDS_SIGNATURE_BYTES] == 0x0a);
	must(pk.data[RDS_SIGNATURE_BYTES + 1] == conn->id.len);
	must(memcmp(pk.data + RDS_SIGNATURE_BYTES + 2, conn->id.data, conn->id.len) == 0);
}

// B named A's address and, but for a RelayResponse to RequestRelay, the id that A asked for.
static void check_said(const struct model *model, const struct model_conn *conn)
{
	const rds_message *said = &model->said;
	struct rds_view to;
	struct rds_view id = rds_view_of(NULL, 0);
	struct rds_addr addr;
	bool is_relay = said->which_member == rds_RendezvousMessage_relay_response_tag;
	if (said->which_member == rds_RendezvousMessage_punch_hole_sent_tag) {
		to = rds_get(said->member.punch_hole_sent.socket_addr);
		id = rds_get(said->member.punch_hole_sent.id);
	} else if (said->which_member == rds_RendezvousMessage_local_addr_tag) {
		to = rds_get(said->member.local_addr.socket_addr);
		id = rds_get(said->member.local_addr.id);
	} else {
		must(is_relay);
		to = rds_get(said->member.relay_response.socket_addr);
		if (said->member.relay_response.which_who == rds_RelayResponse_id_tag)
			id = rds_get(said->member.relay_response.who.id);
	}
	must(is_relay || !conn->for_relay);
	must(rds_view_equal(id, conn->id) || (id.len == 0 && is_relay && conn->for_relay));
	must(rds_addr_unmangle(to, &addr) == 0 && rds_addr_equal(&addr, &conn->addr));
}

// What B said has come to A.
static void check_wait_answer(const struct model *model, struct model_conn *conn,
                              const rds_message *msg)
{
	must(conn->waits);
	conn->waits = false;
	check_said(model, conn);
	if (msg->which_member == rds_RendezvousMessage_punch_hole_response_tag) {
		check_pk(model, conn, rds_get(msg->member.punch_hole_response.pk));
		return;
	}
	must(msg->which_member == rds_RendezvousMessage_relay_response_tag);
	const rds_RelayResponse *answer = &msg->member.relay_response;
	must(answer->socket_addr.size == 0);
	must(answer->which_who != rds_RelayResponse_id_tag);
	if (answer->which_who == rds_RelayResponse_pk_tag)
		check_pk(model, conn, rds_get(answer->who.pk));
}

static bool is_push(const rds_message *msg)
{
	return msg->which_member == rds_RendezvousMessage_punch_hole_tag ||
	       msg->which_member == rds_RendezvousMessage_fetch_local_addr_tag ||
	       msg->which_member == rds_RendezvousMessage_request_relay_tag;
}

static void on_payload(void *ctx, uint64_t name, struct rds_view payload)
{
	struct model *model = ctx;
	struct model_conn *conn = find_conn(model, name);
	rds_message msg = decoded(payload);
	if (model->call == MODEL_STORED) {
		must(name == model->stored_conn); // which may have closed meanwhile
		must(msg.which_member == rds_RendezvousMessage_register_pk_response_tag);
		model->answers++;
		return;
	}
	must(conn != NULL);
	must(model->call == MODEL_TCP || model->call == MODEL_UDP);
	if (is_push(&msg)) {
		must(conn->kept && model->call == MODEL_TCP);
		start_wait(model);
		return;
	}
	bool is_punch = msg.which_member == rds_RendezvousMessage_punch_hole_response_tag;
	bool is_relay = msg.which_member == rds_RendezvousMessage_relay_response_tag;
	bool refused =
	        model->call == MODEL_TCP && conn == model->conn && model->asks_for.data != NULL;
	must(is_punch || is_relay || (model->call == MODEL_TCP && conn == model->conn));
	if ((is_punch || is_relay) && !refused)
		check_wait_answer(model, conn, &msg);
}

// Only who speaks is hung up on, or who has registered anew elsewhere.
static void on_close(void *ctx, uint64_t name, enum rds_reason why)
{
	struct model *model = ctx;
	if (why == RDS_WHY_REPLACED) {
		const struct model_conn *conn = find_conn(model, name);
		must(conn != NULL && conn->kept);
		return;
	}
	must(model->call == MODEL_TCP && model->conn->name == name);
	must(why != RDS_WHY_NONE);
}

static bool on_keep(void *ctx, uint64_t name)
{
	struct model_conn *conn = find_conn(ctx, name);
	if (conn != NULL)
		conn->kept = true;
	return conn != NULL;
}

static int queue(struct model *model, uint64_t ticket)
{
	must(ticket > model->last_ticket);
	model->last_ticket = ticket;
	if (model->disk_full || model->n_stores == MODEL_STORES)
		return -RDS_EFULL;
	model->stores[model->n_stores++] =
	        (struct model_store){.ticket = ticket,
	                             .conn = model->call == MODEL_TCP ? model->conn->name : 0,
	                             .from = model->from};
	return 0;
}

static int on_rename(void *ctx, struct rds_view old_id, struct rds_view new_id, uint64_t ticket)
{
	must(((struct model *)ctx)->call == MODEL_TCP);
	must(old_id.len > 0 && new_id.len >= 6 && new_id.len <= 16);
	return queue(ctx, ticket);
}

static int on_store(void *ctx, const struct rds_peer_row *row, uint64_t ticket)
{
	struct model *model = ctx;
	must(model->call == MODEL_UDP || model->call == MODEL_TCP);
	must(row->id.len >= RDS_ID_MIN_BYTES && row->id.len <= RDS_ID_MAX_BYTES);
	must(rds_text_is_id(row->id));
	must(row->uuid.len > 0 && row->pk.len > 0);
	must(rds_ip_equal(&row->ip, model->call == MODEL_TCP ? &model->conn->addr.ip
	                                                     : &model->from.remote.ip));
	return queue(model, ticket);
}

static enum rds_key_verdict on_check(void *ctx, struct rds_view licence_key,
                                     const struct rds_addr *from, uint32_t *held)
{
	const struct model *model = ctx;
	must(rds_addr_equal(from, &model->conn->addr));
	*held = held_by(licence_key);
	if (!model->key_enforced || *held == MODEL_OLD_HANDLE ||
	    rds_view_equal(licence_key, rds_view_text(MODEL_KEY)))
		return RDS_KEY_OK;
	return licence_key.len == 0 ? RDS_KEY_ABSENT : RDS_KEY_WRONG;
}

static void on_refused(void *ctx, enum rds_key_verdict verdict, struct rds_view licence_key,
                       struct rds_view id, const struct rds_addr *from)
{
	const struct model *model = ctx;
	(void)licence_key;
	(void)id;
	must(model->call == MODEL_TCP && verdict != RDS_KEY_OK);
	must(rds_addr_equal(from, &model->conn->addr));
}

static bool on_sign(void *ctx, uint32_t held, struct rds_view bytes,
                    uint8_t signature[RDS_SIGNATURE_BYTES])
{
	const struct model *model = ctx;
	must(bytes.len > 0);
	memset(signature, 0x5a, RDS_SIGNATURE_BYTES);
	signature[0] = (uint8_t)held;
	return model->can_sign;
}

static int on_note(void *ctx, struct rds_view id, uint16_t seen_day, struct rds_view version)
{
	const struct model *model = ctx;
	must(id.len >= RDS_ID_MIN_BYTES && id.len <= RDS_ID_MAX_BYTES);
	must(seen_day != 0 || version.len > 0);
	must(version.len <= RDS_VERSION_MAX_BYTES);
	return model->disk_full ? -RDS_EFULL : 0;
}

void model_open(struct model *model, const struct rds_rendezvous_config *config)
{
	struct rds_host host = {
	        .ctx = model,
	        .send_datagram = on_datagram,
	        .send_payload = on_payload,
	        .close_conn = on_close,
	        .keep_conn = on_keep,
	        .store = on_store,
	        .rename = on_rename,
	        .note = on_note,
	        .keys = {.ctx = model, .check = on_check, .refused = on_refused, .sign = on_sign},
	};
	model->rules = rds_rendezvous_new(config, &host);
}

void model_close(struct model *model)
{
	rds_rendezvous_free(model->rules);
}

// Between calls: every table within its bound, and as full as it should be.
static void check_tables(struct model *model)
{
	struct rds_rendezvous_status status = rds_rendezvous_status(model->rules);
	size_t open = 0;
	for (size_t i = 0; i < model->n_conns; i++)
		open += model->conns[i].name != 0;
	must(status.waits <= open && status.waits <= RDS_WAITS);
	must(status.stores_pending == model->n_stores);
	must(status.notes_pending <= status.peers);
	must(status.limited_sources <= RDS_LIMITED_SOURCES);
	must(rds_rendezvous_online(model->rules, model->now_ms) <= status.peers);
	model->call = MODEL_NONE;
}

struct model_conn *model_connect(struct model *model, enum rds_door door,
                                 const struct rds_addr *addr)
{
	if (model->n_conns == MODEL_CONNS)
		return NULL;
	struct model_conn *conn = &model->conns[model->n_conns++];
	*conn = (struct model_conn){.name = model->n_conns, .door = door, .addr = *addr};
	return conn;
}

static void note_said(struct model *model, struct rds_view payload)
{
	if (rds_message_decode(payload, &model->said) != 0)
		model->said.which_member = 0;
}

void model_datagram(struct model *model, const struct rds_path *from, struct rds_view payload)
{
	struct rds_source source = {.door = RDS_DOOR_UDP, .path = *from};
	uint8_t *copy = exact_copy(payload);
	model->call = MODEL_UDP;
	model->from = *from;
	model->asked_bytes = payload.len;
	model->answers = 0;
	note_said(model, payload);
	struct rds_view only = rds_view_of(copy, payload.len);
	rds_rendezvous_expect(model->rules, &only, 1);
	rds_rendezvous_message(model->rules, model->now_ms, &source, only);
	free(copy);
	check_tables(model);
}

// For whom a message asks, if it does.
static struct rds_view asks_for(const rds_message *msg)
{
	switch (msg->which_member) {
	case rds_RendezvousMessage_punch_hole_request_tag:
		return rds_get(msg->member.punch_hole_request.id);
	case rds_RendezvousMessage_request_relay_tag:
		return rds_get(msg->member.request_relay.id);
	default:
		return rds_view_of(NULL, 0);
	}
}

void model_frame(struct model *model, struct model_conn *conn, struct rds_view payload)
{
	struct rds_source source = {
	        .door = conn->door, .conn = conn->name, .path = {.remote = conn->addr}};
	uint8_t *copy = exact_copy(payload);
	model->call = MODEL_TCP;
	model->conn = conn;
	note_said(model, payload);
	model->asks_for = asks_for(&model->said);
	rds_rendezvous_message(model->rules, model->now_ms, &source,
	                       rds_view_of(copy, payload.len));
	free(copy);
	check_tables(model);
}

void model_hang_up(struct model *model, struct model_conn *conn)
{
	model->call = MODEL_CLOSED;
	rds_rendezvous_closed(model->rules, conn->name);
	conn->name = 0;
	conn->kept = false;
	check_tables(model);
}

void model_stored(struct model *model, size_t i, bool ok)
{
	struct model_store store = model->stores[i];
	model->n_stores--;
	memmove(&model->stores[i], &model->stores[i + 1], (model->n_stores - i) * sizeof store);
	model->call = MODEL_STORED;
	model->from = store.from;
	model->stored_conn = store.conn;
	model->answers = 0;
	rds_rendezvous_stored(model->rules, model->now_ms, store.ticket, ok);
	must(model->answers == 1);
	check_tables(model);
}
