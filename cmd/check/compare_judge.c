// SPDX-License-Identifier: MIT
// From what works inside and not outside to why.
#include "cmd/check/compare.h"

#include "core/addr.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

// --- the two runs, name by name

static const struct check_result *find(const struct check_result *results, size_t n,
                                       const char *name)
{
	for (size_t i = 0; i < n; i++)
		if (strcmp(results[i].name, name) == 0)
			return &results[i];
	return NULL;
}

static const struct check_result *inside(const struct compare_runs *runs, const char *name)
{
	return find(runs->inside, runs->n_inside, name);
}

static const struct check_result *outside(const struct compare_runs *runs, const char *name)
{
	return find(runs->outside, runs->n_outside, name);
}

static bool is(const struct check_result *result, enum check_status status)
{
	return result != NULL && result->status == status;
}

static bool is_bad(const struct check_result *result)
{
	return is(result, CHECK_FAIL) || is(result, CHECK_WARN);
}

// Fine at the server, and not here.
static bool only_inside(const struct compare_runs *runs, const char *name)
{
	return is(inside(runs, name), CHECK_OK) && is_bad(outside(runs, name));
}

// --- results

struct findings {
	struct check_result *items;
	size_t n;
	bool explained; // nothing is reached, and why is found
};

static struct check_result *add(struct findings *findings, const char *name)
{
	struct check_result *result = &findings->items[findings->n++];
	*result = (struct check_result){.status = CHECK_OK};
	(void)snprintf(result->name, sizeof result->name, "%s", name);
	return result;
}

struct words {
	char text[320];
	size_t n;
};

static void add_word(struct words *words, const char *fmt, ...)
        __attribute__((format(printf, 2, 3)));

static void add_word(struct words *words, const char *fmt, ...)
{
	char word[96];
	va_list ap;
	size_t len = strlen(words->text);
	va_start(ap, fmt);
	(void)vsnprintf(word, sizeof word, fmt, ap);
	va_end(ap);
	(void)snprintf(words->text + len, sizeof words->text - len, "%s%s",
	               words->n == 0 ? "" : ", ", word);
	words->n++;
}

// --- ports

struct door {
	const char *name;
	uint16_t port;
};

#define DOORS 7

// Checks that stand and fall with one TCP port.
static void find_doors(const struct compare_runs *runs, struct door doors[DOORS])
{
	const struct door all[DOORS] = {
	        {"tcp.secure", runs->id_port},   {"tcp.register", runs->id_port},
	        {"nat", runs->nat_port},         {"ws.register", runs->websocket_port},
	        {"relay.tcp", runs->relay_port}, {"relay.ws", runs->relay_websocket_port},
	        {"http.21114", runs->api_port}};
	memcpy(doors, all, sizeof all);
}

// The NAT test needs UDP and two ports.
static bool is_shut(const struct compare_runs *runs, const struct door *door)
{
	const struct check_result *here = outside(runs, door->name);
	if (here == NULL || door->port == 0 || here->answered || !only_inside(runs, door->name))
		return false;
	return strcmp(door->name, "nat") != 0 ||
	       strstr(here->detail, "second TCP not answered") != NULL;
}

// --- one cause each

static bool all_fails(const struct compare_runs *runs)
{
	size_t fail = is(inside(runs, "udp.register"), CHECK_OK) &&
	              is(outside(runs, "udp.register"), CHECK_FAIL);
	struct door doors[DOORS];
	find_doors(runs, doors);
	if (is(outside(runs, "udp.register"), CHECK_OK))
		return false;
	for (size_t i = 0; i < DOORS; i++) {
		const struct check_result *here = outside(runs, doors[i].name);
		if (is(here, CHECK_OK))
			return false;
		fail += is(inside(runs, doors[i].name), CHECK_OK) && is(here, CHECK_FAIL);
	}
	return fail >= 2;
}

static void judge_host(const struct compare_runs *runs, struct findings *findings)
{
	if (findings->explained || !all_fails(runs))
		return;
	findings->explained = true;
	if (runs->same_network) {
		struct check_result *result = add(findings, "compare.hairpin");
		check_fail(result,
		           "%s works at the server, and not from here, which is the same network: "
		           "the router doesn't lead its own public address back in",
		           runs->host);
		check_fix(result,
		          "switch on NAT loopback (hairpin NAT) in the router, or let the name "
		          "resolve to the server's inner address on this network; repeat this "
		          "check from outside (a mobile network)");
		return;
	}
	struct check_result *result = add(findings, "compare.host");
	check_fail(result,
	           "nothing of %s answers here, and all of it does at the server: a "
	           "firewall, forwarding that is missing, or another machine's address",
	           runs->host);
	check_fix(
	        result,
	        "see that %s leads to the server; then open (in its firewall, and in the "
	        "provider's console) or forward (in the router) UDP %u and TCP %u, %u, %u, %u, %u",
	        runs->host, runs->id_port, runs->nat_port, runs->id_port, runs->relay_port,
	        runs->websocket_port, runs->relay_websocket_port);
}

