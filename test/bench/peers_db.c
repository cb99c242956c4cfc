// SPDX-License-Identifier: MIT
// Goal: a database with so many peers on file, made by the store itself.
#include "test/bench/peers.h"
#include "test/bench/tool.h"

#include "core/store.h"

#include <netinet/in.h>
#include <stdbool.h>
#include <unistd.h>

static struct rds_ip ip_of(uint32_t source)
{
	return rds_ip_v4((uint8_t)(source >> 24), (uint8_t)(source >> 16), (uint8_t)(source >> 8),
	                 (uint8_t)source);
}

static void on_wake(void *ctx)
{
	(void)ctx;
}

static size_t take(struct rds_store *store)
{
	struct rds_store_done done[256];
	size_t n = rds_store_take(store, done, sizeof done / sizeof done[0]);
	for (size_t i = 0; i < n; i++)
		if (!done[i].ok)
			tool_fail("the store refused a row");
	return n;
}

static void put(struct rds_store *store, uint32_t i, uint32_t peers)
{
	struct peer_texts texts;
	peers_texts(i, &texts);
	struct rds_peer_row row = {.id = rds_view_of(texts.id, sizeof texts.id),
	                           .uuid = rds_view_of(texts.uuid, sizeof texts.uuid),
	                           .pk = rds_view_of(texts.pk, sizeof texts.pk),
	                           .ip = ip_of(peers_source_of(i, peers))};
	while (rds_store_put(store, &row, i) != 0)
		(void)usleep(1000);
}

int main(int argc, char **argv)
{
	const char *path = "db_v2.sqlite3";
	long peers = 0;
	const struct tool_option options[] = {{.name = "path", .text = &path},
	                                      {.name = "peers", .number = &peers}};
	struct rds_store *store = NULL;
	struct rds_error err;
	tool_options(argc, argv, options, sizeof options / sizeof options[0]);
	if (rds_store_open(path, on_wake, NULL, &store, &err) != 0)
		tool_fail("%s", err.text);
	size_t ended = 0;
	for (uint32_t i = 0; i < (uint32_t)peers; i++) {
		put(store, i, (uint32_t)peers);
		ended += take(store);
	}
	while (ended < (size_t)peers) {
		ended += take(store);
		(void)usleep(1000);
	}
	rds_store_close(store);
	return 0;
}
