// SPDX-License-Identifier: MIT
// Files of addresses and networks, one a line, # for comments: hbbr's blocklist.txt and
// blacklist.txt.
#ifndef RDS_CONF_ADDR_LIST_H
#define RDS_CONF_ADDR_LIST_H

#include "conf/values.h"

// The networks, as rds_cidrs_sort leaves them. name is what *err calls the file. -RDS_EINVAL with
// the first bad line and its number; out is then empty.
int rds_addr_list_parse(struct rds_view contents, const char *name, struct rds_cidrs *out,
                        struct rds_error *err) __attribute__((warn_unused_result));

// The contents, which can be parsed, without the lines of this very network, and how many those
// were. Fresh memory.
char *rds_addr_list_without(struct rds_view contents, const struct rds_cidr *net, size_t *removed);

// The contents, which can be parsed, with one more line. Fresh memory.
char *rds_addr_list_with(struct rds_view contents, const char *net);

#endif
