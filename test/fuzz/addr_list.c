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

// It can be parsed and has so many lines; is the network (if any) in it?
static bool has(struct rds_view text, size_t lines, const struct rds_cidr *net)
{
	struct rds_cidrs list;
	must(count_lines(text) == lines);
	must(rds_addr_list_parse(text, "list", &list, NULL) == 0);
	must(list.n <= lines && (list.n > 0) == (lines > 0));
	bool found = rds_cidrs_find(list.items, list.n, &net->ip);
	must(found == rds_cidrs_hold(list.items, list.n, &net->ip));
	rds_cidrs_free(&list);
	return found;
}

static void put_in_and_take_out(struct rds_view text, const char *net)
{
	struct rds_cidr one;
	size_t before;
	size_t removed;
	size_t lines = count_lines(text);
	if (rds_cidr_parse(net, &one) != 0)
		return;
	char *without = rds_addr_list_without(text, &one, &before);
	char *with = rds_addr_list_with(rds_view_text(without), net);
	must(has(text, lines, &one) || before == 0);
	(void)has(rds_view_text(without), lines - before, &one);
	must(has(rds_view_text(with), lines - before + 1, &one));
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
