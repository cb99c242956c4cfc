// SPDX-License-Identifier: MIT
// conf: what a client is configured with, against the server.
#include "cmd/check/play.h"

#include "cmd/known_keys.h"
#include "conf/client_fit.h"
#include "core/text.h"
#include "keys/keypair.h"
#include "keys/secure_client.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <time.h>

static const char fix_export[] = "give the client a new one: `rdsrv export-conf` at the server "
                                 "writes it";

// --- at the server: against its keys and settings

static void judge_here(struct check *check, struct check_result *result)
{
	const struct check_site *site = &check->site;
	char day[RDS_TIME_TEXT];
	struct rds_client_fit fit = rds_client_fit(&site->given, &site->told, site->keys.items,
	                                           site->keys.n, (int64_t)time(NULL));
	if (fit.key == RDS_FIT_KEY_FOREIGN || fit.key == RDS_FIT_KEY_EXPIRED) {
		check_fail(result, site->given.key[0] == '\0' ? "it holds no key"
		                   : fit.key == RDS_FIT_KEY_FOREIGN
		                           ? "its key is not this server's"
		                           : "its key was retired and is refused");
		check_fix(result, "%s", fix_export);
	} else if (fit.id_server == RDS_FIT_HOST_OTHER) {
		check_fail(result, "it names the ID server %s; clients of this server enter %s",
		           site->given.id_server[0] == '\0' ? "(none)" : site->given.id_server,
		           site->told.id_server);
		check_fix(result, "%s", fix_export);
	} else if (fit.relay_server == RDS_FIT_HOST_OTHER) {
		check_fail(result, "it names the relay %s; this server's is %s",
		           site->given.relay_server,
		           site->told.relay_server[0] == '\0' ? "(none)" : site->told.relay_server);
		check_fix(result, "%s", fix_export);
	} else if (fit.key == RDS_FIT_KEY_RETIRED) {
		check_warn(result, "its key was retired; it is accepted until %s",
		           rds_text_time(fit.until_sec, day));
		check_fix(result, "%s", fix_export);
	} else {
		check_ok(result, "its key and hosts are this server's");
	}
}

// --- elsewhere: against what the server signs

static void judge_elsewhere(struct check *check, struct check_result *result)
{
	const struct check_site *site = &check->site;
	struct rds_view offer;
	uint8_t answer[RDS_OFFER_ANSWER_BYTES];
	size_t len = 0;
	struct rds_channel *channel = NULL;
	if (site->given.key[0] == '\0') {
		check_warn(result, "it holds no key: sessions run unencrypted, if the server lets "
		                   "it in at all");
		check_fix(result, "%s", fix_export);
		return;
	}
	if (!rds_text_is_public_key(rds_view_text(site->given.key))) {
		check_fail(result, "its key is no public key: base64 of 32 bytes, 44 characters");
		check_fix(result, "%s", fix_export);
		return;
	}
	struct talks *talks = talks_new(check);
	struct talk *talk = talk_open(talks, TALK_TCP, site->id_host, site->id_port);
	if (!talk_receive_offer(talk, &offer)) {
		check_skip(result, "the server can't be asked: see tcp.secure");
	} else if (rds_offer_answer(offer, site->given.key, answer, &len, &channel) !=
	           RDS_OFFER_GOOD) {
		check_fail(result, "%s signs with another key than it holds", talk_name(talk));
		check_fix(result, "%s", fix_export);
	} else {
		check_ok(result, "%s signs with its key%s", talk_name(talk),
		         site->given.relay_server[0] == '\0' ? ""
		                                             : "; its relay is tried by relay.*");
	}
	rds_channel_free(channel);
	talks_free(talks);
}

void check_conf(struct check *check)
{
	struct check_result result;
	if (!check->site.has_conf)
		return;
	check_begin(&result, "conf");
	if (!check->site.local)
		judge_elsewhere(check, &result);
	else if (check->site.keys.n == 0)
		check_skip(&result, "no key is known to compare it with (keys.pair)");
	else
		judge_here(check, &result);
	check_end(check, &result);
}
