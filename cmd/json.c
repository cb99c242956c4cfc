// SPDX-License-Identifier: MIT
#include "cmd/json.h"

#include "core/alloc.h"
#include "core/text.h"

#include <stdio.h>
#include <stdlib.h>

// cJSON returns NULL only when it is out of memory.
static void *checked(void *p)
{
	if (p == NULL)
		abort();
	return p;
}

void rds_json_text(cJSON *json, const char *name, const char *text)
{
	(void)checked(cJSON_AddStringToObject(json, name, text));
}

void rds_json_bytes(cJSON *json, const char *name, struct rds_view bytes)
{
	char text[512];
	rds_json_text(json, name, rds_text_escape(bytes, text, sizeof text));
}

void rds_json_number(cJSON *json, const char *name, uint64_t number)
{
	(void)checked(cJSON_AddNumberToObject(json, name, (double)number));
}

void rds_json_switch(cJSON *json, const char *name, bool on)
{
	(void)checked(cJSON_AddBoolToObject(json, name, on));
}

cJSON *rds_json_object(cJSON *json, const char *name)
{
	return checked(cJSON_AddObjectToObject(json, name));
}

cJSON *rds_json_array(cJSON *json, const char *name)
{
	return checked(cJSON_AddArrayToObject(json, name));
}

cJSON *rds_json_item(cJSON *array)
{
	cJSON *item = checked(cJSON_CreateObject());
	(void)cJSON_AddItemToArray(array, item);
	return item;
}

void rds_json_text_item(cJSON *array, const char *text)
{
	(void)cJSON_AddItemToArray(array, checked(cJSON_CreateString(text)));
}

cJSON *rds_json_answer(const char *error)
{
	cJSON *json = checked(cJSON_CreateObject());
	rds_json_switch(json, "ok", error == NULL);
	if (error != NULL)
		rds_json_text(json, "error", error);
	return json;
}

cJSON *rds_json_wrong_use(const char *error)
{
	cJSON *json = rds_json_answer(error);
	rds_json_switch(json, "usage", true);
	return json;
}

cJSON *rds_json_refusal(int rc, const struct rds_error *err)
{
	return rc == -RDS_EINVAL ? rds_json_wrong_use(err->text) : rds_json_answer(err->text);
}

char *rds_json_print(const cJSON *json)
{
	return checked(cJSON_PrintUnformatted(json));
}

// A value that isn't made of others, as text. Fresh memory.
static char *scalar_text(const cJSON *value)
{
	char text[2048];
	if (cJSON_IsString(value))
		return rds_strdup(
		        rds_text_escape(rds_view_text(value->valuestring), text, sizeof text));
	if (cJSON_IsBool(value))
		return rds_strdup(cJSON_IsTrue(value) ? "yes" : "no");
	return rds_json_print(value);
}

// A scalar, or a list of them, as text. Fresh memory.
static char *value_text(const cJSON *value)
{
	if (!cJSON_IsArray(value))
		return scalar_text(value);
	char *list = rds_strdup("");
	for (const cJSON *item = value->child; item != NULL; item = item->next) {
		char *one = scalar_text(item);
		char *longer = rds_asprintf("%s%s%s", list, list[0] == '\0' ? "" : ", ", one);
		free(one);
		free(list);
		list = longer;
	}
	return list;
}

static bool is_table(const cJSON *value)
{
	return cJSON_IsArray(value) && cJSON_IsObject(value->child);
}

#define COLUMNS 16

// The width of each column: that of its longest text.
static void measure(const cJSON *table, int widths[COLUMNS])
{
	const cJSON *row = NULL;
	cJSON_ArrayForEach(row, table)
	{
		int i = 0;
		for (const cJSON *cell = row->child; cell != NULL && i < COLUMNS;
		     cell = cell->next) {
			char *text = value_text(cell);
			int width = (int)strlen(text);
			int name = (int)strlen(cell->string);
			widths[i] = width > widths[i] ? width : widths[i];
			widths[i] = name > widths[i] ? name : widths[i];
			i++;
			free(text);
		}
	}
}

static void show_table(const cJSON *table)
{
	int widths[COLUMNS] = {0};
	int i = 0;
	measure(table, widths);
	for (const cJSON *cell = table->child->child; cell != NULL && i < COLUMNS;
	     cell = cell->next)
		(void)printf("%-*s  ", widths[i++], cell->string);
	(void)putchar('\n');
	const cJSON *row = NULL;
	cJSON_ArrayForEach(row, table)
	{
		i = 0;
		for (const cJSON *cell = row->child; cell != NULL && i < COLUMNS;
		     cell = cell->next) {
			char *text = value_text(cell);
			(void)printf("%-*s  ", widths[i++], text);
			free(text);
		}
		(void)putchar('\n');
	}
}

// Answers are three objects deep at most.
static void show_members(const cJSON *json, int indent) // NOLINT(misc-no-recursion)
{
	for (const cJSON *member = json->child; member != NULL; member = member->next) {
		if (strcmp(member->string, "ok") == 0)
			continue;
		if (is_table(member)) {
			show_table(member);
		} else if (cJSON_IsObject(member)) {
			(void)printf("%*s%s:\n", indent, "", member->string);
			show_members(member, indent + 2);
		} else {
			char *text = value_text(member);
			(void)printf("%*s%s: %s\n", indent, "", member->string, text);
			free(text);
		}
	}
}

void rds_json_show(const cJSON *json)
{
	show_members(json, 0);
}
