// SPDX-License-Identifier: MIT
#include "core/error.h"

#include <stdarg.h>
#include <stdio.h>

int rds_fail(struct rds_error *err, enum rds_code code, const char *fmt, ...)
{
	if (err != NULL) {
		va_list args;
		va_start(args, fmt);
		(void)vsnprintf(err->text, sizeof err->text, fmt, args);
		va_end(args);
	}
	return -(int)code;
}
