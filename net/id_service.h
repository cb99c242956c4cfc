// SPDX-License-Identifier: MIT
// The ID server's sockets: brings datagrams and frames to core/rendezvous and carries out what
// the rules decide.
#ifndef RDS_NET_ID_SERVICE_H
#define RDS_NET_ID_SERVICE_H

#include "core/rendezvous.h"
#include "core/secure_hooks.h"
#include "net/loop.h"
#include "net/websocket.h"

// Which proxies are believed, on behalf of whom.
struct rds_proxies {
	const struct rds_cidr *trusted; // borrows
	size_t n_trusted;
	const uint16_t *header_ports; // TCP ports where a PROXY header comes first; borrows
	size_t n_header_ports;
};

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
