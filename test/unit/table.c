// SPDX-License-Identifier: MIT
// Goal: the hash table finds what is in it and nothing else, also among colliding hashes; the
// hash is SipHash-1-3.
#include "test/unit/testing.h"

// Made with a program of its own, which was checked against SipHash-2-4's published example.
static void hash_has_known_answers(void **state)
{
	(void)state;
	static const struct {
		size_t len;
		uint64_t hash;
	} known[] = {
	        {0, 0xabac0158050fc4dc},   {1, 0xc9f49bf37d57ca93},  {7, 0xd3927d989bb11140},
	        {8, 0x369095118d299a8e},   {9, 0x25a48eb36c063de4},  {15, 0xd320d86d2a519956},
	        {16, 0xcc4fdd1a7d908b66},  {63, 0x9d199062b7bbb3a8}, {255, 0xf76214e3153c4a15},
	        {300, 0x4016a23bda5a2224},
	};
	uint8_t bytes[300];
	for (size_t i = 0; i < sizeof bytes; i++)
		bytes[i] = (uint8_t)i;
	for (size_t i = 0; i < COUNT(known); i++)
		assert_int_equal(rds_hash(&testing_seed, bytes, known[i].len), known[i].hash);
}

static void hash_depends_on_the_seed(void **state)
{
	(void)state;
	const struct rds_seed first = {{1, 2}};
	const struct rds_seed second = {{1, 3}};
	const struct rds_seed third = {{2, 2}};
	assert_int_not_equal(rds_hash(&first, "id", 2), rds_hash(&second, "id", 2));
	assert_int_not_equal(rds_hash(&first, "id", 2), rds_hash(&third, "id", 2));
}

static bool is_number(const void *entry, const void *key)
{
	return *(const int *)entry == *(const int *)key;
}

static int *find(const struct rds_table *table, uint64_t hash, int number)
{
	return rds_table_find(table, hash, is_number, &number);
}

static void empty_table_is_harmless(void **state)
{
	(void)state;
	struct rds_table table;
	size_t at = 0;
	int one = 1;
	rds_table_init(&table);
	assert_null(find(&table, 5, 1));
	rds_table_remove(&table, 5, &one);
	assert_null(rds_table_next(&table, &at));
	rds_table_clear(&table);
}

static void finds_by_match_and_removes_by_identity(void **state)
{
	(void)state;
	struct rds_table table;
	int first = 7;
	int second = 7;
	int other = 8;
	rds_table_init(&table);
	rds_table_insert(&table, 3, &first);
	rds_table_insert(&table, 3, &second);
	rds_table_insert(&table, 3, &other);
	assert_int_equal(table.used, 3);
	assert_ptr_equal(find(&table, 3, 8), &other);
	assert_null(find(&table, 4, 8));
	assert_null(find(&table, 3, 9));
	rds_table_remove(&table, 3, &first);
	assert_ptr_equal(find(&table, 3, 7), &second);
	rds_table_remove(&table, 3, &first); // not there any more: nothing happens
	assert_int_equal(table.used, 2);
	rds_table_remove(&table, 3, &second);
	assert_null(find(&table, 3, 7));
	assert_ptr_equal(find(&table, 3, 8), &other);
	rds_table_clear(&table);
	assert_int_equal(table.used, 0);
}

// What is at the place of a hash: mostly what has it, and never what isn't there.
static void guesses_what_is_found(void **state)
{
	(void)state;
	struct rds_table table;
	int first = 7;
	int second = 8;
	rds_table_init(&table);
	rds_table_prefetch(&table, 3);
	assert_null(rds_table_guess(&table, 3));
	rds_table_insert(&table, 3, &first);
	rds_table_insert(&table, 3, &second);
	rds_table_prefetch(&table, 3);
	assert_ptr_equal(rds_table_guess(&table, 3), &first);
	assert_ptr_equal(rds_table_guess(&table, 4), &second);
	assert_null(rds_table_guess(&table, 5));
	rds_table_clear(&table);
}

#define NUMBERS 3000

static int numbers[NUMBERS];
static bool there[NUMBERS];

// Puts a number in, or takes it out if it is there.
static size_t flip(struct rds_table *table, size_t i, uint64_t hash, size_t used)
{
	numbers[i] = (int)i;
	if (there[i])
		rds_table_remove(table, hash, &numbers[i]);
	else
		rds_table_insert(table, hash, &numbers[i]);
	there[i] = !there[i];
	return there[i] ? used + 1 : used - 1;
}

static void check_walk(const struct rds_table *table, size_t used)
{
	size_t at = 0;
	size_t walked = 0;
	for (int *entry; (entry = rds_table_next(table, &at)) != NULL; walked++) {
		assert_true(there[*entry]);
		there[*entry] = false; // each once
	}
	assert_int_equal(walked, used);
}

// All of it against a plain array. hash_of chooses how much collides.
static void compare_with_array(uint64_t (*hash_of)(int), unsigned seed)
{
	struct testing_random random = {seed};
	struct rds_table table;
	size_t used = 0;
	memset(there, 0, sizeof there);
	rds_table_init(&table);
	for (int round = 0; round < 30000; round++) {
		size_t i = random_below(&random, NUMBERS);
		used = flip(&table, i, hash_of((int)i), used);
		assert_int_equal(table.used, used);
		size_t k = random_below(&random, NUMBERS);
		assert_ptr_equal(find(&table, hash_of((int)k), (int)k),
		                 there[k] ? &numbers[k] : NULL);
	}
	check_walk(&table, used);
	rds_table_clear(&table);
}

static uint64_t spread(int number)
{
	return rds_hash(&testing_seed, &number, sizeof number);
}

static uint64_t crowded(int number)
{
	return (uint64_t)number % 50;
}

static void agrees_with_an_array(void **state)
{
	(void)state;
	compare_with_array(spread, 1);
	compare_with_array(crowded, 2);
}

// The last slots of the table: runs that wrap around.
static uint64_t at_the_end(size_t number)
{
	return 0xfffffffffffffffcU + number % 4;
}

static void agrees_where_runs_wrap(void **state)
{
	(void)state;
	for (unsigned seed = 0; seed < 200; seed++) {
		struct testing_random random = {seed};
		struct rds_table table;
		size_t used = 0;
		memset(there, 0, sizeof there);
		rds_table_init(&table);
		for (int round = 0; round < 200; round++) {
			size_t i = random_below(&random, 12);
			used = flip(&table, i, at_the_end(i), used);
			for (size_t k = 0; k < 12; k++)
				assert_ptr_equal(find(&table, at_the_end(k), (int)k),
				                 there[k] ? &numbers[k] : NULL);
		}
		check_walk(&table, used);
		rds_table_clear(&table);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(hash_has_known_answers),
	        cmocka_unit_test(hash_depends_on_the_seed),
	        cmocka_unit_test(empty_table_is_harmless),
	        cmocka_unit_test(finds_by_match_and_removes_by_identity),
	        cmocka_unit_test(guesses_what_is_found),
	        cmocka_unit_test(agrees_with_an_array),
	        cmocka_unit_test(agrees_where_runs_wrap),
	};
	return cmocka_run_group_tests_name("table", tests, NULL, NULL);
}
