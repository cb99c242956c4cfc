// SPDX-License-Identifier: MIT
// Files of addresses and networks, one a line, # for comments: hbbr's blocklist.txt and
// blacklist.txt.
#ifndef RDS_CONF_ADDR_LIST_H
#define RDS_CONF_ADDR_LIST_H

#include "conf/values.h"

// name is what *err calls the file. -RDS_EINVAL with the first bad line and its number; out is
// then empty.
int rds_addr_list_parse(struct rds_view contents, const char *name, struct rds_cidrs *out,
                        struct rds_error *err) __attribute__((warn_unused_result));

#endif
