// SPDX-License-Identifier: MIT
// Goal: any payload, in any room, becomes a line that fits, ends, and holds no control byte; what
// was decoded and is encoded again is described as a message.
#include "test/fuzz/fuzzing.h"

#include "core/message.h"
#include "core/message_text.h"
#include "core/text.h"

static void must_be_printable(struct rds_view text)
{
	while (text.len > 0) {
		uint32_t code = 0;
		size_t n = rds_utf8_next(text, &code);
		must(n > 0);
		must(!rds_char_is_unsafe(code));
		text.data += n;
		text.len -= n;
	}
}

static void describe(struct rds_view payload, size_t cap)
{
	char *line = malloc(cap);
	must(line != NULL);
	size_t len = rds_message_describe(payload, line, cap);
	must(len < cap);
	must(strlen(line) == len);
	must_be_printable(rds_view_of(line, len));
	free(line);
}

// The decoder is more lenient than we: it skips numbers of any length.
static void describe_again(struct rds_view payload)
{
	rds_message msg;
	uint8_t bytes[4096];
	char line[64];
	if (rds_message_decode(payload, &msg) != 0)
		return;
	long len = rds_message_encode(&msg, bytes, sizeof bytes);
	must(len > 0);
	(void)rds_message_describe(rds_view_of(bytes, (size_t)len), line, sizeof line);
	must(line[0] >= 'A' && line[0] <= 'Z');
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct rds_view input = rds_view_of(data, size);
	size_t cap = (size_t)take_byte(&input) + 1;
	uint8_t *copy = exact_copy(input);
	describe(rds_view_of(copy, input.len), cap);
	describe(rds_view_of(copy, input.len), 4096);
	describe_again(rds_view_of(copy, input.len));
	free(copy);
	return 0;
}
