// SPDX-License-Identifier: MIT
// Building and showing the answers of control sockets.
#ifndef RDS_CMD_JSON_H
#define RDS_CMD_JSON_H

#include "core/error.h"
#include "core/view.h"

#include <cJSON.h>

// Each adds a member; out of memory ends the process.
void rds_json_text(cJSON *json, const char *name, const char *text);
void rds_json_bytes(cJSON *json, const char *name, struct rds_view bytes); // not UTF-8: escaped
void rds_json_number(cJSON *json, const char *name, uint64_t number);
void rds_json_switch(cJSON *json, const char *name, bool on);
cJSON *rds_json_object(cJSON *json, const char *name);
cJSON *rds_json_array(cJSON *json, const char *name);
// Appends an object, or a text, to an array.
cJSON *rds_json_item(cJSON *array);
void rds_json_text_item(cJSON *array, const char *text);

// {"ok":true} or {"ok":false,"error":...}, to be added to.
cJSON *rds_json_answer(const char *error);
// The same of an error; with "usage":true where it was asked for wrongly (RDS_EINVAL).
cJSON *rds_json_refusal(int rc, const struct rds_error *err);
// {"ok":false,"error":...,"usage":true}
cJSON *rds_json_wrong_use(const char *error);

// As compact text; fresh memory.
char *rds_json_print(const cJSON *json);

// For people: members as "name: value" lines, arrays of objects as tables, hostile bytes escaped.
void rds_json_show(const cJSON *json);

#endif
