// SPDX-License-Identifier: MIT
// tailscale: the tailnet's interface, address and name, and whether our names are its.
#include "cmd/check/tailscale.h"

#include "cmd/check/local.h"
#include "cmd/check/lookup.h"
#include "cmd/check/tool.h"
#include "core/alloc.h"
#include "net/interfaces.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

static const char *text_of(const cJSON *json, const char *name)
{
	const char *text = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(json, name));
	return text == NULL ? "" : text;
}

bool check_tailnet_parse(const char *json, struct check_tailnet *out)
{
	cJSON *all = cJSON_Parse(json);
	const cJSON *self = cJSON_GetObjectItemCaseSensitive(all, "Self");
	const cJSON *item = NULL;
	*out = (struct check_tailnet){.n_ips = 0};
	(void)snprintf(out->state, sizeof out->state, "%s", text_of(all, "BackendState"));
	(void)snprintf(out->name, sizeof out->name, "%s", text_of(self, "DNSName"));
	size_t len = strlen(out->name);
	if (len > 0 && out->name[len - 1] == '.')
		out->name[len - 1] = '\0';
	cJSON_ArrayForEach(item, cJSON_GetObjectItemCaseSensitive(self, "TailscaleIPs")) {
		const char *ip = cJSON_GetStringValue(item);
		if (ip != NULL && out->n_ips < sizeof out->ips / sizeof out->ips[0] &&
		    rds_ip_parse(ip, &out->ips[out->n_ips]) == 0)
			out->n_ips++;
	}
	cJSON_Delete(all);
	return out->state[0] != '\0';
}

// An address of that kind on an interface of that kind: providers use 100.64.0.0/10 as well.
static const struct rds_interface *find_interface(const struct rds_interfaces *all)
{
	for (size_t i = 0; i < all->n; i++)
		if (check_reach_of(&all->items[i].ip) == CHECK_REACH_TAILNET &&
		    strncmp(all->items[i].name, "tailscale", 9) == 0)
			return &all->items[i];
	return NULL;
}

static bool has_ip(const struct check_tailnet *net, const struct rds_ip *ip)
{
	for (size_t i = 0; i < net->n_ips; i++)
		if (rds_ip_equal(&net->ips[i], ip))
			return true;
	return false;
}

// Whether the host is one of the tailnet's, and if so, this machine.
static bool is_of_tailnet(const char *host, const struct check_tailnet *net, bool *here)
{
	struct rds_ip ip;
	size_t len = strlen(host);
	if (rds_ip_parse(host, &ip) == 0) {
		*here = has_ip(net, &ip);
		return check_reach_of(&ip) == CHECK_REACH_TAILNET;
	}
	*here = strcasecmp(host, net->name) == 0;
	return *here || (len > 7 && strcasecmp(host + len - 7, ".ts.net") == 0);
}

struct told {
	size_t n;
	const char *wrong; // one of another machine
};

static void look_at_names(const struct rds_strings *names, const struct check_tailnet *net,
                          struct told *out)
{
	for (size_t i = 0; i < names->n; i++) {
		struct rds_host_port host;
		bool here = false;
		if (rds_value_host(names->items[i], &host) != 0 ||
		    !is_of_tailnet(host.host, net, &here))
			continue;
		out->n++;
		if (!here)
			out->wrong = names->items[i];
	}
}

static void tell_names(const struct check_site *site, const struct check_tailnet *net,
                       const struct rds_interface *interface, struct check_result *result)
{
	struct rds_strings ids;
	struct rds_strings relays;
	struct told told = {.n = 0};
	char ip[RDS_IP_TEXT] = "?";
	rds_strings_split(site->told.id_server, &ids);
	rds_strings_split(site->told.relay_server, &relays);
	look_at_names(&ids, net, &told);
	const char *wrong_id = told.wrong;
	// A relay may well be another machine.
	look_at_names(&relays, net, &told);
	if (interface != NULL)
		rds_ip_format(&interface->ip, ip);
	else if (net->n_ips > 0)
		rds_ip_format(&net->ips[0], ip);
	if (wrong_id != NULL) {
		check_fail(result, "id-server %s is not this machine, which is %s (%s)", wrong_id,
		           net->name[0] != '\0' ? net->name : "without a name", ip);
		check_fix(result, "set id-server = %s in " RDS_SYSTEM_CONFIG ", and restart",
		          net->name[0] != '\0' ? net->name : ip);
	} else {
		check_ok(result, "%s, %s%s%s: %s", interface == NULL ? "in it" : interface->name,
		         ip, net->name[0] != '\0' ? ", " : "", net->name,
		         told.n > 0 ? "clients are told it"
		                    : "clients are told other names, which work without it");
	}
	rds_strings_free(&ids);
	rds_strings_free(&relays);
}

static void tell(const struct check_site *site, const struct rds_interfaces *own,
                 const struct check_tool *tool, struct check_result *result)
{
	struct check_tailnet net;
	const struct rds_interface *interface = find_interface(own);
	bool spoke = tool->end == CHECK_TOOL_ENDED && check_tailnet_parse(tool->out, &net);
	if (!spoke)
		net = (struct check_tailnet){.n_ips = 0};
	if (tool->end == CHECK_TOOL_ABSENT && interface == NULL) {
		check_skip(result, "no tailnet here");
	} else if (tool->end == CHECK_TOOL_HUNG) {
		check_warn(result, "tailscale doesn't answer");
		check_fix(result, "%ssystemctl restart tailscaled", local_sudo());
	} else if (spoke && strcmp(net.state, "Running") != 0) {
		check_warn(result, "tailscale is installed, but its state is %s", net.state);
		check_fix(result, "%stailscale up", local_sudo());
	} else if (!spoke && interface == NULL) {
		check_skip(result, "tailscale is installed, but doesn't run");
	} else {
		if (interface != NULL && net.n_ips == 0)
			net.ips[net.n_ips++] = interface->ip;
		tell_names(site, &net, interface, result);
	}
}

void check_tailscale(struct check *check)
{
	static const char *const argv[] = {"tailscale", "status", "--json", NULL};
	struct check_result result;
	struct check_tool tool;
	struct rds_interfaces own;
	check_begin(&result, "tailscale");
	rds_interfaces_read(&own);
	check_tool_run(argv, check->options.timeout_ms, &tool);
	tell(&check->site, &own, &tool, &result);
	check_tool_clear(&tool);
	rds_interfaces_free(&own);
	check_end(check, &result);
}
