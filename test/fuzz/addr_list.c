// SPDX-License-Identifier: MIT
// Goal: a file of addresses is taken line by line or refused with the number of a line, and lines
// go in and out of it without touching the others.
#include "test/fuzz/fuzzing.h"

#include "conf/addr_list.h"

// Lines that are neither empty nor comments.
static size_t count_lines(struct rds_view text)
{
	size_t n = 0;
	bool counts = false;
	bool comment = false;
	for (size_t i = 0; i <= text.len; i++) {
		uint8_t c = i < text.len ? text.data[i] : '\n';
		if (c == '\n') {
			n += counts;
			counts = comment = false;
			continue;
		}
		comment = comment || c == '#';
		counts = counts || (!comment && strchr(" \t\v\f\r", c) == NULL);
	}
	return n;
}

static size_t parse(struct rds_view text)
{
	struct rds_cidrs list;
	must(rds_addr_list_parse(text, "list", &list, NULL) == 0);
	size_t n = list.n;
	must(n == count_lines(text));
	rds_cidrs_free(&list);
	return n;
}

static void put_in_and_take_out(struct rds_view text, const char *net)
{
	struct rds_cidr one;
	size_t before;
	size_t removed;
	if (rds_cidr_parse(net, &one) != 0)
		return;
	char *without = rds_addr_list_without(text, &one, &before);
	char *with = rds_addr_list_with(rds_view_text(without), net);
	must(parse(rds_view_text(without)) + before == parse(text));
	must(parse(rds_view_text(with)) + before == parse(text) + 1);
	char *again = rds_addr_list_without(rds_view_text(with), &one, &removed);
	must(removed == 1);
	// But for the end of its last line, it is as it was.
	size_t len = strlen(without);
	must(strncmp(again, without, len) == 0);
	must(again[len] == '\0' || strcmp(again + len, "\n") == 0);
	free(without);
	free(with);
	free(again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct rds_view input = rds_view_of(data, size);
	struct rds_view net = take_bytes(&input, take_byte(&input) % 50U);
	struct rds_cidrs list;
	struct rds_error err = {""};
	char text[50] = {0};
	uint8_t *contents = exact_copy(input);
	memcpy(text, net.data, net.len);
	int rc = rds_addr_list_parse(rds_view_of(contents, input.len), "list", &list, &err);
	must(rc == 0 || (rc == -RDS_EINVAL && strncmp(err.text, "list:", 5) == 0));
	must(rc == 0 || (list.n == 0 && list.items == NULL));
	rds_cidrs_free(&list);
	if (rc == 0)
		put_in_and_take_out(rds_view_of(contents, input.len), text);
	free(contents);
	return 0;
}
