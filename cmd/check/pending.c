// SPDX-License-Identifier: MIT
// Scripts that are not written yet: this file goes when they are.
#include "cmd/check/check.h"

#define PENDING(name)                  \
	void name(struct check *check) \
	{                              \
		(void)check;           \
	}
PENDING(check_firewall)

int check_compare(struct check *check, const char *path, struct rds_error *err)
{
	(void)check;
	(void)path;
	(void)err;
	return 0;
}
