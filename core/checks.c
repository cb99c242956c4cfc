// SPDX-License-Identifier: MIT
#include "core/checks.h"

#include "core/error.h"
#include "core/text.h"

#include <string.h>

bool rds_is_check(struct rds_view id_or_uuid)
{
	static const char prefix[] = RDS_CHECK_PREFIX;
	size_t len = sizeof prefix - 1;
	return id_or_uuid.len > len && memcmp(id_or_uuid.data, prefix, len) == 0;
}

// Where it is, or checks->n. Other ids, which are nearly all, cost a look at their first bytes.
static size_t find(const struct rds_checks *checks, struct rds_view id)
{
	size_t i = 0;
	if (!rds_is_check(id))
		return checks->n;
	while (i < checks->n &&
	       !rds_view_equal(rds_view_of(checks->ids[i].bytes, checks->ids[i].len), id))
		i++;
	return i;
}

static void take_out(struct rds_checks *checks, size_t i)
{
	checks->n--;
	memmove(checks->ids + i, checks->ids + i + 1, (checks->n - i) * sizeof checks->ids[0]);
}

int rds_checks_reserve(struct rds_checks *checks, uint64_t now_ms, struct rds_view id)
{
	if (!rds_is_check(id) || id.len > RDS_CHECK_ID_MAX_BYTES || !rds_text_is_id(id))
		return -RDS_EINVAL;
	if (rds_checks_has(checks, id))
		return -RDS_EEXIST;
	if (checks->n == RDS_CHECK_IDS)
		return -RDS_EFULL;
	struct rds_check_id *one = &checks->ids[checks->n++];
	*one = (struct rds_check_id){.until_ms = now_ms + RDS_CHECK_MS, .len = (uint8_t)id.len};
	memcpy(one->bytes, id.data, id.len);
	return 0;
}

bool rds_checks_has(const struct rds_checks *checks, struct rds_view id)
{
	return find(checks, id) < checks->n;
}

bool rds_checks_release(struct rds_checks *checks, struct rds_view id)
{
	size_t i = find(checks, id);
	if (i == checks->n)
		return false;
	take_out(checks, i);
	return true;
}

bool rds_checks_expire(struct rds_checks *checks, uint64_t now_ms, struct rds_check_id *out)
{
	if (checks->n == 0 || now_ms < checks->ids[0].until_ms)
		return false;
	*out = checks->ids[0];
	take_out(checks, 0);
	return true;
}
