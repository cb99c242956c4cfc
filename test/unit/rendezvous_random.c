// SPDX-License-Identifier: MIT
// Goal: whatever order clients, the administrator and a disk that may fail come in, what is in
// memory is what is on file, and nobody is online who isn't there.
#include "test/unit/world.h"

#include "core/rendezvous_admin.h"

enum { IDS = 8, CONNS = 40, TURNS = 4000, SEEDS = 20 };

static const char *const ids[IDS] = {"ridge-042", "crest-007", "brook-001", "laptop-01",
                                     "laptop-02", "laptop-03", "123456789", "987654321"};
static const char *const uuids[] = {"uuid-1", "uuid-2"};
static const char *const pks[] = {"pk-1", "pk-2", "a longer pk"};
static const char *const ips[] = {"203.0.113.7", "203.0.113.8"};

// A row as the disk has it.
struct row {
	bool there;
	enum rds_peer_state state;
	char uuid[16];
};

// A write that the disk has taken but not done.
struct job {
	enum world_kind kind;
	uint64_t ticket;
	size_t id;
	size_t old_id;
	enum rds_peer_state state;
	char uuid[16];
};

static struct testing_random dice;
static struct row disk[IDS];
static struct job queue[TURNS];
static size_t queued;
static size_t done;
static size_t done_of[FORGET + 1]; // by kind, in all

static size_t roll(size_t sides)
{
	return random_below(&dice, sides);
}

static size_t index_of(struct rds_view id)
{
	for (size_t i = 0; i < IDS; i++)
		if (rds_view_equal(id, rds_view_text(ids[i])))
			return i;
	fail_msg("an id that nobody said");
	return 0;
}

// Takes what the rules have written; everything else is of no matter here.
static void take_writes(struct world *w)
{
	for (size_t i = 0; i < w->n; i++) {
		const struct world_event *event = &w->events[i];
		if (event->kind < STORE)
			continue;
		struct job *job = &queue[queued++];
		*job = (struct job){.kind = event->kind,
		                    .ticket = event->ticket,
		                    .id = index_of(event->row.id),
		                    .state = event->row.state};
		if (event->kind == RENAME)
			job->old_id = index_of(event->old_id);
		if (event->kind == STORE)
			(void)snprintf(job->uuid, sizeof job->uuid, "%.*s",
			               (int)event->row.uuid.len,
			               (const char *)event->row.uuid.data);
	}
	world_forget(w);
}

// The disk does the next write, as store_sqlite does, or fails.
static void do_write(struct world *w)
{
	const struct job *job = &queue[done++];
	struct row *row = &disk[job->id];
	bool ok = roll(5) != 0;
	if (ok && job->kind == STORE) {
		if (!row->there)
			row->state = job->state;
		row->there = true;
		memcpy(row->uuid, job->uuid, sizeof row->uuid);
	} else if (ok && job->kind == RENAME) {
		ok = disk[job->old_id].there && !row->there;
		if (ok) {
			*row = disk[job->old_id];
			disk[job->old_id].there = false;
		}
	} else if (ok && job->kind == SET_STATE) {
		ok = row->there;
		row->state = job->state;
	} else if (ok) {
		row->there = false;
	}
	done_of[job->kind] += ok;
	stored(w, job->ticket, ok);
	take_writes(w);
}

static void client_says(struct world *w, uint64_t conn)
{
	const char *id = ids[roll(IDS)];
	const char *uuid = uuids[roll(COUNT(uuids))];
	struct rds_path path = path_of(ips[roll(COUNT(ips))], (uint16_t)(5000 + roll(3)));
	switch (roll(4)) {
	case 0:
		send_register_peer(w, id, 0, &path);
		break;
	case 1:
		send_register_pk(w, id, uuid, pks[roll(COUNT(pks))], &path);
		break;
	case 2:
		conn_register(w, conn, &path.remote, id, uuid, pks[roll(COUNT(pks))]);
		break;
	default:
		conn_change_id(w, conn, &path.remote, ids[roll(IDS)], id, uuid);
	}
}

static void administrator_says(struct world *w)
{
	struct rds_view id = rds_view_text(ids[roll(IDS)]);
	if (roll(3) != 0)
		(void)!rds_rendezvous_forget(w->rules, id);
	else
		(void)!rds_rendezvous_set_state(w->rules, id, (enum rds_peer_state)roll(3));
}

static void check_one(void *ctx, const struct rds_peer_info *info)
{
	const struct world *w = ctx;
	const struct row *row = &disk[index_of(info->id)];
	if (info->online)
		assert_int_equal(info->state, RDS_PEER_APPROVED);
	if (info->by_conn)
		assert_true(info->online);
	if (done < queued)
		return;
	assert_true(row->there);
	assert_int_equal(row->state, info->state);
	assert_int_equal(rds_rendezvous_status(w->rules).stores_pending, 0);
}

static void check(struct world *w)
{
	size_t rows = 0;
	rds_rendezvous_peers(w->rules, w->now_ms, check_one, w);
	for (size_t i = 0; i < IDS; i++)
		rows += disk[i].there;
	if (done == queued)
		assert_int_equal(rds_rendezvous_status(w->rules).peers, rows);
}

static void one_turn(struct world *w)
{
	uint64_t conn = 1 + roll(CONNS);
	w->now_ms += roll(4000);
	w->gone = roll(4) == 0 ? conn : 0;
	w->store_rc = roll(10) == 0 ? -RDS_EFULL : 0;
	if (roll(3) != 0)
		client_says(w, conn);
	else if (roll(2) == 0)
		administrator_says(w);
	else
		rds_rendezvous_closed(w->rules, conn);
	take_writes(w);
	// Sometimes everything is on disk, at others it lags behind.
	for (size_t n = roll(4) == 0 ? queued : roll(3); n > 0 && done < queued; n--)
		do_write(w);
	check(w);
}

static void memory_is_what_is_on_file(void **state)
{
	(void)state;
	for (uint64_t seed = 1; seed <= SEEDS; seed++) {
		struct world *w = world_open(NULL);
		dice = (struct testing_random){seed};
		memset(disk, 0, sizeof disk);
		queued = done = 0;
		for (int i = 0; i < TURNS; i++)
			one_turn(w);
		w->gone = 0;
		while (done < queued)
			do_write(w);
		check(w);
		// The last connection closed, the last datagram long ago: nobody is there.
		for (uint64_t conn = 1; conn <= CONNS; conn++)
			rds_rendezvous_closed(w->rules, conn);
		w->now_ms += RDS_ONLINE_MS;
		assert_int_equal(rds_rendezvous_online(w->rules, w->now_ms), 0);
		world_close(w);
	}
	for (size_t kind = STORE; kind <= FORGET; kind++) // it was worth the while
		assert_true(done_of[kind] > (size_t)SEEDS * TURNS / 500);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(memory_is_what_is_on_file)};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
