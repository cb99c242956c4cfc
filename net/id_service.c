// SPDX-License-Identifier: MIT
#include "net/id_service_private.h"

#include "core/alloc.h"
#include "core/limits.h"
#include "core/log.h"
#include "core/message.h"
#include "net/listen.h"
#include "net/proxy.h"
#include "net/stream.h"
#include "net/udp.h"

#include <assert.h>
#include <stdlib.h>

static uint64_t hash_id(const struct rds_id_service *service, uint64_t id)
{
	return rds_hash(&service->seed, &id, sizeof id);
}

static bool has_id(const void *entry, const void *key)
{
	return rds_stream_id(entry) == *(const uint64_t *)key;
}

static struct rds_stream *find_stream(const struct rds_id_service *service, uint64_t id)
{
	return rds_table_find(&service->streams_by_id, hash_id(service, id), has_id, &id);
}

// What the rules ask for.

static void send_datagram(void *ctx, const struct rds_path *to, struct rds_view payload)
{
	struct rds_id_service *service = ctx;
	rds_udp_send(service->udp, to, payload);
}

static void send_payload(void *ctx, uint64_t conn, struct rds_view payload)
{
	struct rds_stream *stream = find_stream(ctx, conn);
	if (stream != NULL)
		rds_stream_send(stream, payload);
}

static void close_conn(void *ctx, uint64_t conn, enum rds_reason why)
{
	struct rds_stream *stream = find_stream(ctx, conn);
	if (stream != NULL)
		rds_stream_close(stream, why);
}

static bool keep_conn(void *ctx, uint64_t conn)
{
	const struct rds_id_service *service = ctx;
	struct rds_stream *stream = find_stream(service, conn);
	return stream != NULL && rds_stream_keep(stream, service->keep_alive_sec);
}

static void issue(void *ctx, uint64_t now_ms, struct rds_view uuid)
{
	struct rds_id_service *service = ctx;
	if (service->on_issue != NULL)
		service->on_issue(service->on_issue_ctx, now_ms, uuid);
}

// What comes in.

static_assert(RDS_UDP_BATCH <= RDS_EXPECTED_MAX, "a batch can be expected at once");

static void on_batch(void *ctx, const struct rds_view *payloads, size_t n)
{
	struct rds_id_service *service = ctx;
	service->batch_ms = rds_loop_now_ms(service->loop);
	rds_rendezvous_expect(service->rules, payloads, n);
}

static void on_datagram(void *ctx, const struct rds_path *from, struct rds_view payload)
{
	struct rds_id_service *service = ctx;
	struct rds_source source = {.door = RDS_DOOR_UDP, .path = *from};
	rds_rendezvous_message(service->rules, service->batch_ms, &source, payload);
}

static void on_dropped(void *ctx, enum rds_reason why)
{
	struct rds_id_service *service = ctx;
	rds_rendezvous_count(service->rules, why);
}

// The client's first message may be its answer to our offer (section 6).
static bool is_channel_answer(const struct rds_id_service *service, const struct rds_stream *stream,
                              struct rds_view payload)
{
	return service->offers && rds_stream_mark(stream) == RDS_DOOR_MAIN &&
	       rds_stream_payloads(stream) == 1 &&
	       rds_message_peek(payload) == rds_RendezvousMessage_key_exchange_tag;
}

static void open_channel(struct rds_id_service *service, struct rds_stream *stream,
                         struct rds_view payload)
{
	struct rds_channel *channel = service->secure.accept(
	        service->secure.ctx, rds_loop_now_ms(service->loop), &rds_stream_remote(stream)->ip,
	        rds_stream_offered(stream), payload);
	if (channel != NULL) {
		rds_stream_secure(stream, &service->secure, channel);
		return;
	}
	rds_rendezvous_count(service->rules, RDS_WHY_CHANNEL_BROKEN);
	rds_stream_close(stream, RDS_WHY_CHANNEL_BROKEN);
}

static void on_payload(void *ctx, struct rds_stream *stream, struct rds_view payload)
{
	struct rds_id_service *service = ctx;
	if (is_channel_answer(service, stream, payload)) {
		open_channel(service, stream, payload);
		return;
	}
	struct rds_source source = {.door = (enum rds_door)rds_stream_mark(stream),
	                            .conn = rds_stream_id(stream)};
	source.path.remote = *rds_stream_remote(stream);
	rds_rendezvous_message(service->rules, rds_loop_now_ms(service->loop), &source, payload);
}

