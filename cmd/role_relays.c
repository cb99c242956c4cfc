// SPDX-License-Identifier: MIT
// The relays that the ID server hands out: where they are read, looked up and probed.
#include "cmd/role_private.h"

#include "core/alloc.h"
#include "core/rendezvous_admin.h"
#include "keys/keypair.h"

#include <stdlib.h>

#define DEFAULT_PORT 21117 // of a relay whose name has none (protocol.md section 1)

int role_read_relays(struct role *role, const char *text, struct rds_error *err)
{
	struct rds_relays relays;
	const char *local = rds_settings_text(role->settings, RDS_SET_LOCAL_IP);
	int rc = rds_relays_parse(text, &relays, err);
	if (rc != 0)
		return rc;
	if (relays.n_unreachable > 0)
		rds_log(RDS_LOG_WARN,
		        "not handed out as a relay: no client can reach 0.0.0.0; -r is what "
		        "clients are told, not where the server listens",
		        rds_field_text("relay_servers", text));
	if (local[0] != '\0' && role->lan.n > 0)
		rds_relays_add_local(&relays, role->lan.items, role->lan.n, local);
	if (role->id != NULL)
		rds_rendezvous_set_relays(rds_id_service_rules(role->id), relays.items, relays.n);
	rds_relays_free(&role->relays);
	role->relays = relays;
	if (role->probe != NULL)
		rds_relay_probe_wake(role->probe);
	return 0;
}

static bool split(struct rds_view name, struct rds_host_port *out)
{
	char *text = rds_strndup(name.data, name.len);
	int rc = rds_value_host(text, out);
	free(text);
	return rc == 0;
}

static void on_resolved(void *ctx, const char *name, const struct rds_ip *ips, size_t n,
                        const char *why)
{
	(void)ctx;
	(void)ips;
	if (n == 0)
		rds_log(RDS_LOG_WARN,
		        "a relay's name does not resolve here; it is handed out all the same, "
		        "since clients resolve it",
		        rds_field_text("relay", name), rds_field_text("why", why));
}

static void look_up(struct role *role, struct rds_view name)
{
	struct rds_ip ip;
	struct rds_host_port host;
	if (split(name, &host) && rds_ip_parse(host.host, &ip) != 0)
		(void)rds_resolver_look_up(role->resolver, host.host, on_resolved, NULL);
}

static unsigned probe_interval_ms(const struct role *role)
{
	return (unsigned)rds_settings_number(role->settings, RDS_SET_RELAY_PROBE) * 1000;
}

// Those names that no probe uses.
static void look_up_relays(struct role *role)
{
	for (size_t i = 0; i < role->relays.n && probe_interval_ms(role) == 0; i++)
		look_up(role, role->relays.items[i].name);
	for (size_t i = 0; i < role->relays.n_by_net; i++)
		look_up(role, role->relays.by_net[i].name);
}

// Clients that are told no relay go to the ID host's port N+1: say so where nothing is there.
static void warn_of_missing_relay(const struct role *role)
{
	const struct rds_settings *settings = role->settings;
	uint16_t expected = (uint16_t)(rds_settings_number(settings, RDS_SET_PORT) + 1);
	uint16_t ours = rds_settings_port(settings, RDS_SET_RELAY_PORT);
	if (role->relays.n == 0 && role->kind->relay && ours != 0 && ours != expected)
		rds_log(RDS_LOG_WARN,
		        "clients will look for the relay at another port: name it with -r "
		        "HOST:PORT",
		        rds_field_uint("they_try", expected), rds_field_uint("relay_port", ours));
}

static void split_for_probe(void *ctx, struct rds_view name, char host[256], uint16_t *port)
{
	struct rds_host_port parts;
	(void)ctx;
	if (!split(name, &parts))
		abort(); // it was checked when it was read
	memcpy(host, parts.host, sizeof parts.host);
	*port = parts.port != 0 ? parts.port : DEFAULT_PORT;
}

// Our own relay may pair only what this ID server has passed on.
static void announce_probe(void *ctx, struct rds_view uuid)
{
	const struct role *role = ctx;
	if (role->issued != NULL)
		rds_issued_add(role->issued, rds_loop_now_ms(role->loop), uuid);
}

static struct rds_view key_for_probe(void *ctx)
{
	const struct role *role = ctx;
	return rds_view_text(rds_key_policy_client_text(role->key));
}

int role_relays_start(struct role *role, struct rds_error *err)
{
	struct rds_relay_probe_hooks hooks = {.ctx = role,
	                                      .split = split_for_probe,
	                                      .announce = announce_probe,
	                                      .key = key_for_probe};
	struct rds_seed seed;
	if (!rds_random(&seed, sizeof seed))
		return rds_fail(err, RDS_ECRYPTO, "no random numbers from OpenSSL");
	warn_of_missing_relay(role);
	role->resolver = rds_resolver_new(role->loop);
	role->probe = rds_relay_probe_new(role->loop, role->resolver,
	                                  rds_rendezvous_relays(rds_id_service_rules(role->id)),
	                                  &seed, &hooks);
	role_probe_relays(role);
	look_up_relays(role);
	return 0;
}

void role_probe_relays(struct role *role)
{
	rds_rotation_probe_every(rds_rendezvous_relays(rds_id_service_rules(role->id)),
	                         probe_interval_ms(role));
	rds_relay_probe_wake(role->probe);
}

void role_relays_stop(struct role *role)
{
	rds_relay_probe_free(role->probe);
	rds_resolver_free(role->resolver);
}
