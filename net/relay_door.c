// SPDX-License-Identifier: MIT
// Who is at the other end of a relay connection, and whether it may come in: lists, shares,
// proxies, and a WebSocket's opening request.
#include "net/relay_private.h"

#include "core/alloc.h"

#include <sys/socket.h>

bool relay_conn_say(const struct conn *conn, const void *bytes, size_t len)
{
	return send(conn->fd, bytes, len, MSG_NOSIGNAL) == (ssize_t)len;
}

static bool enter(struct conn *conn)
{
	struct rds_relay *relay = conn->relay;
	struct rds_share *victim = NULL;
	enum rds_share_result result =
	        rds_shares_enter(&relay->shares, &conn->remote.ip, &conn->share, &victim);
	if (result == RDS_SHARE_EVICT) {
		relay_conn_end((struct conn *)(void *)victim, RDS_WHY_RELAY_FULL);
		result = rds_shares_enter(&relay->shares, &conn->remote.ip, &conn->share, &victim);
	}
	return result == RDS_SHARE_TAKEN;
}

// Why a connection from there isn't taken.
enum rds_reason relay_refuse(struct conn *conn)
{
	const struct rds_relay_lists *lists = &conn->relay->lists;
	if (rds_cidrs_find(lists->blocked, lists->n_blocked, &conn->remote.ip))
		return RDS_WHY_BLOCKED;
	return enter(conn) ? RDS_WHY_NONE : RDS_WHY_RELAY_FULL;
}

// The connection is a proxy's: it counts for the client whom it speaks for. false: it has ended.
static bool set_client(struct conn *conn, const struct rds_addr *client)
{
	rds_shares_leave(&conn->relay->shares, &conn->share);
	conn->remote = *client;
	enum rds_reason why = relay_refuse(conn);
	if (why != RDS_WHY_NONE)
		relay_conn_end(conn, why);
	return why == RDS_WHY_NONE;
}

// false: more is needed, or it has ended.
bool relay_take_proxy_header(struct conn *conn)
{
	struct rds_relay *relay = conn->relay;
	bool known = false;
	struct rds_addr client = {0};
	long used = rds_proxy_header(rds_view_of(rds_buffer_data(&conn->early), conn->early.len),
	                             &known, &client);
	if (used == 0)
		return false;
	if (used < 0 && conn->must_proxy) {
		relay_conn_end(conn, RDS_WHY_MALFORMED);
		return false;
	}
	conn->stage = conn->websocket ? CONN_REQUEST : CONN_MESSAGE;
	if (used < 0)
		return true;
	rds_buffer_drop(&conn->early, (size_t)used);
	if (!rds_proxies_trust(&relay->config.proxies, &conn->remote.ip))
		relay->status.counters.n[RDS_WHY_PROXY_UNTRUSTED]++;
	else if (known)
		return set_client(conn, &client);
	return true;
}

// What a reverse proxy says about its client. false: it has ended.
static bool take_forwarded(struct conn *conn, const struct rds_ws_request *request)
{
	struct rds_relay *relay = conn->relay;
	struct rds_addr client = {.port = 0};
	switch (rds_proxies_client(&relay->config.proxies, &conn->remote.ip, request->real_ip,
	                           rds_view_of(request->forwarded_for, request->forwarded_len),
	                           &client.ip)) {
	case RDS_FORWARDED_NOTHING:
		return true;
	case RDS_FORWARDED_UNTRUSTED:
		relay->status.counters.n[RDS_WHY_PROXY_UNTRUSTED]++;
		return true;
	case RDS_FORWARDED_CLIENT:
		return set_client(conn, &client);
	}
	return true;
}

// false: more is needed, or it has ended.
bool relay_take_opening(struct conn *conn)
{
	struct rds_ws_request request;
	char text[RDS_WS_ANSWER_BYTES];
	long used = rds_ws_request_parse(
	        rds_view_of(rds_buffer_data(&conn->early), conn->early.len), &request);
	if (used == 0)
		return false;
	if (used < 0) {
		const char *refusal = rds_ws_refusal((int)-used);
		(void)relay_conn_say(conn, refusal, strlen(refusal));
		relay_conn_end(conn, RDS_WHY_MALFORMED);
		return false;
	}
	if (!take_forwarded(conn, &request))
		return false;
	rds_ws_answer(&request, conn->relay->config.sha1, text);
	rds_buffer_drop(&conn->early, (size_t)used);
	if (!relay_conn_say(conn, text, strlen(text))) {
		relay_conn_end(conn, RDS_WHY_RESET);
		return false;
	}
	conn->stage = CONN_MESSAGE;
	conn->code = rds_calloc(1, sizeof *conn->code);
	rds_transcoder_init(conn->code, true, false);
	conn->code->stop_after_message = true;
	return true;
}