static void on_stream_end(void *ctx, struct rds_stream *stream, enum rds_reason why)
{
	struct rds_id_service *service = ctx;
	uint64_t id = rds_stream_id(stream);
	rds_rendezvous_closed(service->rules, id);
	if (rds_stream_offered(stream) != RDS_KEY_CURRENT && rds_stream_payloads(stream) == 0 &&
	    why == RDS_WHY_EOF && rds_stream_was_taken(stream))
		service->secure.refused(service->secure.ctx, &rds_stream_remote(stream)->ip,
		                        rds_stream_offered(stream));
	// What ended by a rule was counted by it.
	if (why == RDS_WHY_TOO_LONG || why == RDS_WHY_SLOW_READER || why == RDS_WHY_IDLE ||
	    why == RDS_WHY_RESET || why == RDS_WHY_NO_HEARTBEAT)
		rds_rendezvous_count(service->rules, why);
	rds_log(RDS_LOG_DEBUG, "connection ended",
	        rds_field_addr("from", rds_stream_remote(stream)), rds_field_reason(why));
}

static void on_gone(void *ctx, struct rds_stream *stream)
{
	struct rds_id_service *service = ctx;
	rds_table_remove(&service->streams_by_id, hash_id(service, rds_stream_id(stream)), stream);
	rds_shares_leave(&service->shares, rds_stream_share(stream));
}

// Whether there is room for one more from where it comes, made if need be.
static bool enter(struct rds_id_service *service, struct rds_stream *stream)
{
	const struct rds_ip *ip = &rds_stream_remote(stream)->ip;
	struct rds_share *victim = NULL;
	enum rds_share_result result =
	        rds_shares_enter(&service->shares, ip, rds_stream_share(stream), &victim);
	if (result == RDS_SHARE_EVICT) {
		rds_shares_leave(&service->shares, victim);
		rds_stream_close(rds_stream_of_share(victim), RDS_WHY_CONNS_FULL);
		result = rds_shares_enter(&service->shares, ip, rds_stream_share(stream), &victim);
	}
	return result == RDS_SHARE_TAKEN;
}

// The connection is a proxy's: it counts for the client whom it speaks for.
static void set_client(struct rds_id_service *service, struct rds_stream *stream,
                       const struct rds_addr *client)
{
	rds_shares_leave(&service->shares, rds_stream_share(stream));
	rds_stream_set_remote(stream, client);
	if (enter(service, stream))
		return;
	rds_rendezvous_count(service->rules, RDS_WHY_CONNS_FULL);
	rds_stream_close(stream, RDS_WHY_CONNS_FULL);
}

static void send_offer(struct rds_id_service *service, struct rds_stream *stream)
{
	uint32_t key = RDS_KEY_CURRENT;
	if (!service->offers || rds_stream_mark(stream) != RDS_DOOR_MAIN)
		return;
	struct rds_view offer =
	        service->secure.offer(service->secure.ctx, rds_loop_now_ms(service->loop),
	                              &rds_stream_remote(stream)->ip, &key);
	if (offer.len == 0)
		return;
	rds_stream_set_offered(stream, key);
	rds_stream_send(stream, offer);
}

static void on_proxied(void *ctx, struct rds_stream *stream, bool known,
                       const struct rds_addr *client)
{
	struct rds_id_service *service = ctx;
	if (!rds_proxies_trust(&service->proxies, &rds_stream_remote(stream)->ip)) {
		rds_rendezvous_count(service->rules, RDS_WHY_PROXY_UNTRUSTED);
		return;
	}
	if (known)
		set_client(service, stream, client);
	send_offer(service, stream);
}

static bool is_for_relay(const struct rds_ws_request *request)
{
	static const char path[] = "/ws/relay";
	size_t len = sizeof path - 1;
	return request->path.len >= len && memcmp(request->path.data, path, len) == 0 &&
	       (request->path.len == len || request->path.data[len] == '/' ||
	        request->path.data[len] == '?');
}

static bool on_request(void *ctx, struct rds_stream *stream, const struct rds_ws_request *request)
{
	struct rds_id_service *service = ctx;
	struct rds_addr client = {.port = 0};
	if (service->hand_over != NULL && is_for_relay(request))
		return false;
	switch (rds_proxies_client(
	        &service->proxies, &rds_stream_remote(stream)->ip, request->real_ip,
	        rds_view_of(request->forwarded_for, request->forwarded_len), &client.ip)) {
	case RDS_FORWARDED_NOTHING:
		break;
	case RDS_FORWARDED_UNTRUSTED:
		rds_rendezvous_count(service->rules, RDS_WHY_PROXY_UNTRUSTED);
		break;
	case RDS_FORWARDED_CLIENT:
		set_client(service, stream, &client);
		break;
	}
	return true;
}

static void on_handed_over(void *ctx, struct rds_stream *stream, int fd, struct rds_buffer *early)
{
	struct rds_id_service *service = ctx;
	service->hand_over(service->hand_over_ctx, fd, rds_stream_remote(stream), early);
}

// The true other end counts, which no header can change: strangers behind a proxy on this host get
// no console where that proxy says whom it speaks for.
static bool is_for_console(const struct listener *listener, const struct rds_ip *ip)
{
	return listener->service->console != NULL && listener->door == RDS_DOOR_NAT &&
	       !listener->proxy_header && rds_ip_is_loopback(ip);
}

