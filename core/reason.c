// SPDX-License-Identifier: MIT
#include "core/reason.h"

static const struct {
	const char *name;
	const char *text;
} reasons[RDS_REASON_COUNT] = {
#define RDS_REASON_ROW(id, name, text) {name, text},
        RDS_REASONS(RDS_REASON_ROW)
#undef RDS_REASON_ROW
};

const char *rds_reason_name(enum rds_reason why)
{
	return (unsigned)why < RDS_REASON_COUNT ? reasons[why].name : "?";
}

const char *rds_reason_text(enum rds_reason why)
{
	return (unsigned)why < RDS_REASON_COUNT ? reasons[why].text : "?";
}
