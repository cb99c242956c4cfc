// SPDX-License-Identifier: MIT
// Questions that need no peer to answer: the NAT test and the online query (protocol.md section
// 7), and the old update messages (section 4 point 7).
#include "core/rendezvous_private.h"

#include "core/alloc.h"

#include <ctype.h>
#include <stdlib.h>

static struct rds_list server_list(const struct rds_rendezvous *rules)
{
	return (struct rds_list){.items = rules->config.rendezvous_servers,
	                         .n = rules->config.n_rendezvous_servers};
}

// An answer with lists or blobs of any length.
static void reply_long(struct rds_rendezvous *rules, const struct rds_source *to,
                       const rds_message *msg, size_t cap)
{
	uint8_t *bytes = rds_calloc(cap, 1);
	long len = rds_message_encode(msg, bytes, cap);
	if (len < 0)
		abort(); // the caller knows how much it put in
	rendezvous_send(rules, to, rds_view_of(bytes, (size_t)len));
	free(bytes);
}

static size_t list_bytes(const struct rds_list *list)
{
	size_t bytes = 0;
	for (size_t i = 0; i < list->n; i++)
		bytes += list->items[i].len + 8;
	return bytes;
}

// An empty list would wipe the client's own.
bool rendezvous_has_update(const struct rds_rendezvous *rules, int32_t serial)
{
	return rules->config.n_rendezvous_servers > 0 && serial < rules->config.serial;
}

void rendezvous_config_update(struct rds_rendezvous *rules, const struct rds_incoming *in)
{
	struct rds_list servers = server_list(rules);
	rds_message msg = {.which_member = rds_RendezvousMessage_configure_update_tag};
	msg.member.configure_update.serial = rules->config.serial;
	msg.member.configure_update.rendezvous_servers = rds_list_field(&servers);
	reply_long(rules, in->from, &msg, RDS_MESSAGE_MAX_BYTES + list_bytes(&servers));
}

void rendezvous_test_nat(struct rds_rendezvous *rules, const struct rds_incoming *in)
{
	struct rds_list servers = server_list(rules);
	rds_message msg = {.which_member = rds_RendezvousMessage_test_nat_response_tag};
	rds_TestNatResponse *answer = &msg.member.test_nat_response;
	if (!rendezvous_may_answer(rules, in))
		return;
	answer->port = in->from->path.remote.port;
	if (in->from->door != RDS_DOOR_UDP &&
	    rendezvous_has_update(rules, in->msg->member.test_nat_request.serial)) {
		answer->has_cu = true;
		answer->cu.serial = rules->config.serial;
		answer->cu.rendezvous_servers = rds_list_field(&servers);
	}
	reply_long(rules, in->from, &msg, RDS_MESSAGE_MAX_BYTES + list_bytes(&servers));
	if (in->from->door == RDS_DOOR_NAT)
		rules->host.close_conn(rules->host.ctx, in->from->conn, RDS_WHY_DONE);
}

static struct rds_cursor peers_of(struct rds_view payload)
{
	return rds_cursor_of(payload, rds_RendezvousMessage_online_request_tag,
	                     rds_OnlineRequest_peers_tag);
}

void rendezvous_online_request(struct rds_rendezvous *rules, const struct rds_incoming *in)
{
	struct rds_view id;
	size_t n = 0;
	for (struct rds_cursor at = peers_of(in->payload); rds_cursor_next(&at, &id);)
		n++;
	size_t len = (n + 7) / 8;
	uint8_t *bits = rds_calloc(len, 1);
	n = 0;
	for (struct rds_cursor at = peers_of(in->payload); rds_cursor_next(&at, &id); n++) {
		const struct rds_peer *peer = rendezvous_find(rules, id);
		if (peer != NULL && rendezvous_is_online(peer, in->now_ms))
			bits[n / 8] |= (uint8_t)(0x80U >> (n % 8));
	}
	struct rds_view states = rds_view_of(bits, len);
	rds_message msg = {.which_member = rds_RendezvousMessage_online_response_tag};
	msg.member.online_response.states = rds_blob_field(&states);
	reply_long(rules, in->from, &msg, RDS_MESSAGE_MAX_BYTES + len);
	free(bits);
	if (in->from->door == RDS_DOOR_NAT)
		rules->host.close_conn(rules->host.ctx, in->from->conn, RDS_WHY_DONE);
}

