// SPDX-License-Identifier: MIT
// docker: in a container, whether the peers' own addresses arrive, or all of them as the gateway's.
#include "cmd/check/local.h"

#include "cmd/running.h"
#include "core/alloc.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

// The list of more peers would keep a busy server from its work; a few thousand attempts tell
// enough.
#define PEERS_MAX 5000

static bool in_container(void)
{
	char cgroup[4096];
	if (access("/.dockerenv", F_OK) == 0 || access("/run/.containerenv", F_OK) == 0)
		return true;
	if (check_read_file("/proc/1/cgroup", cgroup, sizeof cgroup) <= 0)
		return false;
	return strstr(cgroup, "/docker/") != NULL || strstr(cgroup, "/kubepods") != NULL ||
	       strstr(cgroup, "libpod-") != NULL || strstr(cgroup, "/docker-") != NULL;
}

// The default route's next hop: "IFACE 00000000 GATEWAY FLAGS ...", numbers as in sockets' tables.
static bool find_gateway(struct rds_ip *out)
{
	char line[256];
	bool found = false;
	FILE *file = fopen("/proc/net/route", "re");
	while (file != NULL && !found && fgets(line, sizeof line, file) != NULL) {
		char *words[3];
		if (check_cut(line, words, 3) < 3 || strcmp(words[1], "00000000") != 0)
			continue;
		uint32_t gateway = (uint32_t)strtoul(words[2], NULL, 16);
		uint8_t b[4];
		memcpy(b, &gateway, sizeof b);
		*out = rds_ip_v4(b[0], b[1], b[2], b[3]);
		found = gateway != 0;
	}
	if (file != NULL)
		(void)fclose(file);
	return found;
}

struct sources {
	size_t clients;
	size_t others; // not the gateway
};

// "203.0.113.7:1234", "[2001:db8::1]:1234"
static bool ip_of(const char *text, struct rds_ip *out)
{
	char copy[RDS_ADDR_TEXT];
	char *colon = NULL;
	(void)snprintf(copy, sizeof copy, "%s", text[0] == '[' ? text + 1 : text);
	colon = strrchr(copy, ':');
	if (colon != NULL)
		*colon = '\0';
	copy[strcspn(copy, "]")] = '\0';
	return rds_ip_parse(copy, out) == 0;
}

static void count(const struct check_site *site, const char *request, const char *array,
                  const char *member, const struct rds_ip *gateway, struct sources *out)
{
	struct rds_error err;
	cJSON *answer = NULL;
	const cJSON *item = NULL;
	if (rds_running_ask_within(site->dir, "id", request, site->here_ms, &answer, &err) != 0)
		return;
	cJSON_ArrayForEach(item, cJSON_GetObjectItemCaseSensitive(answer, array)) {
		struct rds_ip ip;
		const char *text =
		        cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(item, member));
		if (text == NULL || text[0] == '\0' || !ip_of(text, &ip) || rds_ip_is_loopback(&ip))
			continue;
		out->clients++;
		out->others += !rds_ip_equal(&ip, gateway);
	}
	cJSON_Delete(answer);
}

static void tell(const struct check_site *site, struct check_result *result)
{
	struct rds_ip gateway;
	struct sources seen = {0};
	char ip[RDS_IP_TEXT];
	struct local_role id = {.site = &site->id};
	if (!find_gateway(&gateway)) {
		check_ok(result, "in a container without a gateway: addresses arrive as they are");
		return;
	}
	rds_ip_format(&gateway, ip);
	if (local_status_number(&id, "peers") <= PEERS_MAX)
		count(site, "peers --online", "peers", "address", &gateway, &seen);
	count(site, "recent", "attempts", "from", &gateway, &seen);
	if (seen.clients == 0) {
		check_skip(result, "in a container, but no client was seen yet");
	} else if (seen.clients == 1 && seen.others == 0) {
		check_ok(result,
		         "in a container; the one client seen came from the gateway %s, "
		         "which may be where it is",
		         ip);
	} else if (seen.others > 0) {
		check_ok(result, "in a container; clients arrive with addresses of their own");
	} else {
		check_warn(result,
		           "in a container, and all clients seen (%zu) arrive as the gateway %s: "
		           "direct sessions, networks and limits by address can't work",
		           seen.clients, ip);
		check_fix(result, "give the container the host's network (network_mode: host in "
		                  "compose.yaml, --network host), or set \"userland-proxy\": false "
		                  "in /etc/docker/daemon.json and restart Docker");
	}
}

void check_docker(struct check *check)
{
	struct check_result result;
	check_begin(&result, "docker");
	if (!in_container())
		check_skip(&result, "not in a container");
	else if (check->site.id.running != SITE_ANSWERS)
		check_skip(&result, "in a container, but no ID server answers here");
	else
		tell(&check->site, &result);
	check_end(check, &result);
}
