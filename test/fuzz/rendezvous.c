// SPDX-License-Identifier: MIT
// Goal: whole conversations with the rendezvous rules: datagrams, frames, hang-ups and disk
// results from several sources, in any order. model.c says what must hold.
#include "test/fuzz/fuzzing.h"

#include "core/limits.h"
#include "test/fuzz/model.h"

static const char long_id[] = "a-rather-long-name-that-still-is-an-id-0123456789-0123456789-"
                              "0123456789-0123456789-0123456789-01234";

// Few names, so that they meet. The last two are no ids.
static const char *const ids[] = {
        "ridge-042", "ridge-043", "123456789", "crest-007", "\xe4\xb8\xbb\xe6\x9c\xba-7",
        long_id,     "short",     "with space"};
static const char *const uuids[] = {"uuid-1", "uuid-2", "", "uuid-1-and-more"};
static const char *const keys[] = {"pk-0123456789abcdef0123456789ab", "pk-2", "", "pk-number-4"};
static const char *const hosts[] = {"203.0.113.7",  "203.0.113.8",       "10.0.0.1",
                                    "10.0.0.2",     "2001:db8::7",       "fd00::7",
                                    "198.51.100.1", "::ffff:203.0.113.7"};

#define PICK(list, byte) rds_view_text((list)[(byte) % (sizeof(list) / sizeof(list)[0])])

static struct rds_addr take_addr(struct rds_view *input)
{
	struct rds_addr addr = {.port = 0};
	uint8_t byte = take_byte(input);
	must(rds_ip_parse(hosts[byte % 8], &addr.ip) == 0);
	addr.port = (uint16_t)(1000 + byte / 8 % 4);
	return addr;
}

static struct rds_path take_path(struct rds_view *input)
{
	struct rds_path path = {.remote = take_addr(input)};
	path.local = (uint16_t)(path.remote.port % 2);
	return path;
}

// A connection that is open, or NULL.
static struct model_conn *take_conn(struct model *model, struct rds_view *input)
{
	uint8_t byte = take_byte(input);
	if (model->n_conns == 0)
		return NULL;
	struct model_conn *conn = &model->conns[byte % model->n_conns];
	return conn->name == 0 ? NULL : conn;
}

// Says msg by UDP or on a connection, as the input wants.
static void say(struct model *model, struct rds_view *input, const rds_message *msg)
{
	uint8_t bytes[RDS_MESSAGE_MAX_BYTES];
	long len = rds_message_encode(msg, bytes, sizeof bytes);
	must(len >= 0);
	struct rds_view payload = rds_view_of(bytes, (size_t)len);
	uint8_t how = take_byte(input);
	struct model_conn *conn = how % 2 == 0 ? NULL : take_conn(model, input);
	if (conn != NULL) {
		model_frame(model, conn, payload);
		return;
	}
	struct rds_path from = take_path(input);
	model_datagram(model, &from, payload);
}

static void register_peer(struct model *model, struct rds_view *input)
{
	rds_message msg = {.which_member = rds_RendezvousMessage_register_peer_tag};
	uint8_t byte = take_byte(input);
	msg.member.register_peer.serial = byte / 8 % 8;
	(void)rds_set(&msg.member.register_peer.id, PICK(ids, byte));
	say(model, input, &msg);
}

static void register_pk(struct model *model, struct rds_view *input)
{
	rds_message msg = {.which_member = rds_RendezvousMessage_register_pk_tag};
	uint8_t byte = take_byte(input);
	(void)rds_set(&msg.member.register_pk.id, PICK(ids, byte));
	(void)rds_set(&msg.member.register_pk.uuid, PICK(uuids, byte / 8));
	(void)rds_set(&msg.member.register_pk.pk, PICK(keys, byte / 32));
	say(model, input, &msg);
}

