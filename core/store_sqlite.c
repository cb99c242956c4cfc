// SPDX-License-Identifier: MIT
// The store on SQLite, its queues and its thread. The one part of core that does I/O: see
// core/store.h.
#include "core/store_sqlite_private.h"

#include "core/alloc.h"
#include "core/limits.h"

#include <signal.h>
#include <stdlib.h>

static void list_init(struct job_list *list)
{
	*list = (struct job_list){.end = &list->first};
}

static void list_add(struct job_list *list, struct job *job)
{
	job->next = NULL;
	*list->end = job;
	list->end = &job->next;
	list->n++;
}

static struct job *list_take(struct job_list *list)
{
	struct job *job = list->first;
	if (job == NULL)
		return NULL;
	list->first = job->next;
	if (list->first == NULL)
		list->end = &list->first;
	list->n--;
	return job;
}

static void list_free(struct job_list *list)
{
	for (struct job *job; (job = list_take(list)) != NULL;)
		free(job);
}

static bool is_closing(struct rds_store *store)
{
	(void)pthread_mutex_lock(&store->lock);
	bool closing = store->closing;
	(void)pthread_mutex_unlock(&store->lock);
	return closing;
}

// Everything or nothing is on disk when this returns, but for rows that SQLite refuses one by
// one. Some errors (a full disk) end the transaction at once: then nothing of it counts.
static void write_batch(struct rds_store *store, struct job_list *batch)
{
	bool open = !store->hopeless && store_sqlite_run(store, store->begin);
	// At the end nobody waits for a database that doesn't open.
	store->hopeless = !open && is_closing(store);
	for (struct job *job = batch->first; job != NULL && open; job = job->next) {
		job->ok = store_sqlite_write(store, job);
		open = sqlite3_get_autocommit(store->db) == 0;
	}
	bool committed = open && store_sqlite_run(store, store->commit);
	if (sqlite3_get_autocommit(store->db) == 0)
		(void)store_sqlite_run(store, store->rollback);
	for (struct job *job = batch->first; job != NULL; job = job->next)
		job->ok = job->ok && committed;
}

// Waits for work; false when there is none and the store is closing. Notes are for when nothing
// else waits.
static bool take_batch(struct rds_store *store, struct job_list *batch)
{
	list_init(batch);
	(void)pthread_mutex_lock(&store->lock);
	while (store->queued.n == 0 && store->notes.n == 0 && !store->closing)
		(void)pthread_cond_wait(&store->more, &store->lock);
	struct job_list *from = store->queued.n > 0 ? &store->queued : &store->notes;
	for (struct job *job; batch->n < RDS_STORE_BATCH && (job = list_take(from)) != NULL;)
		list_add(batch, job);
	(void)pthread_mutex_unlock(&store->lock);
	return batch->n > 0;
}

// While one batch is synced the next one gathers: groups form by themselves, and a lone write
// waits for nobody.
static void *work(void *arg)
{
	struct rds_store *store = arg;
	struct job_list batch;
	while (take_batch(store, &batch)) {
		write_batch(store, &batch);
		if (batch.first->kind == JOB_NOTE) {
			list_free(&batch); // nobody waits to hear of it
			continue;
		}
		(void)pthread_mutex_lock(&store->lock);
		for (struct job *job; (job = list_take(&batch)) != NULL;)
			list_add(&store->ended, job);
		(void)pthread_mutex_unlock(&store->lock);
		store->wake(store->wake_ctx);
	}
	return NULL;
}

// The thread takes no signals: they are the loop's.
static int start_thread(struct rds_store *store, struct rds_error *err)
{
	sigset_t all;
	sigset_t before;
	(void)sigfillset(&all);
	(void)pthread_sigmask(SIG_SETMASK, &all, &before);
	int rc = pthread_create(&store->thread, NULL, work, store);
	(void)pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (rc != 0)
		return rds_fail(err, RDS_ESYS, "can't start the store's thread: %s", strerror(rc));
	store->started = true;
	return 0;
}

int rds_store_open(const char *path, rds_store_wake_fn wake, void *ctx, struct rds_store **out,
                   struct rds_error *err)
{
	struct rds_store *store = rds_calloc(1, sizeof *store);
	store->path = rds_strdup(path);
	store->wake = wake;
	store->wake_ctx = ctx;
	list_init(&store->queued);
	list_init(&store->notes);
	list_init(&store->ended);
	(void)pthread_mutex_init(&store->lock, NULL);
	(void)pthread_cond_init(&store->more, NULL);
	int rc = store_sqlite_open(store, err);
	if (rc == 0)
		rc = start_thread(store, err);
	if (rc != 0) {
		rds_store_close(store);
		return rc;
	}
	*out = store;
	return 0;
}

