// SPDX-License-Identifier: MIT
// What is remembered of peers from day to day: the last day that each was here, and its client's
// version. It goes to the disk by and by.
#include "core/rendezvous_private.h"

static void set_noted(struct rds_rendezvous *rules, struct rds_peer *peer, bool noted)
{
	if (peer->noted == noted)
		return;
	peer->noted = noted;
	rules->n_noted += noted ? 1 : (size_t)-1;
}

void rds_rendezvous_set_day(struct rds_rendezvous *rules, uint16_t day)
{
	rules->day = day;
}

void rendezvous_seen(struct rds_rendezvous *rules, struct rds_peer *peer, uint64_t now_ms)
{
	peer->seen_ms = now_ms & RDS_48_BITS;
	if (peer->seen_day == rules->day || rules->day == 0 || peer->check)
		return;
	peer->seen_day = rules->day;
	set_noted(rules, peer, true);
}

void rendezvous_note_version(struct rds_rendezvous *rules, struct rds_view id,
                             struct rds_view version)
{
	struct rds_peer *peer = rendezvous_find(rules, id);
	if (peer == NULL || peer->check ||
	    rds_view_equal(rds_versions_text(&rules->versions, peer->version), version))
		return;
	uint16_t number = rds_versions_take(&rules->versions, version);
	if (number == 0)
		return;
	rds_versions_release(&rules->versions, peer->version);
	peer->version = number;
	set_noted(rules, peer, true);
}

void rendezvous_move_notes(struct rds_rendezvous *rules, struct rds_peer *to, struct rds_peer *from)
{
	to->seen_day = from->seen_day;
	to->version = from->version;
	set_noted(rules, to, from->noted);
	from->version = 0;
}

void rendezvous_remove(struct rds_rendezvous *rules, struct rds_peer *peer)
{
	set_noted(rules, peer, false);
	rds_versions_release(&rules->versions, peer->version);
	rds_registry_remove(&rules->peers, peer);
}

// Hands what is noted of peer to the disk; false if that takes no more now.
static bool write_note(struct rds_rendezvous *rules, struct rds_peer *peer)
{
	if (rules->host.note(rules->host.ctx, rds_peer_id(peer), peer->seen_day,
	                     rds_versions_text(&rules->versions, peer->version)) != 0)
		return false;
	set_noted(rules, peer, false);
	return true;
}

void rds_rendezvous_write_notes(struct rds_rendezvous *rules)
{
	size_t looks = 0;
	size_t written = 0;
	while (rules->n_noted > 0 && looks++ < RDS_NOTE_LOOKS_PER_SECOND &&
	       written < RDS_NOTES_PER_SECOND) {
		struct rds_peer *peer = rds_table_next(&rules->peers.by_id, &rules->notes_at);
		if (peer == NULL)
			rules->notes_at = 0;
		// What is on its way to another id, or out, has no row of this id to be noted in.
		if (peer == NULL || !peer->noted || peer->renaming)
			continue;
		if (!write_note(rules, peer))
			return;
		written++;
	}
}
