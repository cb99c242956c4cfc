// SPDX-License-Identifier: MIT
// Making results and keeping them.
#include "cmd/check/check.h"

#include "core/alloc.h"
#include "core/text.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

uint64_t check_now_ms(void)
{
	struct timespec now;
	(void)clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

void check_begin(struct check_result *result, const char *name)
{
	*result = (struct check_result){.status = CHECK_SKIP, .began_ms = check_now_ms()};
	(void)snprintf(result->name, sizeof result->name, "%s", name);
}

static void say(struct check_result *result, enum check_status status, const char *fmt, va_list ap)
        __attribute__((format(printf, 3, 0)));

static void say(struct check_result *result, enum check_status status, const char *fmt, va_list ap)
{
	result->status = status;
	result->fix[0] = '\0';
	(void)vsnprintf(result->detail, sizeof result->detail, fmt, ap);
}

#define SAY(name, as)                                                \
	void name(struct check_result *result, const char *fmt, ...) \
	{                                                            \
		va_list ap;                                          \
		va_start(ap, fmt);                                   \
		say(result, as, fmt, ap);                            \
		va_end(ap);                                          \
	}
SAY(check_ok, CHECK_OK)
SAY(check_skip, CHECK_SKIP)
SAY(check_warn, CHECK_WARN)
SAY(check_fail, CHECK_FAIL)

void check_fix(struct check_result *result, const char *fmt, ...)
{
	va_list ap;
	va_start(ap, fmt);
	(void)vsnprintf(result->fix, sizeof result->fix, fmt, ap);
	va_end(ap);
}

// What strangers said may be in it.
static void clean(char *text, size_t cap)
{
	char *dirty = rds_strdup(text);
	(void)rds_text_printable(rds_view_text(dirty), text, cap);
	free(dirty);
}

// Clients were played with a port and a key that may not be the server's.
static bool is_guess(const struct check *check, const struct check_result *result)
{
	size_t place = check_place(result->name);
	return result->status == CHECK_FAIL && check_site_is_hidden(&check->site) &&
	       place >= check_place("udp.register") && place <= check_place("relay.name");
}

static void withdraw(struct check_result *result)
{
	char seen[sizeof result->detail];
	memcpy(seen, result->detail, sizeof seen);
	check_skip(result,
	           "%.440s; this user can't ask for the server's ports and key: run sudo "
	           "rdsrv check",
	           seen);
}

void check_end(struct check *check, struct check_result *result)
{
	if (!check_wants(check, result->name))
		return;
	if (is_guess(check, result))
		withdraw(result);
	clean(result->detail, sizeof result->detail);
	clean(result->fix, sizeof result->fix);
	result->ms = (unsigned)(check_now_ms() - result->began_ms);
	(void)pthread_mutex_lock(&check->lock);
	if (check->n_results == check->cap_results) {
		check->cap_results = check->cap_results * 2 + 32;
		check->results =
		        rds_realloc(check->results, check->cap_results, sizeof *check->results);
	}
	check->results[check->n_results++] = *result;
	(void)pthread_mutex_unlock(&check->lock);
}

void check_skipped(struct check *check, const char *name, const char *why)
{
	struct check_result result;
	check_begin(&result, name);
	check_skip(&result, "%s", why);
	check_end(check, &result);
}

static int compare(const void *a, const void *b)
{
	const struct check_result *one = a;
	const struct check_result *other = b;
	size_t i = check_place(one->name);
	size_t j = check_place(other->name);
	return i != j ? (i < j ? -1 : 1) : strcmp(one->name, other->name);
}

void check_sort(struct check *check)
{
	if (check->n_results > 1)
		qsort(check->results, check->n_results, sizeof *check->results, compare);
}
