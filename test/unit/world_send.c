// SPDX-License-Identifier: MIT
// Goal: what clients say to the rules; see world.h.
#include "test/unit/world.h"

void send_register_peer(struct world *world, const char *id, int32_t serial,
                        const struct rds_path *from)
{
	rds_message msg = {.which_member = rds_RendezvousMessage_register_peer_tag};
	msg.member.register_peer.serial = serial;
	assert_true(rds_set(&msg.member.register_peer.id, rds_view_text(id)));
	datagram(world, from, &msg);
}

rds_message register_pk(const char *id, const char *uuid, const char *pk)
{
	rds_message msg = {.which_member = rds_RendezvousMessage_register_pk_tag};
	rds_RegisterPk *request = &msg.member.register_pk;
	assert_true(rds_set(&request->id, rds_view_text(id)) &&
	            rds_set(&request->uuid, rds_view_text(uuid)) &&
	            rds_set(&request->pk, rds_view_text(pk)));
	return msg;
}

void send_register_pk(struct world *world, const char *id, const char *uuid, const char *pk,
                      const struct rds_path *from)
{
	rds_message msg = register_pk(id, uuid, pk);
	datagram(world, from, &msg);
}

rds_message punch_request(const struct world *world, const char *id)
{
	rds_message msg = {.which_member = rds_RendezvousMessage_punch_hole_request_tag};
	rds_PunchHoleRequest *request = &msg.member.punch_hole_request;
	assert_true(rds_set(&request->id, rds_view_text(id)));
	assert_true(rds_set(&request->licence_key, rds_view_text(world->key)));
	return msg;
}

void send_punch(struct world *world, uint64_t conn, const struct rds_addr *addr, const char *id)
{
	rds_message msg = punch_request(world, id);
	frame(world, RDS_DOOR_MAIN, conn, addr, &msg);
}

void send_request_relay(struct world *world, uint64_t conn, const struct rds_addr *addr,
                        const char *id, const char *uuid)
{
	rds_message msg = {.which_member = rds_RendezvousMessage_request_relay_tag};
	assert_true(rds_set(&msg.member.request_relay.id, rds_view_text(id)));
	assert_true(rds_set(&msg.member.request_relay.uuid, rds_view_text(uuid)));
	frame(world, RDS_DOOR_MAIN, conn, addr, &msg);
}

void conn_register(struct world *world, uint64_t conn, const struct rds_addr *from, const char *id,
                   const char *uuid, const char *pk)
{
	rds_message msg = register_pk(id, uuid, pk);
	frame(world, RDS_DOOR_MAIN, conn, from, &msg);
}

void conn_change_id(struct world *world, uint64_t conn, const struct rds_addr *from,
                    const char *new_id, const char *old_id, const char *uuid)
{
	rds_message msg = register_pk(new_id, uuid, "");
	assert_true(rds_set(&msg.member.register_pk.old_id, rds_view_text(old_id)));
	frame(world, RDS_DOOR_MAIN, conn, from, &msg);
}

void conn_registered(struct world *world, uint64_t conn, const struct rds_addr *from,
                     const char *id, const char *uuid, const char *pk)
{
	conn_register(world, conn, from, id, uuid, pk);
	uint64_t ticket = expect_store(world)->ticket;
	expect_nothing(world);
	stored(world, ticket, true);
	expect_conn_result(world, conn, OK);
	expect_nothing(world);
}

const rds_RegisterPkResponse *world_conn_answer(struct world *world, uint64_t conn,
                                                const char *file, int line)
{
	const struct world_event *event = world_payload(world, conn, file, line);
	if (event->msg.which_member != rds_RendezvousMessage_register_pk_response_tag)
		_fail(file, line);
	return &event->msg.member.register_pk_response;
}
