// SPDX-License-Identifier: MIT
// Goal: a keyring.json with anything in it is refused with a reason, or means the same after it was
// written again.
#include "test/fuzz/fuzzing.h"

#include "keys/keyring.h"

#include <fcntl.h>
#include <unistd.h>

static struct rds_datadir *dir;

static void remove_dir(void)
{
	struct rds_error err;
	char path[512];
	(void)snprintf(path, sizeof path, "%s", rds_datadir_path(dir));
	(void)!rds_datadir_remove(dir, RDS_KEYRING_FILE, &err);
	rds_datadir_close(dir);
	(void)rmdir(path);
}

// In memory, where the system has such a place.
static void make_dir(void)
{
	struct rds_error err;
	char memory[] = "/dev/shm/rdsrv-fuzz-XXXXXX";
	char disk[] = "/tmp/rdsrv-fuzz-XXXXXX";
	const char *path = mkdtemp(memory);
	if (path == NULL)
		path = mkdtemp(disk);
	must(path != NULL && rds_datadir_open(path, &dir, &err) == 0);
	must(atexit(remove_dir) == 0);
}

static void put(const uint8_t *data, size_t size)
{
	char path[512];
	(void)snprintf(path, sizeof path, "%s/" RDS_KEYRING_FILE, rds_datadir_path(dir));
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
	must(fd >= 0 && write(fd, data, size) == (ssize_t)size);
	(void)close(fd);
}

static void must_be_same(const struct rds_keyring *a, const struct rds_keyring *b)
{
	must(a->n_retired == b->n_retired && a->n_retired <= RDS_RETIRED_KEYS);
	for (size_t i = 0; i < a->n_retired; i++) {
		const struct rds_retired_key *x = &a->retired[i];
		const struct rds_retired_key *y = &b->retired[i];
		must(rds_text_is_public_key(rds_view_text(x->public_text)));
		must(strcmp(x->public_text, y->public_text) == 0);
		must((x->pair == NULL) == (y->pair == NULL));
		must(x->since == y->since && x->retired == y->retired);
		must(x->accepted_until == y->accepted_until && x->accepted_until >= 0);
	}
	must((a->next == NULL) == (b->next == NULL) && a->current_since == b->current_since);
	must(a->next == NULL || a->next_since == b->next_since);
	must(strcmp(a->pending, b->pending) == 0 && strcmp(a->pending_by, b->pending_by) == 0);
	must(strcmp(a->server_conf_sha256, b->server_conf_sha256) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct rds_keyring ring;
	struct rds_keyring again;
	struct rds_error err = {""};
	if (dir == NULL)
		make_dir();
	put(data, size);
	int rc = rds_keyring_load(dir, &ring, &err);
	must((rc == 0) == (err.text[0] == '\0'));
	if (rc == 0) {
		must(rds_keyring_save(dir, &ring, &err) == 0);
		must(rds_keyring_load(dir, &again, &err) == 0);
		must_be_same(&ring, &again);
		rds_keyring_clear(&again);
	}
	rds_keyring_clear(&ring);
	return 0;
}
