// SPDX-License-Identifier: MIT
// Reading the values of settings: numbers, switches, lists of networks, hosts and addresses.
#ifndef RDS_CONF_VALUES_H
#define RDS_CONF_VALUES_H

#include "core/addr.h"
#include "core/error.h"

// Whole decimal number within bounds. 0 or -RDS_EINVAL.
int rds_value_number(const char *text, int64_t least, int64_t most, int64_t *out)
        __attribute__((warn_unused_result));

// A length of time: "30d", "12h", "90m", "45s", or "0"; in seconds, up to ten years. 0 or
// -RDS_EINVAL.
int rds_value_duration(const char *text, int64_t *out_sec) __attribute__((warn_unused_result));

// A part of one with up to three decimals ("0.66", "1", ".5"), in thousandths. 0 or -RDS_EINVAL.
int rds_value_share(const char *text, int64_t *out) __attribute__((warn_unused_result));

// Y/N, yes/no, on/off, true/false, 1/0, in any case. 0 or -RDS_EINVAL.
int rds_value_switch(const char *text, bool *out) __attribute__((warn_unused_result));

// A comma-separated list, white space around items and empty items dropped.
struct rds_strings {
	char **items;
	size_t n;
};
void rds_strings_split(const char *text, struct rds_strings *out);
void rds_strings_free(struct rds_strings *strings);

struct rds_cidrs {
	struct rds_cidr *items;
	size_t n;
};

// A list of networks and addresses. -RDS_EINVAL with the bad item in *err.
int rds_value_cidrs(const char *text, struct rds_cidrs *out, struct rds_error *err)
        __attribute__((warn_unused_result));
void rds_cidrs_free(struct rds_cidrs *cidrs);

// A switch, or else the networks for which it is on. -RDS_EINVAL with what is accepted in *err.
struct rds_switch {
	bool on; // everywhere
	struct rds_cidrs nets;
};
int rds_value_switch_or_cidrs(const char *text, struct rds_switch *out, struct rds_error *err)
        __attribute__((warn_unused_result));
void rds_switch_free(struct rds_switch *sw);

struct rds_ports {
	uint16_t *items;
	size_t n;
};

// A list of ports; "off" or nothing for none. -RDS_EINVAL with the bad item in *err.
int rds_value_ports(const char *text, struct rds_ports *out, struct rds_error *err)
        __attribute__((warn_unused_result));
void rds_ports_free(struct rds_ports *ports);

// Each item of the list is an address or could be an interface's name; -RDS_EINVAL with the bad
// item in *err.
int rds_value_binds(const char *text, struct rds_error *err) __attribute__((warn_unused_result));

// A host name, an IPv4 address or an IPv6 one in brackets, with an optional port; as clients
// are told it. *port is 0 where there is none. 0 or -RDS_EINVAL.
struct rds_host_port {
	char host[256]; // IPv6 without brackets; with the port at most 255 characters in all
	uint16_t port;
};
int rds_value_host(const char *text, struct rds_host_port *out) __attribute__((warn_unused_result));

// http:// or https://, a host as above, and maybe a plain path. 0 or -RDS_EINVAL.
int rds_value_url(const char *text) __attribute__((warn_unused_result));

// Each item of the list is a host that a client can reach; -RDS_EINVAL with the bad item in *err.
int rds_value_hosts(const char *text, struct rds_error *err) __attribute__((warn_unused_result));

// false for "0.0.0.0" and "[::]": where a server listens, never where a client can go. People
// give them to -r because they take it for a listening address.
bool rds_host_is_reachable(const char *text);

#endif
