// SPDX-License-Identifier: MIT
#include "conf/addr_list.h"

#include "core/alloc.h"
#include "core/text.h"

#include <stdlib.h>

// The line without its comment and the white space around it.
static struct rds_view strip(const uint8_t *line, size_t len)
{
	const uint8_t *comment = memchr(line, '#', len);
	return rds_view_trim(
	        rds_view_of(line, comment == NULL ? len : (size_t)(comment - line)));
}

static bool parse(struct rds_view line, struct rds_cidr *out)
{
	char text[RDS_IP_TEXT + 4];
	if (line.len >= sizeof text || memchr(line.data, '\0', line.len) != NULL)
		return false;
	memcpy(text, line.data, line.len);
	text[line.len] = '\0';
	return rds_cidr_parse(text, out) == 0;
}

int rds_addr_list_parse(struct rds_view contents, const char *name, struct rds_cidrs *out,
                        struct rds_error *err)
{
	size_t number = 0;
	*out = (struct rds_cidrs){0};
	for (size_t at = 0; at < contents.len;) {
		const uint8_t *start = contents.data + at;
		const uint8_t *newline = memchr(start, '\n', contents.len - at);
		size_t len = newline == NULL ? contents.len - at : (size_t)(newline - start);
		struct rds_view line = strip(start, len);
		struct rds_cidr one;
		at += len + 1;
		number++;
		if (line.len == 0)
			continue;
		if (!parse(line, &one)) {
			char shown[100];
			rds_cidrs_free(out);
			return rds_fail(err, RDS_EINVAL,
			                "%s:%zu: \"%s\" is neither an address nor a network: "
			                "write 203.0.113.7, 198.51.100.0/24 or 2001:db8::/32",
			                name, number, rds_text_escape(line, shown, sizeof shown));
		}
		out->items = rds_realloc(out->items, out->n + 1, sizeof one);
		out->items[out->n++] = one;
	}
	return 0;
}
