// SPDX-License-Identifier: MIT
// Shared by the id_service*.c files and nobody else.
#ifndef RDS_NET_ID_SERVICE_PRIVATE_H
#define RDS_NET_ID_SERVICE_PRIVATE_H

#include "core/shares.h"
#include "net/id_service.h"

// A listening socket and the door it is.
struct listener {
	struct rds_id_service *service;
	struct rds_acceptor *acceptor;
	enum rds_door door;
	rds_sha1_fn sha1;  // of WebSocket doors
	bool proxy_header; // comes first, where a proxy is at the other end
};

struct rds_id_service {
	struct rds_loop *loop;
	struct rds_seed seed;
	struct rds_rendezvous *rules;
	struct rds_secure_hooks secure;
	bool offers; // a secure channel, on the main port
	unsigned keep_alive_sec;
	struct rds_proxies proxies;
	rds_hand_over_fn hand_over; // NULL: there is no relay here
	void *hand_over_ctx;
	rds_issue_fn on_issue; // NULL: nobody cares
	void *on_issue_ctx;
	struct rds_store *store;
	struct rds_waker *store_waker;
	struct rds_timer *tick; // once a second
	struct rds_udp *udp;
	uint64_t batch_ms; // when the datagrams that are handed over now came
	struct listener **listeners;
	size_t n_listeners;
	struct rds_table streams_by_id;
	struct rds_lines *console; // on the NAT port; NULL: there is none
	struct rds_shares shares;  // of connections, among the addresses they come from
};

// id_service.c: an rds_accept_fn; ctx is the listener.
void id_service_accept(void *ctx, int fd, const struct rds_addr *remote);

// id_service_doors.c
void id_service_close_doors(struct rds_id_service *service);

// id_service_store.c: sets those of the rules' callbacks that go to the disk.
void id_service_store_hooks(struct rds_host *host);

// Tells the rules what day it is, lets them write their notes and forget what is over; ctx is the
// service.
void id_service_tick(void *ctx);

// Hands the rules what the store says has ended; ctx is the service.
void id_service_stored(void *ctx);

#endif
