// SPDX-License-Identifier: MIT
// Goal: the registry holds what it is given, finds it by its whole id, and lets it go.
#include "test/unit/testing.h"

#include "core/alloc.h"
#include "core/limits.h"
#include "core/registry.h"

#include <stdio.h>
#include <stdlib.h>

static struct rds_peer *add(struct rds_registry *registry, const char *id, const char *uuid,
                            const char *pk)
{
	return rds_registry_add(registry, rds_view_text(id), rds_view_text(uuid),
	                        rds_view_text(pk));
}

static struct rds_peer *find(const struct rds_registry *registry, const char *id)
{
	return rds_registry_find(registry, rds_view_text(id));
}

static void check(const struct rds_peer *peer, const char *id, const char *uuid, const char *pk)
{
	assert_non_null(peer);
	assert_view_text(rds_peer_id(peer), id);
	assert_view_text(rds_peer_uuid(peer), uuid);
	assert_view_text(rds_peer_pk(peer), pk);
}

static void holds_what_it_is_given(void **state)
{
	(void)state;
	struct rds_registry registry;
	char id[] = "ridge-042";
	rds_registry_init(&registry, &testing_seed);
	assert_null(find(&registry, "ridge-042"));
	struct rds_peer *peer = add(&registry, id, "uuid-1", "pk-1");
	id[0] = 'X'; // it has a copy
	check(peer, "ridge-042", "uuid-1", "pk-1");
	assert_ptr_equal(find(&registry, "ridge-042"), peer);
	assert_false(peer->on_file);
	assert_false(peer->proven);
	assert_int_equal(peer->seen_ms, 0);
	assert_true(rds_ip_is_none(&peer->ip_on_file));
	assert_null(find(&registry, "ridge-04"));
	assert_null(find(&registry, "ridge-0422"));
	assert_null(find(&registry, ""));
	assert_int_equal(rds_registry_count(&registry), 1);
	rds_registry_remove(&registry, peer);
	assert_null(find(&registry, "ridge-042"));
	assert_int_equal(rds_registry_count(&registry), 0);
	rds_registry_clear(&registry);
}

static void parts_may_be_empty(void **state)
{
	(void)state;
	struct rds_registry registry;
	rds_registry_init(&registry, &testing_seed);
	check(rds_registry_add(&registry, rds_view_text("a"), rds_view_of(NULL, 0),
	                       rds_view_of(NULL, 0)),
	      "a", "", "");
	check(add(&registry, "", "uuid", "pk"), "", "uuid", "pk");
	check(find(&registry, ""), "", "uuid", "pk");
	rds_registry_clear(&registry);
}

static void parts_have_bounds(void **state)
{
	(void)state;
	struct rds_registry registry;
	uint8_t *bytes = rds_calloc(RDS_PEER_BLOB_MAX + 1, 1);
	rds_registry_init(&registry, &testing_seed);
	struct rds_view fits = rds_view_of(bytes, RDS_PEER_BLOB_MAX);
	struct rds_view over = rds_view_of(bytes, RDS_PEER_BLOB_MAX + 1);
	struct rds_view id = rds_view_of(bytes, 255);
	assert_null(rds_registry_add(&registry, rds_view_of(bytes, 256), fits, fits));
	assert_null(rds_registry_add(&registry, id, over, fits));
	assert_null(rds_registry_add(&registry, id, fits, over));
	assert_int_equal(rds_registry_count(&registry), 0);
	struct rds_peer *peer = rds_registry_add(&registry, id, fits, fits);
	assert_non_null(peer);
	assert_int_equal(rds_peer_id(peer).len, 255);
	assert_int_equal(rds_peer_uuid(peer).len, RDS_PEER_BLOB_MAX);
	assert_int_equal(rds_peer_pk(peer).len, RDS_PEER_BLOB_MAX);
	rds_registry_clear(&registry);
	free(bytes);
}

