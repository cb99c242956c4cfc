// SPDX-License-Identifier: MIT
#include "net/resolve.h"

#include "core/alloc.h"
#include "net/listen.h"

#include <event2/dns.h>
#include <event2/event.h>
#include <event2/util.h>
#include <netdb.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

struct rds_resolver {
	struct event_base *base;
	struct evdns_base *dns;
	bool closing;
	size_t pending;
	struct event *idle; // frees what libevent keeps asking name servers with
};

struct rds_look_up {
	struct rds_resolver *resolver;
	struct evdns_getaddrinfo_request *request;
	char *name;
	rds_resolve_fn fn; // NULL: nobody wants the result any more
	void *ctx;
};

static size_t take_addresses(const struct evutil_addrinfo *addrs, struct rds_ip *ips)
{
	size_t n = 0;
	for (; addrs != NULL && n < RDS_RESOLVE_ADDRS; addrs = addrs->ai_next) {
		struct sockaddr_storage ss = {0};
		struct rds_addr addr;
		memcpy(&ss, addrs->ai_addr, (size_t)addrs->ai_addrlen);
		rds_sockaddr_get(&ss, &addr);
		ips[n++] = addr.ip;
	}
	return n;
}

static void on_answer(int result, struct evutil_addrinfo *addrs, void *arg)
{
	struct rds_look_up *look_up = arg;
	struct rds_resolver *resolver = look_up->resolver;
	struct rds_ip ips[RDS_RESOLVE_ADDRS];
	size_t n = take_addresses(addrs, ips);
	if (!resolver->closing && look_up->fn != NULL)
		look_up->fn(look_up->ctx, look_up->name, ips, n,
		            n > 0 ? NULL : evutil_gai_strerror(result));
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

struct rds_resolver *rds_resolver_new(struct rds_loop *loop)
{
	struct rds_resolver *resolver = rds_calloc(1, sizeof *resolver);
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

struct rds_look_up *rds_resolver_look_up(struct rds_resolver *resolver, const char *name,
                                         rds_resolve_fn fn, void *ctx)
{
	struct evutil_addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};
	struct rds_look_up *look_up = rds_calloc(1, sizeof *look_up);
	look_up->resolver = resolver;
	look_up->name = rds_strdup(name);
	look_up->fn = fn;
	look_up->ctx = ctx;
	if (resolver->dns == NULL)
		open_dns(resolver);
	resolver->pending++;
	struct evdns_getaddrinfo_request *request =
	        evdns_getaddrinfo(resolver->dns, name, NULL, &hints, on_answer, look_up);
	if (request == NULL)
		return NULL; // answered from a file: look_up is gone
	look_up->request = request;
	return look_up;
}

void rds_look_up_cancel(struct rds_look_up *look_up)
{
	if (look_up == NULL)
		return;
	look_up->fn = NULL;
	evdns_getaddrinfo_cancel(look_up->request);
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
