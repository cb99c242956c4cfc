// SPDX-License-Identifier: MIT
// Goal: which checks are wanted by --only and --skip, names and groups; results in the catalogue's
// order, whole and clean, from however many threads.
#include "test/unit/testing.h"

#include "cmd/check/check.h"

#include <stdlib.h>

static bool wants(const char *only, const char *skip, const char *name)
{
	struct check check = {.options = {.only = only, .skip = skip}};
	return check_wants(&check, name);
}

static void all_by_default(void **state)
{
	(void)state;
	for (size_t i = 0; i < check_n_rows; i++)
		assert_true(wants(NULL, NULL, check_rows[i].name));
	assert_true(wants(NULL, NULL, "listen.21116/udp"));
}

static void only_names_and_groups(void **state)
{
	(void)state;
	assert_true(wants("nat", NULL, "nat"));
	assert_false(wants("nat", NULL, "punch"));
	assert_true(wants("relay", NULL, "relay.tcp"));
	assert_true(wants("nat, relay", NULL, "relay.key"));
	assert_false(wants("relay.tcp", NULL, "relay.ws"));
	// A group is a whole word before a dot; a check may be one, too.
	assert_false(wants("rela", NULL, "relay.tcp"));
	assert_false(wants("relay.t", NULL, "relay.tcp"));
	assert_true(wants("punch", NULL, "punch.key"));
	assert_false(wants("punch.key", NULL, "punch"));
	// What is asked for by another option.
	assert_true(wants("nat", NULL, "compare.udp"));
	assert_false(wants("nat", "compare", "compare.udp"));
}

static void skipped_names_and_groups(void **state)
{
	(void)state;
	assert_false(wants(NULL, "nat", "nat"));
	assert_true(wants(NULL, "nat", "online"));
	assert_false(wants(NULL, "relay", "relay.tcp"));
	assert_true(wants(NULL, "relay.tcp", "relay.ws"));
	assert_false(wants("relay", "relay.tcp", "relay.tcp")); // skip goes first
	assert_true(wants("relay", "relay.tcp", "relay.ws"));
}

static void ports_by_name(void **state)
{
	(void)state;
	assert_true(wants("listen", NULL, "listen.21116/udp"));
	assert_true(wants("listen.21116/udp", NULL, "listen.21116/udp"));
	assert_false(wants("listen.21116/udp", NULL, "listen.21116/tcp"));
	assert_false(wants(NULL, "listen.21116/udp", "listen.21116/udp"));
	assert_true(wants(NULL, "listen.21116/udp", "listen.21116/tcp"));
	// Whether their script is to run at all.
	assert_true(wants("listen.21116/udp", NULL, "listen."));
	assert_true(wants(NULL, "listen.21116/udp", "listen."));
	assert_false(wants("nat", NULL, "listen."));
}

static void known_words(void **state)
{
	(void)state;
	static const char *const good[] = {
	        "nat",     "relay", "relay.tcp,nat", "listen", "listen.21116/udp", " nat , punch ",
	        "compare", ""};
	for (size_t i = 0; i < COUNT(good); i++)
		assert_null(check_unknown_word(good[i]));
	static const char *const bad[][2] = {
	        {"natt", "natt"},     {"nat,xyz,abc", "xyz"}, {"Nat", "Nat"},
	        {"relay.", "relay."}, {"listen.", "listen."}, {"relay.tc", "relay.tc"},
	        {"rela", "rela"},     {"nat.x", "nat.x"},
	};
	for (size_t i = 0; i < COUNT(bad); i++) {
		char *word = check_unknown_word(bad[i][0]);
		assert_non_null(word);
		assert_string_equal(word, bad[i][1]);
		free(word);
	}
}

static void names_are_sound(void **state)
{
	(void)state;
	for (size_t i = 0; i < check_n_rows; i++) {
		const struct check_row *row = &check_rows[i];
		assert_int_equal(strspn(row->name, "abcdefghijklmnopqrstuvwxyz0123456789.-"),
		                 strlen(row->name));
		assert_true(strlen(row->name) < sizeof((struct check_result *)0)->name);
		assert_true(row->where == CHECK_HERE || row->where == CHECK_ELSEWHERE ||
		            row->where == CHECK_ANYWHERE);
		assert_true(strlen(row->about) > 10);
		bool many = row->name[strlen(row->name) - 1] == '.';
		assert_int_equal(check_place(row->name), many ? check_n_rows : i);
	}
	assert_int_equal(check_place("xyz"), check_n_rows);
	assert_int_equal(check_place(""), check_n_rows);
	assert_true(check_place("listen.1/tcp") < check_place("firewall"));
}

// --- results

static void add(struct check *check, const char *name)
{
	struct check_result result;
	check_begin(&result, name);
	check_ok(&result, "fine");
	check_end(check, &result);
}

