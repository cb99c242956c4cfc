// SPDX-License-Identifier: MIT
// Searching in texts, for the readers of forms.
#include "conf/form_private.h"

#include "core/alloc.h"

#include <stdlib.h>

void form_set(char **member, struct rds_view value)
{
	free(*member);
	*member = rds_strndup(value.data, value.len);
}

static struct rds_view from(struct rds_view text, size_t at)
{
	return rds_view_of(text.data + at, text.len - at);
}

bool form_begins(struct rds_view text, const char *with)
{
	size_t len = strlen(with);
	return text.len >= len && memcmp(text.data, with, len) == 0;
}

bool form_ends(struct rds_view text, const char *with)
{
	size_t len = strlen(with);
	return text.len >= len && memcmp(text.data + text.len - len, with, len) == 0;
}

size_t form_find(struct rds_view text, const char *part)
{
	const uint8_t *found =
	        text.len == 0 ? NULL : memmem(text.data, text.len, part, strlen(part));
	return found == NULL ? text.len : (size_t)(found - text.data);
}

bool form_next_line(struct rds_view *text, struct rds_view *line)
{
	if (text->len == 0)
		return false;
	size_t len = form_find(*text, "\n");
	*line = rds_view_trim(rds_view_of(text->data, len));
	*text = from(*text, len < text->len ? len + 1 : len);
	return true;
}

bool form_between(struct rds_view text, const char *before, const char *behind,
                  struct rds_view *out)
{
	size_t at = form_find(text, before);
	if (at == text.len)
		return false;
	struct rds_view rest = from(text, at + strlen(before));
	size_t len = form_find(rest, behind);
	*out = rds_view_of(rest.data, len);
	return len < rest.len;
}
