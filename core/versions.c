// SPDX-License-Identifier: MIT
#include "core/versions.h"

#include "core/alloc.h"
#include "core/text.h"

#include <stdlib.h>

void rds_versions_clear(struct rds_versions *versions)
{
	free(versions->items);
	*versions = (struct rds_versions){0};
}

static struct rds_view text_of(const struct rds_version *version)
{
	return rds_view_of(version->text, version->len);
}

// A place of its own for a new text: a free one, or one more.
static struct rds_version *make_place(struct rds_versions *versions)
{
	for (size_t i = 0; i < versions->n; i++)
		if (versions->items[i].users == 0)
			return &versions->items[i];
	if (versions->n == RDS_VERSIONS)
		return NULL;
	versions->items = rds_realloc(versions->items, versions->n + 1U, sizeof *versions->items);
	struct rds_version *place = &versions->items[versions->n++];
	place->users = 0;
	return place;
}

static struct rds_version *find(const struct rds_versions *versions, struct rds_view text)
{
	for (size_t i = 0; i < versions->n; i++)
		if (versions->items[i].users > 0 &&
		    rds_view_equal(text_of(&versions->items[i]), text))
			return &versions->items[i];
	return NULL;
}

uint16_t rds_versions_take(struct rds_versions *versions, struct rds_view text)
{
	if (text.len == 0 || text.len > RDS_VERSION_MAX_BYTES || !rds_text_is_id(text))
		return 0;
	struct rds_version *version = find(versions, text);
	if (version == NULL) {
		version = make_place(versions);
		if (version == NULL)
			return 0;
		version->len = (uint8_t)text.len;
		memcpy(version->text, text.data, text.len);
	}
	version->users++;
	return (uint16_t)(version - versions->items + 1);
}

void rds_versions_release(struct rds_versions *versions, uint16_t number)
{
	if (number > 0)
		versions->items[number - 1].users--;
}

struct rds_view rds_versions_text(const struct rds_versions *versions, uint16_t number)
{
	return number == 0 ? rds_view_of(NULL, 0) : text_of(&versions->items[number - 1]);
}