static void in_the_catalogue_s_order(void **state)
{
	(void)state;
	static const char *const given[] = {"clock",      "xyz",        "listen.21116/udp",
	                                    "nat",        "files.keys", "listen.21116/tcp",
	                                    "service.id", "abc"};
	static const char *const sorted[] = {
	        "files.keys", "service.id", "listen.21116/tcp", "listen.21116/udp", "nat", "clock",
	        "abc",        "xyz"};
	struct check check = {0};
	(void)pthread_mutex_init(&check.lock, NULL);
	check_sort(&check); // none
	for (size_t i = 0; i < COUNT(given); i++)
		add(&check, given[i]);
	check_sort(&check);
	assert_int_equal(check.n_results, COUNT(sorted));
	for (size_t i = 0; i < COUNT(sorted); i++)
		assert_string_equal(check.results[i].name, sorted[i]);
	free(check.results);
}

static void the_last_word_counts(void **state)
{
	(void)state;
	struct check_result result;
	check_begin(&result, "nat");
	assert_int_equal(result.status, CHECK_SKIP);
	check_fail(&result, "port %d", 1);
	check_fix(&result, "open %d", 1);
	assert_int_equal(result.status, CHECK_FAIL);
	assert_string_equal(result.detail, "port 1");
	assert_string_equal(result.fix, "open 1");
	check_ok(&result, "fine");
	assert_int_equal(result.status, CHECK_OK);
	assert_string_equal(result.fix, ""); // no advice is left of what was said before
	check_warn(&result, "hm");
	assert_int_equal(result.status, CHECK_WARN);
	check_skip(&result, "no");
	assert_int_equal(result.status, CHECK_SKIP);
}

static void only_what_is_wanted_is_kept(void **state)
{
	(void)state;
	struct check check = {.options = {.only = "nat"}};
	(void)pthread_mutex_init(&check.lock, NULL);
	add(&check, "punch");
	check_skipped(&check, "online", "why");
	check_skipped(&check, "nat", "because");
	assert_int_equal(check.n_results, 1);
	assert_string_equal(check.results[0].detail, "because");
	free(check.results);
}

static void strangers_bytes_are_cleaned(void **state)
{
	(void)state;
	struct check check = {0};
	struct check_result result;
	char much[2000];
	(void)pthread_mutex_init(&check.lock, NULL);
	check_begin(&result, "nat");
	check_fail(&result, "said \"%s\"", "\x1b[31m\r\n\x07\xff\xe2\x80\xae");
	check_fix(&result, "a\tb \xc3\xa4");
	check_end(&check, &result);
	assert_string_equal(check.results[0].detail,
	                    "said \"\\x1b[31m\\x0d\\x0a\\x07\\xff\\u202e\"");
	assert_string_equal(check.results[0].fix, "a\\x09b \xc3\xa4");
	memset(much, 0x1b, sizeof much - 1);
	much[sizeof much - 1] = '\0';
	check_begin(&result, "online");
	check_fail(&result, "%s", much);
	check_fix(&result, "%s", much);
	check_end(&check, &result);
	assert_true(strlen(check.results[1].detail) < sizeof check.results[1].detail);
	assert_null(strchr(check.results[1].detail, 0x1b));
	assert_null(strchr(check.results[1].fix, 0x1b));
	free(check.results);
}

static void *add_many(void *arg)
{
	for (int i = 0; i < 200; i++)
		add(arg, "nat");
	return NULL;
}

static void from_several_threads(void **state)
{
	(void)state;
	struct check check = {0};
	pthread_t threads[4];
	(void)pthread_mutex_init(&check.lock, NULL);
	for (size_t i = 0; i < COUNT(threads); i++)
		assert_int_equal(pthread_create(&threads[i], NULL, add_many, &check), 0);
	for (size_t i = 0; i < COUNT(threads); i++)
		(void)pthread_join(threads[i], NULL);
	assert_int_equal(check.n_results, 200 * COUNT(threads));
	for (size_t i = 0; i < check.n_results; i++)
		assert_string_equal(check.results[i].name, "nat");
	free(check.results);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(all_by_default),
	        cmocka_unit_test(only_names_and_groups),
	        cmocka_unit_test(skipped_names_and_groups),
	        cmocka_unit_test(ports_by_name),
	        cmocka_unit_test(known_words),
	        cmocka_unit_test(names_are_sound),
	        cmocka_unit_test(in_the_catalogue_s_order),
	        cmocka_unit_test(the_last_word_counts),
	        cmocka_unit_test(only_what_is_wanted_is_kept),
	        cmocka_unit_test(strangers_bytes_are_cleaned),
	        cmocka_unit_test(from_several_threads),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