// A new key of any length; everything else about the peer stays.
static void key_is_replaced(void **state)
{
	(void)state;
	static const char *const keys[] = {"pk-2", "a-longer-pk-than-before", "p", "", "pk-1"};
	struct rds_registry registry;
	rds_registry_init(&registry, &testing_seed);
	struct rds_peer *peer = add(&registry, "ridge-042", "uuid-1", "pk-1");
	(void)add(&registry, "ridge-043", "uuid-2", "pk-of-another");
	peer->seen_ms = 12345;
	peer->path = (struct rds_path){.remote = addr_of("203.0.113.7", 5000), .local = 3};
	peer->ip_on_file = ip_of("203.0.113.7");
	peer->on_file = peer->proven = true;
	peer->stores_pending = 2;
	peer->tries_ms[2] = 99;
	for (size_t i = 0; i < COUNT(keys); i++) {
		peer = rds_registry_set_pk(&registry, peer, rds_view_text(keys[i]));
		check(peer, "ridge-042", "uuid-1", keys[i]);
		assert_ptr_equal(find(&registry, "ridge-042"), peer);
		assert_int_equal(peer->seen_ms, 12345);
		assert_int_equal(peer->path.remote.port, 5000);
		assert_int_equal(peer->path.local, 3);
		assert_true(peer->on_file && peer->proven);
		assert_int_equal(peer->stores_pending, 2);
		assert_int_equal(peer->tries_ms[2], 99);
		assert_int_equal(rds_registry_count(&registry), 2);
	}
	check(find(&registry, "ridge-043"), "ridge-043", "uuid-2", "pk-of-another");
	rds_registry_clear(&registry);
}

// A fleet comes and half of it goes.
static void many_peers(void **state)
{
	(void)state;
	enum { MANY = 100000 };
	struct rds_registry registry;
	char id[32];
	rds_registry_init(&registry, &testing_seed);
	for (int i = 0; i < MANY; i++) {
		(void)snprintf(id, sizeof id, "%d", 100000000 + i);
		assert_non_null(add(&registry, id, "uuid-1", id));
	}
	assert_int_equal(rds_registry_count(&registry), MANY);
	for (int i = 0; i < MANY; i += 2) {
		(void)snprintf(id, sizeof id, "%d", 100000000 + i);
		rds_registry_remove(&registry, find(&registry, id));
	}
	assert_int_equal(rds_registry_count(&registry), MANY / 2);
	for (int i = 0; i < MANY; i++) {
		(void)snprintf(id, sizeof id, "%d", 100000000 + i);
		if (i % 2 == 0)
			assert_null(find(&registry, id));
		else
			check(find(&registry, id), id, "uuid-1", id);
	}
	rds_registry_clear(&registry);
	assert_int_equal(rds_registry_count(&registry), 0);
}

// A million of them have to fit: 68 bytes and the texts.
static void a_peer_is_small(void **state)
{
	(void)state;
	assert_true(offsetof(struct rds_peer, bytes) <= 72);
}

// Times and connections reach as far as they have to, and don't touch what lies beside them.
static void a_peer_has_room_for_times(void **state)
{
	(void)state;
	struct rds_registry registry;
	rds_registry_init(&registry, &testing_seed);
	struct rds_peer *peer = add(&registry, "ridge-042", "uuid-1", "pk-1");
	peer->seen_ms = RDS_48_BITS;
	peer->conn = RDS_48_BITS;
	check(peer, "ridge-042", "uuid-1", "pk-1");
	assert_true(peer->seen_ms == RDS_48_BITS && peer->conn == RDS_48_BITS);
	rds_registry_clear(&registry);
}

// Only a hint: of known and unknown ids, and of none in an empty registry.
static void prefetching_changes_nothing(void **state)
{
	(void)state;
	struct rds_view ids[RDS_REGISTRY_PREFETCH];
	struct rds_registry registry;
	rds_registry_init(&registry, &testing_seed);
	for (size_t i = 0; i < COUNT(ids); i++)
		ids[i] = rds_view_text(i % 2 == 0 ? "ridge-042" : "crest-007");
	rds_registry_prefetch(&registry, ids, COUNT(ids));
	struct rds_peer *peer = add(&registry, "ridge-042", "uuid-1", "pk-1");
	rds_registry_prefetch(&registry, ids, COUNT(ids));
	rds_registry_prefetch(&registry, ids, 0);
	check(peer, "ridge-042", "uuid-1", "pk-1");
	assert_ptr_equal(find(&registry, "ridge-042"), peer);
	assert_null(find(&registry, "crest-007"));
	rds_registry_clear(&registry);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(holds_what_it_is_given),
	        cmocka_unit_test(parts_may_be_empty),
	        cmocka_unit_test(parts_have_bounds),
	        cmocka_unit_test(key_is_replaced),
	        cmocka_unit_test(many_peers),
	        cmocka_unit_test(a_peer_is_small),
	        cmocka_unit_test(a_peer_has_room_for_times),
	        cmocka_unit_test(prefetching_changes_nothing),
	};
	return cmocka_run_group_tests_name("registry", tests, NULL, NULL);
}
