// SPDX-License-Identifier: MIT
#include "net/resolve.h"

#include "core/alloc.h"

#include <event2/dns.h>
#include <event2/event.h>
#include <event2/util.h>
#include <netdb.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/socket.h>

struct rds_resolver {
	struct event_base *base;
	struct evdns_base *dns;
	rds_resolve_fn on_result;
	void *ctx;
	bool closing;
	size_t pending;
	struct event *idle; // frees what libevent keeps asking name servers with
};

struct look_up {
	struct rds_resolver *resolver;
	char *name;
};

static void on_answer(int result, struct evutil_addrinfo *addrs, void *arg)
{
	struct look_up *look_up = arg;
	struct rds_resolver *resolver = look_up->resolver;
	if (!resolver->closing)
		resolver->on_result(resolver->ctx, look_up->name,
		                    result == 0 ? NULL : evutil_gai_strerror(result));
	if (addrs != NULL)
		evutil_freeaddrinfo(addrs);
	free(look_up->name);
	free(look_up);
	if (--resolver->pending == 0 && !resolver->closing)
		event_active(resolver->idle, EV_TIMEOUT, 0);
}

static void on_idle(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	struct rds_resolver *resolver = arg;
	if (resolver->pending > 0 || resolver->dns == NULL)
		return;
	evdns_base_free(resolver->dns, 1);
	resolver->dns = NULL;
}

struct rds_resolver *rds_resolver_new(struct rds_loop *loop, rds_resolve_fn on_result, void *ctx)
{
	struct rds_resolver *resolver = rds_calloc(1, sizeof *resolver);
	resolver->on_result = on_result;
	resolver->ctx = ctx;
	resolver->base = rds_loop_base(loop);
	resolver->idle = event_new(resolver->base, -1, 0, on_idle, resolver);
	if (resolver->idle == NULL)
		abort();
	return resolver;
}

static void open_dns(struct rds_resolver *resolver)
{
	resolver->dns = evdns_base_new(resolver->base, EVDNS_BASE_DISABLE_WHEN_INACTIVE);
	if (resolver->dns == NULL)
		abort();
	// Without a usable resolv.conf there is still /etc/hosts.
	if (evdns_base_resolv_conf_parse(resolver->dns, DNS_OPTIONS_ALL, "/etc/resolv.conf") != 0)
		(void)evdns_base_load_hosts(resolver->dns, "/etc/hosts");
}

void rds_resolver_look_up(struct rds_resolver *resolver, const char *name)
{
	struct evutil_addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};
	struct look_up *look_up = rds_calloc(1, sizeof *look_up);
	look_up->resolver = resolver;
	look_up->name = rds_strdup(name);
	if (resolver->dns == NULL)
		open_dns(resolver);
	resolver->pending++;
	(void)evdns_getaddrinfo(resolver->dns, name, NULL, &hints, on_answer, look_up);
}

void rds_resolver_free(struct rds_resolver *resolver)
{
	if (resolver == NULL)
		return;
	resolver->closing = true;
	if (resolver->dns != NULL)
		evdns_base_free(resolver->dns, 1);
	// libevent ends pending look-ups by callbacks of their own, which must still run.
	if (resolver->pending > 0)
		(void)event_base_loop(resolver->base, EVLOOP_NONBLOCK);
	event_free(resolver->idle);
	free(resolver);
}
