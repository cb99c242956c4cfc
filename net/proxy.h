// SPDX-License-Identifier: MIT
// What proxies say about whom they speak for: X-Forwarded-For and the PROXY protocol. Pure
// functions; whether to believe them is the caller's business.
#ifndef RDS_NET_PROXY_H
#define RDS_NET_PROXY_H

#include "core/addr.h"

// Which proxies are believed, on behalf of whom.
struct rds_proxies {
	const struct rds_cidr *trusted; // borrows
	size_t n_trusted;
	const uint16_t *header_ports; // TCP ports where a PROXY header comes first; borrows
	size_t n_header_ports;
};

bool rds_proxies_trust(const struct rds_proxies *proxies, const struct rds_ip *ip);

// Whether a PROXY header comes first on the TCP port that a listening socket is bound to.
bool rds_proxies_expect_header(const struct rds_proxies *proxies, uint16_t port);

// What the headers of a WebSocket's opening request say of its client. The client's port is in
// none.
enum rds_forwarded {
	RDS_FORWARDED_NOTHING,
	RDS_FORWARDED_UNTRUSTED, // something, but not by one of our proxies
	RDS_FORWARDED_CLIENT,
};
enum rds_forwarded rds_proxies_client(const struct rds_proxies *proxies, const struct rds_ip *from,
                                      struct rds_view real_ip, struct rds_view forwarded_for,
                                      struct rds_ip *client);

// The rightmost address of an X-Forwarded-For value that isn't one of our own proxies: what is
// left of it was said by the client. false: there is none.
bool rds_forwarded_client(struct rds_view forwarded_for, const struct rds_cidr *trusted,
                          size_t n_trusted, struct rds_ip *out);

// Longest PROXY header that is taken (version 2 with type-length-values).
#define RDS_PROXY_HEADER_MAX 1024

// A PROXY protocol header, version 1 or 2, at the start of the bytes. Returns its length, with
// *known and *out saying for whom (a proxy's own health check, say, names nobody); 0 if more
// bytes are needed; -RDS_EPARSE if there is none.
long rds_proxy_header(struct rds_view bytes, bool *known, struct rds_addr *out)
        __attribute__((warn_unused_result));

#endif
