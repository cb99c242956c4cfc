// SPDX-License-Identifier: MIT
// TOML, as far as it takes to find single values in a file and leave the rest alone: statements
// with their places, names and strings. What values other than strings are is not looked at.
#ifndef RDS_CONF_TOML_H
#define RDS_CONF_TOML_H

#include "core/error.h"
#include "core/view.h"

// A text on its way through rds_toml_next: {.text = ...} at the start.
struct rds_toml {
	struct rds_view text; // borrowed
	size_t at;
	size_t line;
};

// `[name]`, `[[name]]` or `name = value`.
struct rds_toml_statement {
	enum rds_toml_kind { RDS_TOML_TABLE, RDS_TOML_ARRAY_TABLE, RDS_TOML_VALUE } kind;
	char *name;            // fresh memory; parts joined by dots, quotes resolved
	struct rds_view value; // a view of its text
	size_t end;            // behind its last line
	size_t line;           // of its start, from 1
};

// 1 and *out, whose name the caller frees; 0 at the end; -RDS_EPARSE with *err naming the line.
int rds_toml_next(struct rds_toml *toml, struct rds_toml_statement *out, struct rds_error *err)
        __attribute__((warn_unused_result));

// What a string of any of the four kinds says, as fresh memory; NULL: it is none, or a bad one.
char *rds_toml_string(struct rds_view value) __attribute__((warn_unused_result));

#endif
