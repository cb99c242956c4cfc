// SPDX-License-Identifier: MIT
#include "cmd/check/lookup.h"

#include "cmd/check/process.h"
#include "core/alloc.h"
#include "net/resolve.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define HOSTS_MAX (256 * 1024)

struct batch {
	struct rds_loop *loop;
	size_t left;
	bool running;
};

struct one {
	struct batch *batch;
	struct check_looked_up *name;
};

static void on_answer(void *ctx, const char *name, const struct rds_ip *ips, size_t n,
                      const char *why)
{
	struct one *one = ctx;
	(void)name;
	one->name->n = n;
	if (n > 0)
		memcpy(one->name->ips, ips, n * sizeof *ips);
	(void)snprintf(one->name->why, sizeof one->name->why, "%s", why == NULL ? "" : why);
	if (--one->batch->left == 0 && one->batch->running)
		rds_loop_stop(one->batch->loop);
}

static void on_timeout(void *ctx)
{
	rds_loop_stop(ctx);
}

static void resolve(struct check_looked_up *names, size_t n, unsigned timeout_ms)
{
	struct rds_error err;
	struct batch batch = {.left = 0};
	if (rds_loop_new(&batch.loop, &err) != 0)
		return;
	struct one *all = rds_calloc(n + 1, sizeof *all);
	struct rds_resolver *resolver = rds_resolver_new(batch.loop);
	struct rds_timer *timer = rds_timer_every(batch.loop, timeout_ms, on_timeout, batch.loop);
	for (size_t i = 0; i < n; i++)
		batch.left += !names[i].literal;
	for (size_t i = 0; i < n; i++) {
		all[i] = (struct one){.batch = &batch, .name = &names[i]};
		if (names[i].literal)
			continue;
		(void)snprintf(names[i].why, sizeof names[i].why, "no answer within %u s",
		               timeout_ms / 1000);
		(void)rds_resolver_look_up(resolver, names[i].host, on_answer, &all[i]);
	}
	batch.running = true;
	if (batch.left > 0 && rds_loop_run(batch.loop) != 0)
		batch.left = 0;
	rds_timer_free(timer);
	rds_resolver_free(resolver);
	rds_loop_free(batch.loop);
	free(all);
}

// Whether a line of /etc/hosts has the name.
static bool is_in_hosts(const char *text, const char *host)
{
	char *copy = rds_strdup(text);
	bool found = false;
	char *rest = NULL;
	for (char *line = strtok_r(copy, "\n", &rest); line != NULL && !found;
	     line = strtok_r(NULL, "\n", &rest)) {
		char *words = NULL;
		line[strcspn(line, "#")] = '\0';
		(void)strtok_r(line, " \t", &words); // the address
		for (char *word; !found && (word = strtok_r(NULL, " \t", &words)) != NULL;)
			found = strcasecmp(word, host) == 0;
	}
	free(copy);
	return found;
}

void check_look_up(struct check_looked_up *names, size_t n, unsigned timeout_ms)
{
	char *hosts = rds_calloc(HOSTS_MAX, 1);
	(void)check_read_file("/etc/hosts", hosts, HOSTS_MAX);
	for (size_t i = 0; i < n; i++) {
		names[i].n = 0;
		names[i].why[0] = '\0';
		names[i].literal = rds_ip_parse(names[i].host, &names[i].ips[0]) == 0;
		if (names[i].literal)
			names[i].n = 1;
		names[i].in_hosts = !names[i].literal && is_in_hosts(hosts, names[i].host);
	}
	free(hosts);
	resolve(names, n, timeout_ms);
}

enum check_reach check_reach_of(const struct rds_ip *ip)
{
	static const struct {
		const char *net;
		enum check_reach reach;
	} nets[] = {{"100.64.0.0/10", CHECK_REACH_TAILNET},
	            {"fd7a:115c:a1e0::/48", CHECK_REACH_TAILNET},
	            {"10.0.0.0/8", CHECK_REACH_PRIVATE},
	            {"172.16.0.0/12", CHECK_REACH_PRIVATE},
	            {"192.168.0.0/16", CHECK_REACH_PRIVATE},
	            {"fc00::/7", CHECK_REACH_PRIVATE},
	            {"169.254.0.0/16", CHECK_REACH_LINK},
	            {"fe80::/10", CHECK_REACH_LINK}};
	if (rds_ip_is_any(ip))
		return CHECK_REACH_NOWHERE;
	if (rds_ip_is_loopback(ip))
		return CHECK_REACH_LOOPBACK;
	for (size_t i = 0; i < sizeof nets / sizeof nets[0]; i++) {
		struct rds_cidr net;
		if (rds_cidr_parse(nets[i].net, &net) == 0 && rds_cidr_holds(&net, ip))
			return nets[i].reach;
	}
	return CHECK_REACH_PUBLIC;
}
