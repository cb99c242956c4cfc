// SPDX-License-Identifier: MIT
// Every listening socket is opened here, or taken from the service manager that hands it over
// (sd_listen_fds(3): LISTEN_PID, LISTEN_FDS, LISTEN_FDNAMES).
#ifndef RDS_NET_LISTEN_H
#define RDS_NET_LISTEN_H

#include "core/addr.h"
#include "core/error.h"

// Notes the sockets that were handed over. Call first of all: nothing else may have been opened.
// -RDS_EINVAL with *err if one is of a kind that no server can use.
int rds_listen_inherit(struct rds_error *err) __attribute__((warn_unused_result));

// Where to listen: one address, or with `any` all of them: ip then says whether only IPv4's.
struct rds_bind {
	bool any;
	bool of_interface;
	struct rds_ip ip;
};

struct rds_binds {
	struct rds_bind *items;
	size_t n;
	bool named;           // some are interfaces
	const char **awaited; // interfaces without an address so far
	size_t n_awaited;
};

// Each item an address or an interface's name, which stands for its addresses (link-local ones
// left out: no client is told them); none at all: everywhere. Borrows the names; -RDS_ESYS; the
// list is freed with rds_binds_free.
int rds_binds_resolve(char *const *items, size_t n, struct rds_binds *out, struct rds_error *err)
        __attribute__((warn_unused_result));
void rds_binds_free(struct rds_binds *binds);

enum rds_proto { RDS_UDP, RDS_TCP };

// A nonblocking socket that listens at port of bind. Without IPv6, "everywhere" is IPv4 only.
// -RDS_ESYS, with *err saying what to do if the port is taken or privileged.
int rds_listen(enum rds_proto proto, const struct rds_bind *bind, uint16_t port, int *fd,
               struct rds_error *err) __attribute__((warn_unused_result));

// Another socket handed over that fits too (IPv4's beside IPv6's): -1 if there is none.
int rds_listen_inherited(enum rds_proto proto, const struct rds_bind *bind, uint16_t port);

// One that was handed over under this name (FileDescriptorName=), whatever its port: -1 if there is
// none (left).
#define RDS_LISTEN_WEBSOCKET "websocket"
int rds_listen_named(const char *name);

// Logs what was handed over and nobody asked for, and closes it. Call when all are open.
void rds_listen_drop_unused(void);

// What a socket is bound to, for the log. 0 or -RDS_ESYS.
int rds_local_addr(int fd, struct rds_addr *out);

struct sockaddr_storage;

// To and from the kernel's form, which is IPv6 where `six`, else IPv4.
uint32_t rds_sockaddr_set(struct sockaddr_storage *out, const struct rds_addr *addr, bool six,
                          unsigned scope);
// (no address of the internet: all zero)
void rds_sockaddr_get(const struct sockaddr_storage *from, struct rds_addr *out);

#endif
