// SPDX-License-Identifier: MIT
// What is said in a conversation, and heard.
#include "cmd/check/talk_private.h"

#include "core/message_text.h"
#include "keys/secure_channel.h"

#include <stdlib.h>

#define TIMES_ASKED 3

void talk_send_bytes(struct talk *talk, struct rds_view payload)
{
	if (!talk->is_open || (talk->end != TALK_OPEN && talk->by != TALK_UDP))
		return;
	talk_show(talk, ">", payload);
	if (talk->datagram != NULL)
		rds_datagram_send(talk->datagram, payload);
	else if (talk->client != NULL)
		rds_client_send(talk->client, payload);
}

void talk_send(struct talk *talk, const rds_message *msg)
{
	uint8_t bytes[RDS_MESSAGE_MAX_BYTES];
	long len = rds_message_encode(msg, bytes, sizeof bytes);
	if (len < 0)
		abort(); // what clients say is bounded below it
	talk_send_bytes(talk, rds_view_of(bytes, (size_t)len));
}

static bool take_first(struct talk *talk, struct rds_view *payload)
{
	if (talk->queue == NULL)
		return false;
	free(talk->current);
	talk->current = talk->queue;
	talk->queue = talk->queue->next;
	talk->n_queued--;
	*payload = rds_view_of(talk->current->bytes, talk->current->len);
	return true;
}

static bool is_offer(struct rds_view payload)
{
	return rds_message_peek(payload) == rds_RendezvousMessage_key_exchange_tag;
}

static bool receive(struct talk *talk, uint64_t until_ms, bool offers, struct rds_view *payload)
{
	for (;;) {
		while (take_first(talk, payload))
			if (payload->len > 0 && (offers || !is_offer(*payload)))
				return true;
		if (talk->end != TALK_OPEN)
			return false;
		if (talks_is_over(talk->talks, until_ms)) {
			talk_note(talk, "%s: no answer in time", talk->name);
			return false;
		}
		talks_wait(talk->talks, until_ms);
	}
}

bool talk_receive_within(struct talk *talk, unsigned ms, struct rds_view *payload)
{
	return receive(talk, talks_in_ms(talk->talks, ms), false, payload);
}

bool talk_receive(struct talk *talk, struct rds_view *payload)
{
	return talk_receive_within(talk, talk->talks->check->options.timeout_ms, payload);
}

bool talk_receive_offer(struct talk *talk, struct rds_view *payload)
{
	return receive(talk, talks_in_ms(talk->talks, talk->talks->check->options.timeout_ms), true,
	               payload);
}

// Whether the payload is one of those that were expected.
static bool is_expected(struct talk *talk, struct rds_view payload, uint32_t tag, uint32_t or_tag,
                        rds_message *msg)
{
	char text[256];
	int rc = rds_message_decode(payload, msg);
	if (rc == 0 && (msg->which_member == tag || (or_tag != 0 && msg->which_member == or_tag)))
		return true;
	(void)rds_message_describe(payload, text, sizeof text);
	talk_note(talk, "%s answers %s", talk->name, text);
	return false;
}

bool talk_expect(struct talk *talk, uint32_t tag, uint32_t or_tag, rds_message *msg,
                 struct rds_view *payload)
{
	return talk_receive(talk, payload) && is_expected(talk, *payload, tag, or_tag, msg);
}

bool talk_expect_within(struct talk *talk, unsigned ms, uint32_t tag, rds_message *msg)
{
	struct rds_view payload;
	return talk_receive_within(talk, ms, &payload) && is_expected(talk, payload, tag, 0, msg);
}

static bool is_by_the_way(uint32_t tag)
{
	return tag == rds_RendezvousMessage_configure_update_tag ||
	       tag == rds_RendezvousMessage_software_update_tag;
}

// What is no answer to the question that was asked last: the server's own affairs, and one more
// answer to the question before, which a slow server gives each time that it was asked.
static bool is_no_answer(const struct talk *talk, uint32_t found, uint32_t tag)
{
	return is_by_the_way(found) || (found == talk->late_tag && found != tag);
}

static bool receive_answer(struct talk *talk, uint64_t until_ms, uint32_t tag,
                           struct rds_view *payload)
{
	while (receive(talk, until_ms, false, payload))
		if (!is_no_answer(talk, rds_message_peek(*payload), tag))
			return true;
	return false;
}

bool talk_ask(struct talk *talk, const rds_message *msg, uint32_t tag, rds_message *answer)
{
	unsigned step_ms = talk->talks->check->options.timeout_ms;
	uint64_t until_ms = talks_in_ms(talk->talks, step_ms);
	for (unsigned asked = 1; !talks_is_over(talk->talks, until_ms); asked++) {
		struct rds_view payload;
		uint64_t again_ms = talks_in_ms(talk->talks, step_ms / TIMES_ASKED);
		talk->end = TALK_OPEN; // a port that was closed may be open by now
		talk_send(talk, msg);
		if (receive_answer(talk, again_ms < until_ms ? again_ms : until_ms, tag,
		                   &payload)) {
			talk->late_tag = asked > 1 ? tag : talk->late_tag;
			return is_expected(talk, payload, tag, 0, answer);
		}
		if (talk->end != TALK_OPEN)
			return false;
	}
	return false;
}

void talk_go_raw(struct talk *talk)
{
	talk->is_raw = true;
}

// --- the secure channel

void talk_secure(struct talk *talk, struct rds_channel *channel)
{
	static const struct rds_secure_hooks hooks = {
	        .open = rds_channel_open, .seal = rds_channel_seal, .free = rds_channel_free};
	rds_client_secure(talk->client, &hooks, channel);
}
