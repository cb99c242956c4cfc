// SPDX-License-Identifier: MIT
// Goal: a buffer gives back what was added, in order, and holds no memory when it is empty.
#include "test/unit/testing.h"

#include "core/alloc.h"
#include "net/buffer.h"

#include <stdlib.h>

static struct rds_view held(const struct rds_buffer *buffer)
{
	return rds_view_of(buffer->len == 0 ? NULL : rds_buffer_data(buffer), buffer->len);
}

static void add_text(struct rds_buffer *buffer, const char *text)
{
	rds_buffer_add(buffer, (const uint8_t *)text, strlen(text));
}

static void gives_back_in_order(void **state)
{
	(void)state;
	struct rds_buffer buffer = {0};
	add_text(&buffer, "hello");
	add_text(&buffer, ", world");
	assert_view_text(held(&buffer), "hello, world");
	rds_buffer_drop(&buffer, 7);
	assert_view_text(held(&buffer), "world");
	add_text(&buffer, "!");
	assert_view_text(held(&buffer), "world!");
	rds_buffer_clear(&buffer);
}

static void holds_nothing_when_empty(void **state)
{
	(void)state;
	struct rds_buffer buffer = {0};
	rds_buffer_add(&buffer, NULL, 0);
	assert_null(buffer.bytes);
	add_text(&buffer, "abc");
	rds_buffer_drop(&buffer, 0);
	assert_view_text(held(&buffer), "abc");
	rds_buffer_drop(&buffer, 3);
	assert_null(buffer.bytes);
	assert_int_equal(buffer.cap, 0);
	assert_int_equal(buffer.start, 0);
	add_text(&buffer, "d");
	assert_view_text(held(&buffer), "d");
	rds_buffer_clear(&buffer);
	assert_null(buffer.bytes);
	assert_int_equal(buffer.len, 0);
	rds_buffer_clear(&buffer);
}

// Bytes that are written behind what is held, and then made part of it.
static void has_room(void **state)
{
	(void)state;
	struct rds_buffer buffer = {0};
	add_text(&buffer, "hello");
	rds_buffer_drop(&buffer, 4);
	for (size_t n = 0; n < 300; n += 7) {
		size_t len = buffer.len;
		memset(rds_buffer_room(&buffer, n), 'x', n);
		assert_int_equal(buffer.len, len);
		assert_true(buffer.cap - buffer.start - buffer.len >= n);
		buffer.len += n;
		assert_int_equal(rds_buffer_data(&buffer)[0], 'o');
		assert_int_equal(rds_buffer_data(&buffer)[buffer.len - 1], n == 0 ? 'o' : 'x');
	}
	rds_buffer_clear(&buffer);
}

// Whatever is added and dropped: what is held is the middle of all that was added.
static void agrees_with_a_plain_string(void **state)
{
	(void)state;
	struct testing_random random = {7};
	size_t size = 1 << 20;
	uint8_t *all = rds_calloc(size, 1);
	random_bytes(&random, all, size);
	struct rds_buffer buffer = {0};
	size_t added = 0;
	size_t dropped = 0;
	while (added < size) {
		size_t n = random_below(&random, 2000);
		n = n < size - added ? n : size - added;
		rds_buffer_add(&buffer, all + added, n);
		added += n;
		n = random_below(&random, 2 * (added - dropped) + 1);
		n = n < added - dropped ? n : added - dropped;
		rds_buffer_drop(&buffer, n);
		dropped += n;
		assert_views_equal(held(&buffer), rds_view_of(all + dropped, added - dropped));
	}
	rds_buffer_clear(&buffer);
	free(all);
}

// A reader that takes as much as comes must not make the memory grow.
static void stays_small_while_it_flows(void **state)
{
	(void)state;
	static const uint8_t chunk[100] = {0};
	struct rds_buffer buffer = {0};
	rds_buffer_add(&buffer, chunk, sizeof chunk);
	for (int i = 0; i < 100000; i++) {
		rds_buffer_add(&buffer, chunk, 10);
		rds_buffer_drop(&buffer, 10);
	}
	assert_int_equal(buffer.len, 100);
	assert_true(buffer.cap <= 1000);
	rds_buffer_clear(&buffer);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(gives_back_in_order),
	        cmocka_unit_test(holds_nothing_when_empty),
	        cmocka_unit_test(has_room),
	        cmocka_unit_test(agrees_with_a_plain_string),
	        cmocka_unit_test(stays_small_while_it_flows),
	};
	return cmocka_run_group_tests_name("buffer", tests, NULL, NULL);
}
