// SPDX-License-Identifier: MIT
#include "conf/relays.h"

#include "conf/values.h"
#include "core/alloc.h"
#include "core/text.h"

#include <stdlib.h>

static int fail(const char *text, struct rds_error *err)
{
	char shown[100];
	return rds_fail(
	        err, RDS_EINVAL,
	        "hosts of relays (name, name:port, name | 100.64.0.0/10=name), which \"%s\" is not",
	        rds_text_escape(rds_view_text(text), shown, sizeof shown));
}

// text without the white space around it, in place.
static char *trim(char *text)
{
	struct rds_view v = rds_view_trim(rds_view_text(text));
	char *start = text + (v.data - (uint8_t *)text);
	start[v.len] = '\0';
	return start;
}

static bool is_host(const char *text)
{
	struct rds_host_port host;
	return rds_value_host(text, &host) == 0;
}

// "CIDR=name"
static int parse_by_net(struct rds_relays *relays, char *text, struct rds_error *err)
{
	struct rds_relay_name one;
	char *equals = strchr(text, '=');
	if (equals == NULL)
		return fail(text, err);
	*equals = '\0';
	char *net = trim(text);
	char *name = trim(equals + 1);
	if (rds_cidr_parse(net, &one.net) != 0 || !is_host(name) || !rds_host_is_reachable(name))
		return fail(rds_cidr_parse(net, &one.net) != 0 ? net : name, err);
	one.name = rds_view_text(name);
	relays->by_net = rds_realloc(relays->by_net, relays->n_by_net + 1, sizeof one);
	relays->by_net[relays->n_by_net++] = one;
	return 0;
}

// One relay with its names; where its names by network begin is filled in at the end.
static int parse_relay(struct rds_relays *relays, char *text, struct rds_error *err)
{
	char *rest = NULL;
	char *part = strtok_r(text, "|", &rest);
	char *name = part == NULL ? part : trim(part);
	size_t first = relays->n_by_net;
	if (name == NULL || !is_host(name))
		return fail(name == NULL ? "|" : name, err);
	while ((part = strtok_r(NULL, "|", &rest)) != NULL) {
		int rc = parse_by_net(relays, part, err);
		if (rc != 0)
			return rc;
	}
	if (!rds_host_is_reachable(name)) {
		relays->n_unreachable++;
		relays->n_by_net = first;
		return 0;
	}
	relays->items = rds_realloc(relays->items, relays->n + 1, sizeof *relays->items);
	relays->items[relays->n++] = (struct rds_relay_names){.name = rds_view_text(name),
	                                                      .n_by_net = relays->n_by_net - first};
	return 0;
}

// The names by network of all relays lie one after the other.
static void point_into(struct rds_relays *relays)
{
	size_t at = 0;
	for (size_t i = 0; i < relays->n; i++) {
		relays->items[i].by_net = relays->by_net + at;
		at += relays->items[i].n_by_net;
	}
}

int rds_relays_parse(const char *text, struct rds_relays *out, struct rds_error *err)
{
	char *rest = NULL;
	int rc = 0;
	*out = (struct rds_relays){.text = rds_strdup(text)};
	for (char *part = strtok_r(out->text, ",", &rest); part != NULL && rc == 0;
	     part = strtok_r(NULL, ",", &rest))
		if (trim(part)[0] != '\0')
			rc = parse_relay(out, trim(part), err);
	if (rc != 0)
		rds_relays_free(out);
	else if (out->by_net != NULL)
		point_into(out);
	return rc;
}

void rds_relays_add_local(struct rds_relays *relays, const struct rds_cidr *nets, size_t n,
                          const char *name)
{
	struct rds_relay_name *all = rds_calloc(relays->n_by_net + relays->n * n, sizeof *all);
	size_t at = 0;
	for (size_t i = 0; i < relays->n; i++) {
		struct rds_relay_names *relay = &relays->items[i];
		size_t own = relay->n_by_net;
		for (size_t j = 0; j < own; j++)
			all[at++] = relay->by_net[j];
		for (size_t j = 0; j < n; j++, relay->n_by_net++)
			all[at++] = (struct rds_relay_name){.net = nets[j],
			                                    .name = rds_view_text(name)};
	}
	free(relays->by_net);
	relays->by_net = all;
	relays->n_by_net = at;
	point_into(relays);
}

void rds_relays_free(struct rds_relays *relays)
{
	free(relays->text);
	free(relays->items);
	free(relays->by_net);
	*relays = (struct rds_relays){0};
}
