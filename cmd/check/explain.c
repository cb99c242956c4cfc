// SPDX-License-Identifier: MIT
// --explain: finds messages by what people have of them.
#include "cmd/check/explain.h"

#include "cmd/check/check.h"
#include "cmd/cmd.h"
#include "cmd/json.h"
#include "core/alloc.h"
#include "core/text.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

// --- what fits

// What surrounds a message where it is quoted.
static bool is_edge(char c)
{
	return c != '\0' && strchr(" \t\r\n\"'`.!:", c) != NULL;
}

// In small letters, with one space between words and nothing around them. Fresh memory.
static char *plain(const char *text)
{
	char *out = rds_strdup(text);
	size_t n = 0;
	for (const char *c = text; *c != '\0'; c++) {
		bool space = isspace((unsigned char)*c) != 0;
		if (n == 0 && is_edge(*c))
			continue;
		if (space && out[n - 1] == ' ')
			continue;
		out[n++] = space ? ' ' : (char)tolower((unsigned char)*c);
	}
	while (n > 0 && is_edge(out[n - 1]))
		n--;
	out[n] = '\0';
	return out;
}

// Both are plain.
static unsigned how_well(const char *message, const char *text)
{
	size_t len = strlen(message);
	const char *at = strstr(message, text);
	if (at != NULL)
		return strcmp(message, text) == 0 ? 100 : at == message ? 80 : 60;
	if (len < 5 || strstr(text, message) == NULL)
		return 0;
	return len > 60 ? 55 : 40 + (unsigned)len / 4; // a line that holds more of it says more
}

static bool has_all_words(const char *in, const char *text)
{
	char *words = rds_strdup(text);
	char *rest = NULL;
	bool all = true;
	for (char *word = strtok_r(words, " ,;:", &rest); word != NULL && all;
	     word = strtok_r(NULL, " ,;:", &rest))
		all = strstr(in, word) != NULL;
	free(words);
	return all;
}

static unsigned fits_also(const struct explain_row *row, const char *wanted)
{
	unsigned best = 0;
	char *forms = rds_strdup(row->also == NULL ? "" : row->also);
	char *rest = NULL;
	for (char *form = strtok_r(forms, "|", &rest); form != NULL;
	     form = strtok_r(NULL, "|", &rest)) {
		char *message = plain(form);
		unsigned fits = how_well(message, wanted);
		if (fits > 5 && fits - 5 > best)
			best = fits - 5;
		free(message);
	}
	free(forms);
	return best;
}

unsigned explain_fits(const struct explain_row *row, const char *text)
{
	char *wanted = plain(text);
	char *message = plain(row->message);
	unsigned best = 0;
	if (wanted[0] != '\0') {
		unsigned also = fits_also(row, wanted);
		best = how_well(message, wanted);
		best = also > best ? also : best;
		if (best == 0 && has_all_words(message, wanted))
			best = 10;
	}
	free(message);
	free(wanted);
	return best;
}

struct found {
	const struct explain_row *row;
	unsigned fits;
};

static int compare(const void *a, const void *b)
{
	const struct found *one = a;
	const struct found *other = b;
	if (one->fits != other->fits)
		return one->fits > other->fits ? -1 : 1;
	return one->row < other->row ? -1 : 1;
}

// Best first; all of them in the table's order where nothing is asked for.
static size_t find(const char *text, struct found *out)
{
	size_t n = 0;
	for (size_t i = 0; i < explain_n_rows; i++) {
		unsigned fits = text[0] == '\0' ? 1 : explain_fits(&explain_rows[i], text);
		if (fits > 0)
			out[n++] = (struct found){&explain_rows[i], fits};
	}
	if (n > 1)
		qsort(out, n, sizeof *out, compare);
	return n;
}

// --- showing it

static void show_json(const struct found *found, size_t n)
{
	cJSON *json = cJSON_CreateObject();
	cJSON *array = rds_json_array(json, "messages");
	for (size_t i = 0; i < n; i++) {
		cJSON *item = rds_json_item(array);
		rds_json_text(item, "message", found[i].row->message);
		rds_json_text(item, "means", found[i].row->means);
		rds_json_text(item, "tell", found[i].row->tell);
		rds_json_text(item, "fix", found[i].row->fix);
	}
	char *text = rds_json_print(json);
	(void)puts(text);
	free(text);
	cJSON_Delete(json);
}

static void show(const struct found *found, size_t n, bool names_only)
{
	for (size_t i = 0; i < n; i++) {
		const struct explain_row *row = found[i].row;
		if (names_only)
			(void)puts(row->message);
		else
			(void)printf("%s%s: %s\n  How to tell: %s\n  What to do: %s\n",
			             i == 0 ? "" : "\n", row->message, row->means, row->tell,
			             row->fix);
	}
}

int check_explain(const char *text, bool json)
{
	char *wanted = plain(text);
	bool all = text[0] == '\0';
	struct found *found = rds_calloc(explain_n_rows, sizeof *found);
	size_t n = all || wanted[0] != '\0' ? find(wanted, found) : 0;
	free(wanted);
	if (json)
		show_json(found, n);
	else
		show(found, n, all);
	free(found);
	if (n > 0)
		return RDS_EXIT_OK;
	char shown[256];
	(void)fprintf(stderr,
	              "rdsrv check: no message is known that has \"%s\" in it: a shorter part of "
	              "it may be; --explain alone lists all\n",
	              rds_text_escape(rds_view_text(text), shown, sizeof shown));
	return RDS_EXIT_PROBLEM;
}