// The last run of digits, and of dots between them, in text; empty if there is none.
static struct rds_view last_number(struct rds_view text)
{
	size_t end = text.len;
	while (end > 0 && !isdigit(text.data[end - 1]))
		end--;
	size_t start = end;
	while (start > 0 &&
	       (isdigit(text.data[start - 1]) ||
	        (text.data[start - 1] == '.' && start > 1 && isdigit(text.data[start - 2]))))
		start--;
	return rds_view_of(text.data + start, end - start);
}

// The last one with a dot in it, which is the version in ".../rustdesk-1.4.2-x86_64.exe"; else the
// last one.
static struct rds_view last_version(struct rds_view text)
{
	struct rds_view number = last_number(text);
	struct rds_view last = number;
	while (number.len > 0 && memchr(number.data, '.', number.len) == NULL)
		number = last_number(rds_view_of(text.data, (size_t)(number.data - text.data)));
	return number.len > 0 ? number : last;
}

// The version in text, as one number that compares; 0 if there is none.
static uint64_t version_in(struct rds_view text)
{
	struct rds_view version = last_version(text);
	uint64_t parts[3] = {0};
	size_t part = 0;
	for (size_t i = 0; i < version.len && part < 3; i++) {
		uint8_t c = version.data[i];
		if (c == '.')
			part++;
		else
			parts[part] = (parts[part] * 10 + (uint64_t)(c - '0')) & 0xfffff;
	}
	return parts[0] << 40 | parts[1] << 20 | parts[2];
}

// By UDP the asker's address is unproven, so the answer must not be much longer than the question.
#define UNPROVEN_EXTRA_BYTES 16

void rendezvous_software_update(struct rds_rendezvous *rules, const struct rds_incoming *in)
{
	struct rds_view configured = rds_view_text(rules->config.software_url);
	struct rds_view theirs = rds_get(in->msg->member.software_update.url);
	if (configured.len == 0 || version_in(theirs) >= version_in(configured))
		return;
	rds_message msg = {.which_member = rds_RendezvousMessage_software_update_tag};
	uint8_t bytes[RDS_MESSAGE_MAX_BYTES];
	(void)rds_set(&msg.member.software_update.url, configured);
	long len = rds_message_encode(&msg, bytes, sizeof bytes);
	if (len < 0)
		abort(); // the setting is bounded
	if (in->from->door == RDS_DOOR_UDP &&
	    (size_t)len > in->payload.len + UNPROVEN_EXTRA_BYTES) {
		rendezvous_refuse(rules, in, RDS_WHY_REPLY_TOO_LONG, rds_view_of(NULL, 0));
		return;
	}
	rendezvous_send(rules, in->from, rds_view_of(bytes, (size_t)len));
}

// A logged-in client holds this connection for the length of a session (section 7): its end is
// what counts, and heartbeats find it.
void rendezvous_health_check(struct rds_rendezvous *rules, const struct rds_incoming *in)
{
	(void)rules->host.keep_conn(rules->host.ctx, in->from->conn);
}

// The client's HTTP API by way of this port (section 7). There is none here, and the client asks
// every few seconds: so it is told at once.
void rendezvous_http_proxy(struct rds_rendezvous *rules, const struct rds_incoming *in)
{
	static const char text[] = "this server has no HTTP API";
	rds_message msg = {.which_member = rds_RendezvousMessage_http_proxy_response_tag};
	msg.member.http_proxy_response.status = 501;
	(void)rds_set(&msg.member.http_proxy_response.error, rds_view_text(text));
	rendezvous_reply(rules, in->from, &msg);
}
