// SPDX-License-Identifier: MIT
#include "core/alloc.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void *checked(void *p)
{
	if (p == NULL) {
		(void)fputs("rdsrv: out of memory\n", stderr);
		abort();
	}
	return p;
}

void *rds_calloc(size_t n, size_t size)
{
	return checked(calloc(n > 0 ? n : 1, size));
}

void *rds_realloc(void *old, size_t n, size_t size)
{
	if (size != 0 && n > SIZE_MAX / size)
		return checked(NULL);
	return checked(realloc(old, n * size > 0 ? n * size : 1));
}

char *rds_strdup(const char *text)
{
	return text == NULL ? NULL : checked(strdup(text));
}

char *rds_strndup(const void *bytes, size_t len)
{
	char *copy = rds_calloc(len + 1, 1);
	if (len > 0)
		memcpy(copy, bytes, len);
	return copy;
}

char *rds_asprintf(const char *fmt, ...)
{
	va_list args;
	va_start(args, fmt);
	int len = vsnprintf(NULL, 0, fmt, args);
	va_end(args);
	if (len < 0)
		return checked(NULL);
	char *text = rds_calloc((size_t)len + 1, 1);
	va_start(args, fmt);
	(void)vsnprintf(text, (size_t)len + 1, fmt, args);
	va_end(args);
	return text;
}
