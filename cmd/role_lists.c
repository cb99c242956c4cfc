// SPDX-License-Identifier: MIT
// The relay's lists of addresses, as files in the data directory.
#include "cmd/role_private.h"

#include "conf/addr_list.h"
#include "core/alloc.h"

#include <stdlib.h>

// A whole list; one that isn't there is empty. Fresh memory in *bytes, even if it fails.
static int read_file(const struct role *role, const char *name, uint8_t **bytes, size_t *len,
                     struct rds_error *err)
{
	*len = 0;
	*bytes = rds_calloc(1, RDS_LIST_FILE_MAX_BYTES);
	int rc = rds_datadir_read(role->dir, name, *bytes, RDS_LIST_FILE_MAX_BYTES, len, NULL, err);
	return rc == -RDS_ENOENT ? 0 : rc;
}

static int read_list(const struct role *role, const char *name, struct rds_cidrs *out,
                     struct rds_error *err)
{
	uint8_t *bytes = NULL;
	size_t len;
	*out = (struct rds_cidrs){0};
	int rc = read_file(role, name, &bytes, &len, err);
	if (rc == 0)
		rc = rds_addr_list_parse(rds_view_of(bytes, len), name, out, err);
	free(bytes);
	return rc;
}

int role_read_lists(struct role *role, struct rds_error *err)
{
	struct rds_cidrs blocked;
	struct rds_cidrs slow = {0};
	int rc = read_list(role, RDS_BLOCK_FILE, &blocked, err);
	if (rc == 0)
		rc = read_list(role, RDS_SLOW_FILE, &slow, err);
	if (rc != 0) {
		rds_cidrs_free(&blocked);
		rds_cidrs_free(&slow);
		return rc;
	}
	struct rds_relay_lists lists = {.blocked = blocked.items,
	                                .n_blocked = blocked.n,
	                                .slow = slow.items,
	                                .n_slow = slow.n};
	rds_relay_set_lists(role->relay, &lists);
	rds_cidrs_free(&role->blocked);
	rds_cidrs_free(&role->slow);
	role->blocked = blocked;
	role->slow = slow;
	return 0;
}

static int parse_net(const char *text, struct rds_cidr *out, struct rds_error *err)
{
	return rds_cidr_parse(text, out) == 0
	               ? 0
	               : rds_fail(err, RDS_EINVAL,
	                          "expected an address or a network, such as 203.0.113.7 or "
	                          "198.51.100.0/24");
}

static int write_list(const struct role *role, const char *file, const char *text,
                      struct rds_error *err)
{
	return rds_datadir_write(role->dir, file, 0644, RDS_WRITE_REPLACE, rds_view_text(text),
	                         err);
}

int role_list_add(struct role *role, const char *file, const char *net, struct rds_error *err)
{
	uint8_t *bytes = NULL;
	size_t len;
	size_t there;
	struct rds_cidr one;
	int rc = parse_net(net, &one, err);
	if (rc != 0)
		return rc;
	rc = read_file(role, file, &bytes, &len, err);
	if (rc == 0) {
		free(rds_addr_list_without(rds_view_of(bytes, len), &one, &there));
		char *text = rds_addr_list_with(rds_view_of(bytes, len), net);
		if (there == 0)
			rc = write_list(role, file, text, err);
		free(text);
	}
	free(bytes);
	return rc != 0 ? rc : role_read_lists(role, err);
}

static int remove_from(const struct role *role, const char *file, const struct rds_cidr *net,
                       size_t *removed, struct rds_error *err)
{
	uint8_t *bytes = NULL;
	size_t len;
	*removed = 0;
	int rc = read_file(role, file, &bytes, &len, err);
	if (rc == 0) {
		char *text = rds_addr_list_without(rds_view_of(bytes, len), net, removed);
		if (*removed > 0)
			rc = write_list(role, file, text, err);
		free(text);
	}
	free(bytes);
	return rc;
}

int role_list_remove(struct role *role, const char *file, const char *net, struct rds_error *err)
{
	static const char *const files[] = {RDS_BLOCK_FILE, RDS_SLOW_FILE};
	size_t removed = 0;
	struct rds_cidr one;
	int rc = parse_net(net, &one, err);
	for (size_t i = 0; i < 2 && rc == 0; i++) {
		size_t n = 0;
		if (file == NULL || strcmp(file, files[i]) == 0)
			rc = remove_from(role, files[i], &one, &n, err);
		removed += n;
	}
	if (rc == 0 && removed == 0)
		return rds_fail(err, RDS_ENOENT, "no such line in %s",
		                file == NULL ? RDS_BLOCK_FILE " or " RDS_SLOW_FILE : file);
	return rc != 0 ? rc : role_read_lists(role, err);
}
