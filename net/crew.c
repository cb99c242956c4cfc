// SPDX-License-Identifier: MIT
#include "net/crew.h"

#include "core/alloc.h"
#include "core/quota.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

// How often a total limit is shared out anew.
#define SHARE_MS 100

// A session that moves so much a second counts like one more.
#define LOAD_BYTES (1024 * 1024)

// Tasks from one thread to another.
struct queue {
	pthread_mutex_t mutex;
	struct rds_crew_task *first;
	struct rds_crew_task **last;
	struct rds_waker *waker; // of the thread that takes them
};

struct worker {
	struct rds_crew *crew;
	pthread_t thread;
	bool started;
	struct rds_loop *loop;
	struct rds_pumps *pumps;
	struct queue in;
	_Atomic bool stopping;
	_Atomic bool kicked; // some of its sessions are to end
	_Atomic bool asked;  // whether it is alive
	// The owner's view of its load.
	size_t sessions;
	uint64_t bytes;    // as of the last look
	uint64_t bytes_ps; // a second
};

struct rds_crew {
	struct rds_loop *owner;
	rds_crew_end_fn on_end;
	void *ctx;
	struct rds_pump_limits limits;
	struct queue ended;
	struct rds_timer *share;
	uint64_t shared_ms;
	struct rds_fair fair;
	unsigned n;
	struct worker workers[];
};

static void queue_init(struct queue *queue, struct rds_loop *loop, rds_event_fn fn, void *ctx)
{
	(void)pthread_mutex_init(&queue->mutex, NULL);
	queue->last = &queue->first;
	queue->waker = rds_waker_new(loop, fn, ctx);
}

static void queue_clear(struct queue *queue)
{
	rds_waker_free(queue->waker);
	(void)pthread_mutex_destroy(&queue->mutex);
}

static void queue_put(struct queue *queue, struct rds_crew_task *task)
{
	task->next = NULL;
	(void)pthread_mutex_lock(&queue->mutex);
	bool was_empty = queue->first == NULL;
	*queue->last = task;
	queue->last = &task->next;
	(void)pthread_mutex_unlock(&queue->mutex);
	if (was_empty)
		rds_waker_wake(queue->waker);
}

static struct rds_crew_task *queue_take_all(struct queue *queue)
{
	(void)pthread_mutex_lock(&queue->mutex);
	struct rds_crew_task *first = queue->first;
	queue->first = NULL;
	queue->last = &queue->first;
	(void)pthread_mutex_unlock(&queue->mutex);
	return first;
}

// On a worker's thread.

static void start_sessions(struct worker *worker)
{
	struct rds_crew_task *next = queue_take_all(&worker->in);
	for (struct rds_crew_task *task; (task = next) != NULL;) {
		next = task->next;
		rds_pumps_add(worker->pumps, &task->session);
	}
}

static void on_work(void *ctx)
{
	struct worker *worker = ctx;
	worker->asked = false;
	start_sessions(worker);
	if (atomic_exchange(&worker->kicked, false))
		rds_pumps_look_for_kicked(worker->pumps);
	if (worker->stopping)
		rds_loop_stop(worker->loop);
}

static void on_pump_end(void *ctx, struct rds_session *session)
{
	struct worker *worker = ctx;
	// The session is the task's first member.
	queue_put(&worker->crew->ended, (struct rds_crew_task *)(void *)session);
}

static void *work(void *arg)
{
	const struct worker *worker = arg;
	if (rds_loop_run(worker->loop) != 0)
		abort(); // its sessions would hang for ever
	return NULL;
}

// On the owner's.

static void on_ended(void *ctx)
{
	struct rds_crew *crew = ctx;
	struct rds_crew_task *next = queue_take_all(&crew->ended);
	for (struct rds_crew_task *task; (task = next) != NULL;) {
		next = task->next;
		crew->workers[task->thread].sessions--;
		crew->on_end(crew->ctx, task);
	}
}