static void punch_hole_request(struct model *model, struct rds_view *input)
{
	static const uint8_t v6[18] = {0x20, 1};
	rds_message msg = {.which_member = rds_RendezvousMessage_punch_hole_request_tag};
	rds_PunchHoleRequest *request = &msg.member.punch_hole_request;
	uint8_t byte = take_byte(input);
	(void)rds_set(&request->id, PICK(ids, byte));
	request->force_relay = (byte & 8) != 0;
	request->udp_port = byte & 16;
	if ((byte & 32) == 0)
		(void)rds_set(&request->licence_key,
		              rds_view_text((byte & 128) != 0 ? MODEL_OLD_KEY : MODEL_KEY));
	if ((byte & 64) != 0)
		(void)rds_set(&request->socket_addr_v6, rds_view_of(v6, sizeof v6));
	say(model, input, &msg);
}

static void request_relay(struct model *model, struct rds_view *input)
{
	rds_message msg = {.which_member = rds_RendezvousMessage_request_relay_tag};
	rds_RequestRelay *request = &msg.member.request_relay;
	uint8_t byte = take_byte(input);
	(void)rds_set(&request->id, PICK(ids, byte));
	(void)rds_set(&request->uuid, rds_view_text("2f1f7c2e-5a0a-4a51-9f5d-0f1f6c1d2e3f"));
	(void)rds_set(&request->relay_server, rds_view_text("relay.example.com"));
	request->has_control_permissions = (byte & 8) != 0;
	say(model, input, &msg);
}

// B's three kinds of answer, aimed at some connection's address.
static void answer(struct model *model, struct rds_view *input)
{
	uint8_t byte = take_byte(input);
	uint8_t wire[RDS_ADDR_WIRE];
	struct model_conn *a = take_conn(model, input);
	struct rds_addr addr = a != NULL ? a->addr : take_addr(input);
	struct rds_view to = rds_view_of(wire, rds_addr_mangle(&addr, byte * 7919U, wire));
	struct rds_view id = (byte & 128) != 0 ? rds_view_of(NULL, 0) : PICK(ids, byte);
	struct rds_view version = rds_view_text((byte & 32) != 0 ? "" : "1.4.2");
	rds_message msg = {0};
	if ((byte & 24) == 0) {
		msg.which_member = rds_RendezvousMessage_punch_hole_sent_tag;
		(void)rds_set(&msg.member.punch_hole_sent.socket_addr, to);
		(void)rds_set(&msg.member.punch_hole_sent.id, id);
		(void)rds_set(&msg.member.punch_hole_sent.version, version);
	} else if ((byte & 24) == 8) {
		msg.which_member = rds_RendezvousMessage_local_addr_tag;
		(void)rds_set(&msg.member.local_addr.socket_addr, to);
		(void)rds_set(&msg.member.local_addr.local_addr, to);
		(void)rds_set(&msg.member.local_addr.id, id);
		(void)rds_set(&msg.member.local_addr.version, version);
	} else {
		msg.which_member = rds_RendezvousMessage_relay_response_tag;
		(void)rds_set(&msg.member.relay_response.socket_addr, to);
		(void)rds_set(&msg.member.relay_response.version, version);
		msg.member.relay_response.which_who = rds_RelayResponse_id_tag;
		(void)rds_set(&msg.member.relay_response.who.id, id);
	}
	say(model, input, &msg);
}

static void query(struct model *model, struct rds_view *input)
{
	rds_message msg = {0};
	uint8_t byte = take_byte(input);
	struct rds_view peers[10];
	struct rds_list list = {.items = peers, .n = byte / 4 % 11};
	for (size_t i = 0; i < list.n; i++)
		peers[i] = PICK(ids, i);
	switch (byte % 4) {
	case 0:
		msg.which_member = rds_RendezvousMessage_test_nat_request_tag;
		msg.member.test_nat_request.serial = byte / 4 % 8;
		break;
	case 1:
		msg.which_member = rds_RendezvousMessage_online_request_tag;
		msg.member.online_request.peers = rds_list_field(&list);
		break;
	case 2:
		msg.which_member = rds_RendezvousMessage_software_update_tag;
		(void)rds_set(&msg.member.software_update.url,
		              rds_view_text((byte & 4) != 0 ? "https://example.com/1.3" : ""));
		break;
	default:
		msg.which_member = (pb_size_t)(6 + byte / 4 % 23); // any, and empty
		break;
	}
	say(model, input, &msg);
}

