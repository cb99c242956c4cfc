// SPDX-License-Identifier: MIT
// Goal: what all fuzzers share: the entry point, bytes taken off the input, and what must hold.
#ifndef RDS_TEST_FUZZ_FUZZING_H
#define RDS_TEST_FUZZ_FUZZING_H

#include "core/view.h"

#include <stdio.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

// A broken promise ends the run, with its place.
#define must(condition)                                                                  \
	do {                                                                             \
		if (!(condition)) {                                                      \
			(void)fprintf(stderr, "%s:%d: broken: %s\n", __FILE__, __LINE__, \
			              #condition);                                       \
			abort();                                                         \
		}                                                                        \
	} while (0)

// Takes from the front; zeros when the input is used up.
static inline uint8_t take_byte(struct rds_view *input)
{
	if (input->len == 0)
		return 0;
	input->len--;
	return *input->data++;
}

static inline uint16_t take_u16(struct rds_view *input)
{
	uint8_t low = take_byte(input);
	return (uint16_t)(low | take_byte(input) << 8);
}

// Up to len bytes.
static inline struct rds_view take_bytes(struct rds_view *input, size_t len)
{
	struct rds_view taken = rds_view_of(input->data, len < input->len ? len : input->len);
	if (taken.len > 0)
		input->data += taken.len;
	input->len -= taken.len;
	return taken;
}

// A copy of just that length, so that reading beyond it is noticed. free() it.
static inline uint8_t *exact_copy(struct rds_view v)
{
	uint8_t *copy = malloc(v.len > 0 ? v.len : 1);
	must(copy != NULL);
	if (v.len > 0)
		memcpy(copy, v.data, v.len);
	return copy;
}

#endif
