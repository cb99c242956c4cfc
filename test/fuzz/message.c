// SPDX-License-Identifier: MIT
// Goal: any payload is decoded or refused; what was decoded encodes to something that says the
// same; cursors stay inside.
#include "test/fuzz/fuzzing.h"

#include "core/error.h"
#include "core/message.h"

static void walk(struct rds_view payload, uint32_t member, uint32_t field)
{
	struct rds_cursor at = rds_cursor_of(payload, member, field);
	struct rds_view value;
	size_t bytes = 0;
	while (rds_cursor_next(&at, &value)) {
		must(value.data >= payload.data);
		must(value.data + value.len <= payload.data + payload.len);
		bytes += value.len + 2; // at least a tag and a length
		must(bytes <= payload.len);
	}
	must(!rds_cursor_next(&at, &value));
}

static void walk_lists(struct rds_view payload)
{
	walk(payload, rds_RendezvousMessage_configure_update_tag,
	     rds_ConfigUpdate_rendezvous_servers_tag);
	walk(payload, rds_RendezvousMessage_online_request_tag, rds_OnlineRequest_peers_tag);
	walk(payload, rds_RendezvousMessage_online_response_tag, rds_OnlineResponse_states_tag);
	walk(payload, rds_RendezvousMessage_key_exchange_tag, rds_KeyExchange_keys_tag);
	walk(payload, rds_RendezvousMessage_http_proxy_request_tag, rds_HttpProxyRequest_body_tag);
	walk(payload, rds_RendezvousMessage_test_nat_response_tag, rds_TestNatResponse_cu_tag);
}

static void encode_again(const rds_message *msg)
{
	uint8_t first[4096];
	uint8_t second[4096];
	rds_message back;
	long len = rds_message_encode(msg, first, sizeof first);
	must(len > 0);
	must(rds_message_decode(rds_view_of(first, (size_t)len), &back) == 0);
	must(back.which_member == msg->which_member);
	must(rds_message_encode(&back, second, sizeof second) == len);
	must(memcmp(first, second, (size_t)len) == 0);
	must(rds_message_encode(msg, second, (size_t)len - 1) < 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	rds_message msg;
	uint8_t *copy = exact_copy(rds_view_of(data, size));
	struct rds_view payload = rds_view_of(copy, size);
	int rc = rds_message_decode(payload, &msg);
	must(rc == 0 || rc == -RDS_EPARSE || rc == -RDS_EKIND);
	if (rc == 0) {
		walk_lists(payload);
		encode_again(&msg);
	}
	free(copy);
	return 0;
}