static void judge_udp(const struct compare_runs *runs, struct findings *findings)
{
	if (findings->explained || !only_inside(runs, "udp.register"))
		return;
	bool tcp = is(outside(runs, "tcp.secure"), CHECK_OK) ||
	           is(outside(runs, "relay.tcp"), CHECK_OK);
	struct check_result *result = add(findings, "compare.udp");
	check_fail(result, "UDP %u works at the server and not here%s: UDP is blocked on the way",
	           runs->id_port, tcp ? ", though TCP gets through" : "");
	check_fix(result,
	          "open and forward UDP %u, not only TCP; if it is this network that drops UDP, "
	          "switch on \"Disable UDP\" in the clients here",
	          runs->id_port);
}

static void judge_tcp(const struct compare_runs *runs, struct findings *findings)
{
	struct door doors[DOORS];
	struct words ports = {"", 0};
	bool refused = false;
	bool fails = false;
	if (findings->explained)
		return;
	find_doors(runs, doors);
	for (size_t i = 0; i < DOORS; i++) {
		if (!is_shut(runs, &doors[i]))
			continue;
		const struct check_result *here = outside(runs, doors[i].name);
		add_word(&ports, "%u (%s)", doors[i].port, doors[i].name);
		refused = refused || (here != NULL && strstr(here->detail, "refused") != NULL);
		fails = fails || is(here, CHECK_FAIL);
	}
	if (ports.n == 0)
		return;
	struct check_result *result = add(findings, "compare.tcp");
	(fails ? check_fail
	       : check_warn)(result, "works at the server and not here: TCP %s: %s", ports.text,
	                     refused ? "another machine answers, or a firewall that refuses"
	                             : "a firewall drops what comes there");
	check_fix(
	        result,
	        "open these TCP ports in the server's firewall (rdsrv check --only firewall there "
	        "says how) and in the provider's console, and forward them in the router%s",
	        refused ? "; a container must publish them" : "");
}

static void judge_hairpin(const struct compare_runs *runs, struct findings *findings)
{
	if (!is(inside(runs, "relay.tcp"), CHECK_OK) || !is_bad(inside(runs, "relay.name")) ||
	    !is(outside(runs, "relay.name"), CHECK_OK))
		return;
	struct check_result *result = add(findings, "compare.hairpin");
	check_warn(result,
	           "the relay's name that clients are told works here and not at the server: "
	           "the router there doesn't lead its own public address back in");
	check_fix(result,
	          "only clients on the server's network are concerned: switch on NAT loopback "
	          "(hairpin NAT) in the router, or resolve the name to the inner address there");
}

// --- names

// The addresses that stand in a text.
static size_t addresses_in(const char *text, struct rds_ip *out, size_t cap)
{
	static const char in_address[] = "0123456789abcdefABCDEF.:";
	size_t n = 0;
	while (*text != '\0' && n < cap) {
		char word[RDS_IP_TEXT];
		size_t len = strspn(text, in_address);
		size_t used = len;
		while (len > 0 && strchr(".:", text[len - 1]) != NULL)
			len--;
		if (len > 2 && len < sizeof word) {
			memcpy(word, text, len);
			word[len] = '\0';
			n += rds_ip_parse(word, &out[n]) == 0;
		}
		text += used > 0 ? used : 1;
	}
	return n;
}

static bool all_are_in(const struct rds_ip *these, size_t n, const struct rds_ip *those, size_t m)
{
	for (size_t i = 0; i < n; i++) {
		bool found = false;
		for (size_t j = 0; j < m && !found; j++)
			found = rds_ip_equal(&these[i], &those[j]);
		if (!found)
			return false;
	}
	return true;
}

#define NAMES_MAX 16

static bool addresses_differ(const char *here, const char *there)
{
	struct rds_ip ours[NAMES_MAX];
	struct rds_ip theirs[NAMES_MAX];
	size_t n = addresses_in(here, ours, NAMES_MAX);
	size_t m = addresses_in(there, theirs, NAMES_MAX);
	return n > 0 && m > 0 &&
	       !(all_are_in(ours, n, theirs, m) && all_are_in(theirs, m, ours, n));
}

