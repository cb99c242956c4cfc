// SPDX-License-Identifier: MIT
// nat: which source ports the server sees, over UDP and on two TCP ports from one local port
// (protocol.md section 7, TestNatRequest).
#include "cmd/check/play.h"

#include <stdio.h>

struct view {
	bool known;
	uint16_t local;
	uint16_t seen;
};

static rds_message request(void)
{
	rds_message msg = {.which_member = rds_RendezvousMessage_test_nat_request_tag};
	msg.member.test_nat_request.serial = INT32_MAX; // no news of other servers, please
	return msg;
}

static struct view view_of(const struct talk *talk, const rds_message *answer)
{
	return (struct view){.known = true,
	                     .local = talk_local_port(talk),
	                     .seen = (uint16_t)answer->member.test_nat_response.port};
}

// What was asked has been under way since then.
static struct view hear_tcp(struct talk *talk, const struct check *check, uint64_t since_ms)
{
	rds_message answer;
	uint64_t gone_ms = check_now_ms() - since_ms;
	unsigned timeout_ms = check->options.timeout_ms;
	unsigned left_ms = gone_ms + 100 < timeout_ms ? timeout_ms - (unsigned)gone_ms : 100;
	if (!talk_expect_within(talk, left_ms, rds_RendezvousMessage_test_nat_response_tag,
	                        &answer))
		return (struct view){0};
	return view_of(talk, &answer);
}

static struct view ask_udp(struct talk *talk)
{
	rds_message msg = request();
	rds_message answer;
	if (talk_ended(talk) != TALK_OPEN ||
	    !talk_ask(talk, &msg, rds_RendezvousMessage_test_nat_response_tag, &answer))
		return (struct view){0};
	return view_of(talk, &answer);
}

static void describe(char *out, size_t cap, const char *what, const struct view *view)
{
	if (view->known)
		(void)snprintf(out, cap, "%s %u%s%.0u", what, view->seen,
		               view->seen == view->local ? "" : " for ",
		               view->seen == view->local ? 0U : (unsigned)view->local);
	else
		(void)snprintf(out, cap, "%s not answered", what);
}

static void judge(struct check_result *result, const struct check *check, const struct view *udp,
                  const struct view *main_port, const struct view *nat_port)
{
	char texts[3][64];
	describe(texts[0], sizeof texts[0], "UDP", udp);
	describe(texts[1], sizeof texts[1], "TCP", main_port);
	describe(texts[2], sizeof texts[2], "second TCP", nat_port);
	if (!udp->known || !main_port->known || !nat_port->known) {
		check_fail(result, "source ports seen: %s, %s, %s", texts[0], texts[1], texts[2]);
		check_fix(result,
		          "open UDP %u, TCP %u and TCP %u: without all three, clients "
		          "can't tell what their NAT is like and go by the relay",
		          check->site.id_port, check->site.id_port, check->site.nat_port);
	} else if (main_port->local == nat_port->local && main_port->seen != nat_port->seen) {
		check_warn(result,
		           "source ports seen: %s, %s, %s: the NAT on this side is "
		           "symmetric",
		           texts[0], texts[1], texts[2]);
		check_fix(result,
		          "nothing at the server: from here sessions go by the relay; "
		          "that takes TCP %u",
		          check->site.relay_port);
	} else {
		check_ok(result, "source ports seen: %s, %s, %s", texts[0], texts[1], texts[2]);
	}
}

void check_nat(struct check *check)
{
	struct check_result result;
	const struct check_site *site = &check->site;
	struct view views[3] = {0};
	check_begin(&result, "nat");
	if (site->nat_port == 0) {
		check_warn(&result,
		           "nat-port is off: clients can't tell what their NAT is like, and "
		           "go by the relay");
		check_fix(&result, "remove nat-port = off from the settings and %s",
		          play_restart(check));
		check_end(check, &result);
		return;
	}
	struct talks *talks = talks_new(check);
	struct talk *main_port = talk_begin(talks, site->id_host, site->id_port);
	views[0] = ask_udp(talk_open(talks, TALK_UDP, site->id_host, site->id_port));
	talk_settle(main_port);
	struct talk *nat_port =
	        talk_ended(main_port) == TALK_OPEN
	                ? talk_open_beside(talks, main_port, site->id_host, site->nat_port)
	                : talk_open(talks, TALK_TCP, site->id_host, site->nat_port);
	rds_message msg = request();
	uint64_t since_ms = check_now_ms();
	talk_send(main_port, &msg);
	talk_send(nat_port, &msg);
	views[1] = hear_tcp(main_port, check, since_ms);
	views[2] = hear_tcp(nat_port, check, since_ms);
	if (talk_ended(main_port) == TALK_UNREACHED && !views[0].known && !views[2].known)
		play_not_through(&result, check, main_port, "the ID server", "tcp", site->id_port);
	else
		judge(&result, check, &views[0], &views[1], &views[2]);
	check_end(check, &result);
	talks_free(talks);
}