static void raw(struct model *model, struct rds_view *input)
{
	struct model_conn *conn = (take_byte(input) & 1) != 0 ? take_conn(model, input) : NULL;
	struct rds_path from = take_path(input);
	struct rds_view payload = take_bytes(input, take_byte(input));
	if (conn != NULL)
		model_frame(model, conn, payload);
	else
		model_datagram(model, &from, payload);
}

static void connect_one(struct model *model, struct rds_view *input)
{
	struct rds_addr addr = take_addr(input);
	addr.port = (uint16_t)(40000 + model->n_conns); // no two are alike
	(void)model_connect(model, take_byte(input) % 4 == 3 ? RDS_DOOR_NAT : RDS_DOOR_MAIN, &addr);
}

static void hang_up(struct model *model, struct rds_view *input)
{
	struct model_conn *conn = take_conn(model, input);
	if (conn != NULL)
		model_hang_up(model, conn);
}

static void store_result(struct model *model, struct rds_view *input)
{
	uint8_t byte = take_byte(input);
	model->disk_full = byte >= 250;
	if (model->n_stores > 0)
		model_stored(model, byte / 4 % model->n_stores, byte % 4 != 0);
	else
		rds_rendezvous_stored(model->rules, model->now_ms, byte, byte % 2 == 0);
}

static void let_time_pass(struct model *model, struct rds_view *input)
{
	static const uint64_t steps_ms[] = {1, 100, 2000, 6000, 15000, 29999, 60000, 86400000};
	model->now_ms += steps_ms[take_byte(input) % 8];
	rds_rendezvous_set_day(model->rules, (uint16_t)(model->now_ms / 86400000));
	rds_rendezvous_write_notes(model->rules);
}

typedef void (*act_fn)(struct model *model, struct rds_view *input);

static const act_fn acts[] = {register_peer, register_pk,  register_pk,  punch_hole_request,
                              request_relay, answer,       answer,       query,
                              raw,           connect_one,  store_result, store_result,
                              hang_up,       let_time_pass};

static void open_model(struct model *model, uint8_t bits)
{
	static struct rds_cidr lan[2];
	static struct rds_view names[2];
	static struct rds_relay_name by_net[1];
	static struct rds_relay_names relays[2];
	must(rds_cidr_parse("10.0.0.0/8", &lan[0]) == 0 &&
	     rds_cidr_parse("fd00::/8", &lan[1]) == 0);
	names[0] = rds_view_text("one.example.com");
	names[1] = rds_view_text("two.example.com:31117");
	by_net[0] = (struct rds_relay_name){.net = lan[0], .name = rds_view_text("10.0.0.9")};
	relays[0] = (struct rds_relay_names){.name = names[0], .by_net = by_net, .n_by_net = 1};
	relays[1] = (struct rds_relay_names){.name = names[1]};
	struct rds_rendezvous_config config = {
	        .seed = {{3, 4}},
	        .lan = lan,
	        .n_lan = (bits & 1) != 0 ? 2 : 0,
	        .always_use_relay = (bits & 2) != 0,
	        .relays = relays,
	        .n_relays = (bits & 4) != 0 ? 2 : 0,
	        .keep_alive_sec = 30,
	        .enrol = (enum rds_enrol)(bits / 4 % 3),
	        .serial = (bits & 8) != 0 ? 5 : 0,
	        .rendezvous_servers = names,
	        .n_rendezvous_servers = 2,
	        .software_url = (bits & 16) != 0 ? "https://example.com/download/1.4.2" : NULL,
	        .limits = {.per_minute = (bits & 32) != 0 ? 3 : 0,
	                   .ids_per_day = (bits & 32) != 0 ? 2 : 0},
	};
	*model = (struct model){
	        .now_ms = 1000, .can_sign = (bits & 64) == 0, .key_enforced = (bits & 128) != 0};
	model_open(model, &config);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct model model;
	struct rds_view input = rds_view_of(data, size);
	open_model(&model, take_byte(&input));
	while (input.len > 0)
		acts[take_byte(&input) % (sizeof acts / sizeof acts[0])](&model, &input);
	model_close(&model);
	return 0;
}
