// SPDX-License-Identifier: MIT
// The ID server's sockets: brings datagrams and frames to core/rendezvous and carries out what
// the rules decide.
#ifndef RDS_NET_ID_SERVICE_H
#define RDS_NET_ID_SERVICE_H

#include "core/rendezvous.h"
#include "core/secure_hooks.h"
#include "net/buffer.h"
#include "net/lines.h"
#include "net/loop.h"
#include "net/proxy.h"
#include "net/websocket.h"

struct rds_id_service;

// config is copied, what it points to is borrowed; keys and secure are copied. secure: the secure
// channel of the main port; NULL: none is offered.
struct rds_id_service *rds_id_service_new(struct rds_loop *loop,
                                          const struct rds_rendezvous_config *config,
                                          const struct rds_key_hooks *keys,
                                          const struct rds_secure_hooks *secure,
                                          const struct rds_proxies *proxies);

// Closes everything; the store first writes what is queued.
void rds_id_service_free(struct rds_id_service *service);

// Opens the database and loads its peers. -RDS_ESTORE and the like with *err.
int rds_id_service_open_store(struct rds_id_service *service, const char *path,
                              struct rds_error *err) __attribute__((warn_unused_result));

// Add listening sockets; take fd. receive_bytes: see rds_udp_add.
void rds_id_service_add_udp(struct rds_id_service *service, int fd, int receive_bytes);
void rds_id_service_add_tcp(struct rds_id_service *service, int fd, enum rds_door door);
void rds_id_service_add_websocket(struct rds_id_service *service, int fd, rds_sha1_fn sha1);

// Closes one of them, which no connection notices; another one's fd is left alone.
void rds_id_service_remove(struct rds_id_service *service, int fd);

// Has WebSockets that ask for /ws/relay handed over to the relay in the same process (section 2):
// fn takes the socket, and early with all that came on it from the opening request on.
typedef void (*rds_hand_over_fn)(void *ctx, int fd, const struct rds_addr *remote,
                                 struct rds_buffer *early);
void rds_id_service_hand_over(struct rds_id_service *service, rds_hand_over_fn fn, void *ctx);

// Has fn told of each relayed session's uuid that is passed on.
typedef void (*rds_issue_fn)(void *ctx, uint64_t now_ms, struct rds_view uuid);
void rds_id_service_on_issue(struct rds_id_service *service, rds_issue_fn fn, void *ctx);

// From now on whoever connects to the NAT port from a loopback address is handed to console
// (section 11), not served as a client; but where a PROXY header may come first, nobody is. Borrows
// console; NULL: there is none.
void rds_id_service_set_console(struct rds_id_service *service, struct rds_lines *console);

// For what the administrator asks; borrowed.
struct rds_rendezvous *rds_id_service_rules(const struct rds_id_service *service);

// As rds_store_backup.
int rds_id_service_backup(struct rds_id_service *service, const char *path, struct rds_error *err)
        __attribute__((warn_unused_result));

struct rds_id_status {
	struct rds_rendezvous_status rules;
	size_t online;
	size_t connections;
	struct rds_counters counters;
};
void rds_id_service_status(const struct rds_id_service *service, struct rds_id_status *out);

#endif