static void on_share(void *ctx)
{
	struct rds_crew *crew = ctx;
	uint64_t now_ms = rds_loop_now_ms(crew->owner);
	uint64_t elapsed_ms = now_ms - crew->shared_ms;
	struct rds_demand demand = {0};
	for (unsigned i = 0; i < crew->n; i++) {
		struct worker *worker = &crew->workers[i];
		const struct rds_pumps_demand *told = rds_pumps_demand(worker->pumps);
		uint64_t bytes = told->bytes - worker->bytes;
		worker->bytes += bytes;
		worker->bytes_ps = (worker->bytes_ps * 7 + bytes * 1000 / (elapsed_ms + 1)) / 8;
		demand.bytes += bytes;
		demand.free_bps += told->free_bps;
		demand.held_back += told->held_back;
		demand.active += told->active;
	}
	crew->shared_ms = now_ms;
	crew->limits.fair =
	        crew->limits.total == 0
	                ? 0
	                : rds_fair_share(&crew->fair, crew->limits.total, elapsed_ms, &demand);
}

static int start_worker(struct worker *worker, struct rds_error *err)
{
	struct rds_crew *crew = worker->crew;
	int rc = rds_loop_new(&worker->loop, err);
	if (rc != 0)
		return rc;
	worker->pumps = rds_pumps_new(worker->loop, &crew->limits, on_pump_end, worker);
	queue_init(&worker->in, worker->loop, on_work, worker);
	sigset_t all;
	sigset_t before;
	(void)sigfillset(&all);
	(void)pthread_sigmask(SIG_SETMASK, &all, &before);
	int error = pthread_create(&worker->thread, NULL, work, worker);
	(void)pthread_sigmask(SIG_SETMASK, &before, NULL);
	worker->started = error == 0;
	return error == 0
	               ? 0
	               : rds_fail(err, RDS_ESYS, "can't start a relay thread: %s", strerror(error));
}

int rds_crew_new(struct rds_loop *owner, unsigned n, rds_crew_end_fn on_end, void *ctx,
                 struct rds_crew **out, struct rds_error *err)
{
	struct rds_crew *crew = rds_calloc(1, sizeof *crew + n * sizeof crew->workers[0]);
	crew->owner = owner;
	crew->on_end = on_end;
	crew->ctx = ctx;
	queue_init(&crew->ended, owner, on_ended, crew);
	crew->shared_ms = rds_loop_now_ms(owner);
	crew->share = rds_timer_every(owner, SHARE_MS, on_share, crew);
	int rc = 0;
	while (crew->n < n && rc == 0) {
		struct worker *worker = &crew->workers[crew->n++];
		worker->crew = crew;
		rc = start_worker(worker, err);
	}
	if (rc != 0)
		rds_crew_free(crew);
	else
		*out = crew;
	return rc;
}

static void stop_worker(struct worker *worker)
{
	if (worker->started) {
		worker->stopping = true;
		rds_waker_wake(worker->in.waker);
		(void)pthread_join(worker->thread, NULL);
	}
	if (worker->loop == NULL)
		return;
	start_sessions(worker); // so that they end like the others
	rds_pumps_free(worker->pumps);
	queue_clear(&worker->in);
	rds_loop_free(worker->loop);
}

void rds_crew_free(struct rds_crew *crew)
{
	if (crew == NULL)
		return;
	for (unsigned i = 0; i < crew->n; i++)
		stop_worker(&crew->workers[i]);
	on_ended(crew);
	rds_timer_free(crew->share);
	queue_clear(&crew->ended);
	free(crew);
}

static uint64_t load_of(const struct worker *worker)
{
	return worker->sessions + worker->bytes_ps / LOAD_BYTES;
}

void rds_crew_take(struct rds_crew *crew, struct rds_crew_task *task)
{
	struct worker *least = &crew->workers[0];
	for (unsigned i = 1; i < crew->n; i++)
		if (load_of(&crew->workers[i]) < load_of(least))
			least = &crew->workers[i];
	least->sessions++;
	task->thread = (unsigned)(least - crew->workers);
	queue_put(&least->in, task);
}

void rds_crew_kick(struct rds_crew *crew, struct rds_crew_task *task, enum rds_reason why)
{
	struct worker *worker = &crew->workers[task->thread];
	task->session.meter.kicked = (int)why;
	worker->kicked = true;
	rds_waker_wake(worker->in.waker);
}

bool rds_crew_answers(struct rds_crew *crew)
{
	bool all = true;
	for (unsigned i = 0; i < crew->n; i++) {
		struct worker *worker = &crew->workers[i];
		all = !atomic_exchange(&worker->asked, true) && all;
		rds_waker_wake(worker->in.waker);
	}
	return all;
}

struct rds_pump_limits *rds_crew_limits(struct rds_crew *crew)
{
	return &crew->limits;
}
