// SPDX-License-Identifier: MIT
// The ID server's way to the disk and back.
#include "net/id_service_private.h"

#include <time.h>

static int rename_row(void *ctx, struct rds_view old_id, struct rds_view new_id, uint64_t ticket)
{
	struct rds_id_service *service = ctx;
	return rds_store_rename(service->store, old_id, new_id, ticket);
}

static int set_state(void *ctx, struct rds_view id, enum rds_peer_state state, uint64_t ticket)
{
	struct rds_id_service *service = ctx;
	return rds_store_set_state(service->store, id, state, ticket);
}

static int forget_row(void *ctx, struct rds_view id, uint64_t ticket)
{
	struct rds_id_service *service = ctx;
	return rds_store_forget(service->store, id, ticket);
}

static int store_row(void *ctx, const struct rds_peer_row *row, uint64_t ticket)
{
	struct rds_id_service *service = ctx;
	return rds_store_put(service->store, row, ticket);
}

static int note(void *ctx, struct rds_view id, uint16_t seen_day, struct rds_view version)
{
	struct rds_id_service *service = ctx;
	return rds_store_note(service->store, id, seen_day, version);
}

void id_service_store_hooks(struct rds_host *host)
{
	host->store = store_row;
	host->rename = rename_row;
	host->set_state = set_state;
	host->forget = forget_row;
	host->note = note;
}

void id_service_tick(void *ctx)
{
	struct rds_id_service *service = ctx;
	rds_rendezvous_set_day(service->rules, (uint16_t)(time(NULL) / (24 * 60 * 60)));
	rds_rendezvous_write_notes(service->rules);
	rds_rendezvous_expire_checks(service->rules, rds_loop_now_ms(service->loop));
}

void id_service_stored(void *ctx)
{
	struct rds_id_service *service = ctx;
	struct rds_store_done done[64];
	uint64_t now_ms = rds_loop_now_ms(service->loop);
	size_t n;
	while ((n = rds_store_take(service->store, done, sizeof done / sizeof done[0])) > 0)
		for (size_t i = 0; i < n; i++)
			rds_rendezvous_stored(service->rules, now_ms, done[i].ticket, done[i].ok);
}

static int load_row(void *ctx, const struct rds_peer_row *row)
{
	struct rds_id_service *service = ctx;
	return rds_rendezvous_load(service->rules, row);
}

int rds_id_service_open_store(struct rds_id_service *service, const char *path,
                              struct rds_error *err)
{
	int rc = rds_store_open(path, rds_waker_wake, service->store_waker, &service->store, err);
	if (rc == 0)
		rc = rds_store_load(service->store, load_row, service, err);
	return rc;
}

int rds_id_service_backup(struct rds_id_service *service, const char *path, struct rds_error *err)
{
	return rds_store_backup(service->store, path, err);
}
