// SPDX-License-Identifier: MIT
// Goal: shared by the tests of what clients are configured with.
#ifndef RDS_TEST_UNIT_CLIENTS_H
#define RDS_TEST_UNIT_CLIENTS_H

#include "test/unit/testing.h"

#include "conf/client_conf.h"
#include "core/alloc.h"

#include <stdlib.h>

static inline struct rds_client_conf conf_of(const char *id, const char *relay, const char *api,
                                             const char *key)
{
	return (struct rds_client_conf){.id_server = rds_strdup(id),
	                                .relay_server = rds_strdup(relay),
	                                .api_server = rds_strdup(api),
	                                .key = rds_strdup(key)};
}

static inline void assert_conf(const struct rds_client_conf *conf, const char *id,
                               const char *relay, const char *api, const char *key)
{
	assert_string_equal(conf->id_server, id);
	assert_string_equal(conf->relay_server, relay);
	assert_string_equal(conf->api_server, api);
	assert_string_equal(conf->key, key);
}

#endif
