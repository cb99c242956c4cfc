// SPDX-License-Identifier: MIT
#include "conf/addr_list.h"

#include "core/alloc.h"
#include "core/text.h"

#include <stdlib.h>

// Takes the next line off the contents, with its end. false: there is none.
static bool take_line(struct rds_view *contents, struct rds_view *line)
{
	if (contents->len == 0)
		return false;
	const uint8_t *newline = memchr(contents->data, '\n', contents->len);
	size_t len = newline == NULL ? contents->len : (size_t)(newline - contents->data) + 1;
	*line = rds_view_of(contents->data, len);
	*contents = rds_view_of(contents->data + len, contents->len - len);
	return true;
}

// The line without its comment and the white space around it.
static struct rds_view strip(struct rds_view line)
{
	const uint8_t *comment = memchr(line.data, '#', line.len);
	return rds_view_trim(
	        rds_view_of(line.data, comment == NULL ? line.len : (size_t)(comment - line.data)));
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
	struct rds_view line;
	*out = (struct rds_cidrs){0};
	for (size_t number = 1; take_line(&contents, &line); number++) {
		struct rds_cidr one;
		bool is_text = memchr(line.data, '\0', line.len) == NULL;
		line = is_text ? strip(line) : rds_view_trim(line);
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
		if ((out->n & (out->n - 1)) == 0) // full: doubled, since lists may be long
			out->items = rds_realloc(out->items, out->n * 2 + 1, sizeof one);
		out->items[out->n++] = one;
	}
	out->n = rds_cidrs_sort(out->items, out->n);
	return 0;
}

char *rds_addr_list_without(struct rds_view contents, const struct rds_cidr *net, size_t *removed)
{
	struct rds_view line;
	char *out = rds_calloc(contents.len + 1, 1);
	size_t len = 0;
	*removed = 0;
	while (take_line(&contents, &line)) {
		struct rds_cidr one;
		if (parse(strip(line), &one) && one.bits == net->bits &&
		    rds_ip_equal(&one.ip, &net->ip)) {
			++*removed;
			continue;
		}
		memcpy(out + len, line.data, line.len);
		len += line.len;
	}
	return out;
}

char *rds_addr_list_with(struct rds_view contents, const char *net)
{
	bool ends = contents.len == 0 || contents.data[contents.len - 1] == '\n';
	return rds_asprintf("%.*s%s%s\n", (int)contents.len, (const char *)contents.data,
	                    ends ? "" : "\n", net);
}