// A copy of row, and of the old id if there is one.
static struct job *job_new(enum job_kind kind, struct rds_view old_id,
                           const struct rds_peer_row *row, uint64_t ticket)
{
	struct job *job = rds_calloc(1, sizeof *job + old_id.len + row->id.len + row->uuid.len +
	                                        row->pk.len + row->version.len);
	uint8_t *at = job->bytes;
	job->ticket = ticket;
	job->kind = kind;
	job->old_id = old_id;
	job->row = *row;
	struct rds_view *parts[] = {&job->old_id, &job->row.id, &job->row.uuid, &job->row.pk,
	                            &job->row.version};
	for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++) {
		if (parts[i]->len > 0)
			memcpy(at, parts[i]->data, parts[i]->len);
		parts[i]->data = at;
		at += parts[i]->len;
	}
	return job;
}

// Takes job.
static int enqueue(struct rds_store *store, struct job_list *list, size_t most, struct job *job)
{
	(void)pthread_mutex_lock(&store->lock);
	bool full = list->n >= most;
	if (!full) {
		list_add(list, job);
		(void)pthread_cond_signal(&store->more);
	}
	(void)pthread_mutex_unlock(&store->lock);
	if (full)
		free(job);
	return full ? -RDS_EFULL : 0;
}

static int put(struct rds_store *store, enum job_kind kind, struct rds_view old_id,
               const struct rds_peer_row *row, uint64_t ticket)
{
	return enqueue(store, &store->queued, RDS_STORES_PENDING,
	               job_new(kind, old_id, row, ticket));
}

int rds_store_put(struct rds_store *store, const struct rds_peer_row *row, uint64_t ticket)
{
	return put(store, JOB_PUT, rds_view_of(NULL, 0), row, ticket);
}

int rds_store_rename(struct rds_store *store, struct rds_view old_id, struct rds_view new_id,
                     uint64_t ticket)
{
	struct rds_peer_row row = {.id = new_id};
	return put(store, JOB_RENAME, old_id, &row, ticket);
}

int rds_store_set_state(struct rds_store *store, struct rds_view id, enum rds_peer_state state,
                        uint64_t ticket)
{
	struct rds_peer_row row = {.id = id, .state = state};
	return put(store, JOB_STATE, rds_view_of(NULL, 0), &row, ticket);
}

int rds_store_forget(struct rds_store *store, struct rds_view id, uint64_t ticket)
{
	struct rds_peer_row row = {.id = id};
	return put(store, JOB_FORGET, rds_view_of(NULL, 0), &row, ticket);
}

int rds_store_note(struct rds_store *store, struct rds_view id, uint16_t seen_day,
                   struct rds_view version)
{
	struct rds_peer_row row = {.id = id, .seen_day = seen_day, .version = version};
	return enqueue(store, &store->notes, RDS_NOTES_QUEUED,
	               job_new(JOB_NOTE, rds_view_of(NULL, 0), &row, 0));
}

size_t rds_store_take(struct rds_store *store, struct rds_store_done *out, size_t max)
{
	size_t n = 0;
	(void)pthread_mutex_lock(&store->lock);
	for (struct job *job; n < max && (job = list_take(&store->ended)) != NULL; n++) {
		out[n] = (struct rds_store_done){.ticket = job->ticket, .ok = job->ok};
		free(job);
	}
	(void)pthread_mutex_unlock(&store->lock);
	return n;
}

void rds_store_close(struct rds_store *store)
{
	if (store == NULL)
		return;
	if (store->started) {
		(void)pthread_mutex_lock(&store->lock);
		store->closing = true;
		(void)pthread_cond_signal(&store->more);
		(void)pthread_mutex_unlock(&store->lock);
		(void)pthread_join(store->thread, NULL);
	}
	store_sqlite_close(store);
	list_free(&store->queued);
	list_free(&store->notes);
	list_free(&store->ended);
	(void)pthread_mutex_destroy(&store->lock);
	(void)pthread_cond_destroy(&store->more);
	free(store->path);
	free(store);
}
