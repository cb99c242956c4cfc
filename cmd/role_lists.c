// SPDX-License-Identifier: MIT
// The relay's lists of addresses, as files in the data directory.
#include "cmd/role_private.h"

#include "conf/addr_list.h"
#include "core/alloc.h"

#include <stdlib.h>

struct list {
	uint8_t *bytes;
	size_t len;
	struct rds_cidrs nets;
};

static void list_clear(struct list *list)
{
	free(list->bytes);
	rds_cidrs_free(&list->nets);
}

// A file that isn't there is an empty list. list_clear it, even if this fails.
static int list_read(const struct role *role, const char *name, struct list *out,
                     struct rds_error *err)
{
	*out = (struct list){.bytes = rds_calloc(1, RDS_LIST_FILE_MAX_BYTES)};
	int rc = rds_datadir_read(role->dir, name, out->bytes, RDS_LIST_FILE_MAX_BYTES, &out->len,
	                          NULL, err);
	if (rc != 0)
		return rc == -RDS_ENOENT ? 0 : rc;
	return rds_addr_list_parse(rds_view_of(out->bytes, out->len), name, &out->nets, err);
}

static void keep(struct rds_cidrs *kept, struct rds_cidrs *fresh)
{
	rds_cidrs_free(kept);
	*kept = *fresh;
	*fresh = (struct rds_cidrs){0};
}

int role_read_lists(struct role *role, struct rds_error *err)
{
	struct list blocked;
	struct list slow = {0};
	int rc = list_read(role, RDS_BLOCK_FILE, &blocked, err);
	if (rc == 0)
		rc = list_read(role, RDS_SLOW_FILE, &slow, err);
	if (rc == 0) {
		struct rds_relay_lists lists = {.blocked = blocked.nets.items,
		                                .n_blocked = blocked.nets.n,
		                                .slow = slow.nets.items,
		                                .n_slow = slow.nets.n};
		rds_relay_set_lists(role->relay, &lists);
		keep(&role->blocked, &blocked.nets);
		keep(&role->slow, &slow.nets);
	}
	list_clear(&blocked);
	list_clear(&slow);
	return rc;
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
	if (strlen(text) > RDS_LIST_FILE_MAX_BYTES)
		return rds_fail(err, RDS_ETOOBIG, "%s is full: join its addresses to networks",
		                file);
	return rds_datadir_write(role->dir, file, 0644, RDS_WRITE_REPLACE, rds_view_text(text),
	                         err);
}

int role_list_add(struct role *role, const char *file, const char *net, struct rds_error *err)
{
	struct list list = {0};
	struct rds_cidr one;
	size_t there;
	int rc = parse_net(net, &one, err);
	if (rc == 0)
		rc = list_read(role, file, &list, err);
	if (rc == 0) {
		struct rds_view contents = rds_view_of(list.bytes, list.len);
		free(rds_addr_list_without(contents, &one, &there));
		char *text = rds_addr_list_with(contents, net);
		if (there == 0)
			rc = write_list(role, file, text, err);
		free(text);
	}
	list_clear(&list);
	return rc != 0 ? rc : role_read_lists(role, err);
}

static int remove_from(const struct role *role, const char *file, const struct rds_cidr *net,
                       size_t *removed, struct rds_error *err)
{
	struct list list;
	int rc = list_read(role, file, &list, err);
	*removed = 0;
	if (rc == 0) {
		char *text = rds_addr_list_without(rds_view_of(list.bytes, list.len), net, removed);
		if (*removed > 0)
			rc = write_list(role, file, text, err);
		free(text);
	}
	list_clear(&list);
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