static void judge_dns(const struct compare_runs *runs, struct findings *findings)
{
	static const char *const names[] = {"dns.id", "dns.relay"};
	struct words unknown = {"", 0};
	struct words differing = {"", 0};
	for (size_t i = 0; i < 2; i++) {
		const struct check_result *there = inside(runs, names[i]);
		const struct check_result *here = outside(runs, names[i]);
		if (is(there, CHECK_OK) && is(here, CHECK_FAIL))
			add_word(&unknown, "%s", names[i]);
		else if (there != NULL && here != NULL &&
		         addresses_differ(here->detail, there->detail))
			add_word(&differing, "%s", names[i]);
	}
	if (unknown.n + differing.n == 0)
		return;
	struct check_result *result = add(findings, "compare.dns");
	if (unknown.n > 0) {
		check_fail(result, "resolves at the server and not here: %s", unknown.text);
		check_fix(result,
		          "enter the name in the public DNS, or give clients a name that is: "
		          "id-server and relay-servers");
		findings->explained = true;
		return;
	}
	bool fails = false;
	for (size_t i = 0; i < runs->n_outside; i++)
		fails = fails || is(&runs->outside[i], CHECK_FAIL);
	(fails ? check_warn : check_ok)(
	        result, "other addresses at the server than here (split DNS): %s", differing.text);
	if (fails)
		check_fix(result,
		          "see in both runs' %s that each leads to the server from its side",
		          differing.text);
}

// --- addresses

static void judge_nat(const struct compare_runs *runs, struct findings *findings)
{
	if (!is(inside(runs, "nat"), CHECK_OK) || !is(outside(runs, "nat"), CHECK_WARN))
		return;
	struct check_result *result = add(findings, "compare.nat");
	check_warn(result, "ports are rewritten between here and the server (symmetric NAT): %s",
	           outside(runs, "nat")->detail);
	check_fix(result,
	          "nothing at the server: sessions from this network go by the relay, which "
	          "takes TCP %u",
	          runs->relay_port);
}

static void judge_gateway(const struct compare_runs *runs, struct findings *findings)
{
	const struct check_result *docker = inside(runs, "docker");
	if (!is_bad(docker))
		return;
	struct check_result *result = add(findings, "compare.gateway");
	check_warn(result, "at the server: %s", docker->detail);
	check_fix(
	        result, "%s",
	        docker->fix[0] != '\0'
	                ? docker->fix
	                : "run the container with network_mode: host, so that the server sees its "
	                  "clients' own addresses");
}

// --- the rest

static bool is_ours(const char *name)
{
	return strncmp(name, "compare.", 8) == 0;
}

static void judge_server(const struct compare_runs *runs, struct findings *findings)
{
	struct words names = {"", 0};
	const char *fix = NULL;
	for (size_t i = 0; i < runs->n_inside; i++) {
		const struct check_result *there = &runs->inside[i];
		if (!is(there, CHECK_FAIL) || is_ours(there->name))
			continue;
		fix = fix == NULL ? there->fix : fix;
		add_word(&names, "%s", there->name);
	}
	if (names.n == 0)
		return;
	struct check_result *result = add(findings, "compare.server");
	check_fail(result, "fails at the server itself: %s", names.text);
	check_fix(result, "begin there: %s",
	          fix[0] != '\0' ? fix : "run rdsrv check at the server");
}

static void judge_others(const struct compare_runs *runs, struct findings *findings)
{
	struct words names = {"", 0};
	bool fails = false;
	for (size_t i = 0; i < runs->n_outside; i++) {
		const struct check_result *here = &runs->outside[i];
		if (is_ours(here->name) || !only_inside(runs, here->name))
			continue;
		add_word(&names, "%s", here->name);
		fails = fails || here->status == CHECK_FAIL;
	}
	if (names.n == 0 || findings->n > 0)
		return;
	struct check_result *result = add(findings, "compare.other");
	(fails ? check_fail : check_warn)(
	        result, "works at the server and not here, for no reason that is known: %s",
	        names.text);
	check_fix(result, "see what each of them says to do");
}

static void judge_all(const struct compare_runs *runs, struct findings *findings)
{
	size_t both = 0;
	for (size_t i = 0; i < runs->n_outside; i++)
		both += is(&runs->outside[i], CHECK_OK) &&
		        is(inside(runs, runs->outside[i].name), CHECK_OK);
	struct check_result *result = add(findings, "compare.all");
	if (findings->n > 1)
		check_ok(result, "%zu checks are fine at the server and here", both);
	else if (both == 0)
		check_skip(result, "no check ran both at the server and here");
	else
		check_ok(result, "%zu checks are fine at the server and here, and none only there",
		         both);
}

size_t compare_judge(const struct compare_runs *runs, struct check_result out[COMPARE_MAX])
{
	struct findings findings = {.items = out};
	judge_dns(runs, &findings);
	judge_host(runs, &findings);
	judge_udp(runs, &findings);
	judge_tcp(runs, &findings);
	// Never beside judge_host's: it wants the relay to be reached.
	judge_hairpin(runs, &findings);
	judge_nat(runs, &findings);
	judge_gateway(runs, &findings);
	judge_server(runs, &findings);
	judge_others(runs, &findings);
	judge_all(runs, &findings);
	return findings.n;
}
