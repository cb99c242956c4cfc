// SPDX-License-Identifier: MIT
// NAT tests over UDP at the relay's port: a third address for clients to compare (section 1).
#include "net/relay_private.h"

#include "core/limits.h"
#include "core/message.h"

static void on_datagram(void *ctx, const struct rds_path *from, struct rds_view payload)
{
	struct rds_relay *relay = ctx;
	rds_message msg;
	uint8_t bytes[RDS_MESSAGE_MAX_BYTES];
	if (rds_message_decode(payload, &msg) != 0 ||
	    msg.which_member != rds_RendezvousMessage_test_nat_request_tag) {
		relay->status.counters.n[RDS_WHY_UNKNOWN_MESSAGE]++;
		return;
	}
	if (!rds_rate_pass(relay->udp_rate, rds_loop_now_ms(relay->loop), &from->remote.ip)) {
		relay->status.counters.n[RDS_WHY_SOURCE_TOO_FAST]++;
		return;
	}
	msg = (rds_message){.which_member = rds_RendezvousMessage_test_nat_response_tag};
	msg.member.test_nat_response.port = from->remote.port;
	long n = rds_message_encode(&msg, bytes, sizeof bytes);
	if (n > 0)
		rds_udp_send(relay->udp, from, rds_view_of(bytes, (size_t)n));
}

static void on_dropped(void *ctx, enum rds_reason why)
{
	struct rds_relay *relay = ctx;
	relay->status.counters.n[why]++;
}

void relay_udp_open(struct rds_relay *relay)
{
	struct rds_udp_callbacks callbacks = {
	        .ctx = relay, .on_datagram = on_datagram, .on_dropped = on_dropped};
	relay->udp = rds_udp_new(relay->loop, &callbacks);
	relay->udp_rate = rds_rate_new(&relay->config.seed, RDS_RATE_PER_SECOND, RDS_RATE_BURST,
	                               RDS_RATE_TOTAL_PER_SECOND);
}

void relay_udp_close(struct rds_relay *relay)
{
	rds_udp_free(relay->udp);
	rds_rate_free(relay->udp_rate);
}