void id_service_accept(void *ctx, int fd, const struct rds_addr *remote)
{
	static const struct rds_stream_callbacks callbacks = {.on_payload = on_payload,
	                                                      .on_proxied = on_proxied,
	                                                      .on_request = on_request,
	                                                      .on_handed_over = on_handed_over,
	                                                      .on_end = on_stream_end,
	                                                      .on_gone = on_gone};
	struct listener *listener = ctx;
	struct rds_id_service *service = listener->service;
	if (is_for_console(listener, &remote->ip)) {
		rds_lines_take(service->console, fd);
		return;
	}
	struct rds_stream *stream = rds_stream_new(service->loop, fd, remote, &callbacks, service);
	if (!enter(service, stream)) {
		rds_rendezvous_count(service->rules, RDS_WHY_CONNS_FULL);
		rds_stream_free(stream);
		return;
	}
	rds_stream_set_mark(stream, (int)listener->door);
	bool proxied = listener->proxy_header && rds_proxies_trust(&service->proxies, &remote->ip);
	if (listener->proxy_header)
		rds_stream_expect_proxy(stream, proxied);
	if (listener->door == RDS_DOOR_WEBSOCKET)
		rds_stream_expect_websocket(stream, listener->sha1);
	rds_table_insert(&service->streams_by_id, hash_id(service, rds_stream_id(stream)), stream);
	// Which key is offered depends on the client, whom a proxy is yet to name.
	if (!proxied)
		send_offer(service, stream);
}

struct rds_id_service *rds_id_service_new(struct rds_loop *loop,
                                          const struct rds_rendezvous_config *config,
                                          const struct rds_key_hooks *keys,
                                          const struct rds_secure_hooks *secure,
                                          const struct rds_proxies *proxies)
{
	struct rds_id_service *service = rds_calloc(1, sizeof *service);
	struct rds_host host = {.ctx = service,
	                        .send_datagram = send_datagram,
	                        .send_payload = send_payload,
	                        .close_conn = close_conn,
	                        .keep_conn = keep_conn,
	                        .issue = issue,
	                        .keys = *keys};
	struct rds_udp_callbacks callbacks = {.ctx = service,
	                                      .on_batch = on_batch,
	                                      .on_datagram = on_datagram,
	                                      .on_dropped = on_dropped};
	id_service_store_hooks(&host);
	service->loop = loop;
	service->seed = config->seed;
	service->keep_alive_sec = (unsigned)config->keep_alive_sec;
	service->proxies = *proxies;
	service->offers = secure != NULL;
	if (secure != NULL)
		service->secure = *secure;
	rds_table_init(&service->streams_by_id);
	rds_shares_init(&service->shares, &config->seed, RDS_CONNS, RDS_CONNS_PER_IP);
	service->rules = rds_rendezvous_new(config, &host);
	service->udp = rds_udp_new(loop, &callbacks);
	service->store_waker = rds_waker_new(loop, id_service_stored, service);
	service->tick = rds_timer_every(loop, 1000, id_service_tick, service);
	id_service_tick(service);
	return service;
}

void rds_id_service_free(struct rds_id_service *service)
{
	if (service == NULL)
		return;
	id_service_close_doors(service);
	rds_timer_free(service->tick);
	rds_rendezvous_write_notes(service->rules);
	rds_store_close(service->store);
	size_t at = 0;
	for (void *stream; (stream = rds_table_next(&service->streams_by_id, &at)) != NULL;)
		rds_stream_free(stream);
	rds_table_clear(&service->streams_by_id);
	rds_shares_clear(&service->shares);
	rds_udp_free(service->udp);
	rds_waker_free(service->store_waker);
	rds_rendezvous_free(service->rules);
	free(service);
}

void rds_id_service_set_console(struct rds_id_service *service, struct rds_lines *console)
{
	service->console = console;
}

struct rds_rendezvous *rds_id_service_rules(const struct rds_id_service *service)
{
	return service->rules;
}

void rds_id_service_on_issue(struct rds_id_service *service, rds_issue_fn fn, void *ctx)
{
	service->on_issue = fn;
	service->on_issue_ctx = ctx;
}

void rds_id_service_hand_over(struct rds_id_service *service, rds_hand_over_fn fn, void *ctx)
{
	service->hand_over = fn;
	service->hand_over_ctx = ctx;
}

void rds_id_service_status(const struct rds_id_service *service, struct rds_id_status *out)
{
	out->rules = rds_rendezvous_status(service->rules);
	out->online = rds_rendezvous_online(service->rules, rds_loop_now_ms(service->loop));
	out->connections = service->streams_by_id.used;
	out->counters = *rds_rendezvous_counters(service->rules);
}
