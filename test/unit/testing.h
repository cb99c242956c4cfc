// SPDX-License-Identifier: MIT
// Goal: what all unit tests share: cmocka, known answers, views, temporary directories, a log.
#ifndef RDS_TEST_UNIT_TESTING_H
#define RDS_TEST_UNIT_TESTING_H

// cmocka.h wants these three before it.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cJSON.h>
#include <cmocka.h>

#include "core/addr.h"
#include "core/error.h"
#include "core/log.h"
#include "core/table.h"
#include "core/view.h"

#define COUNT(array) (sizeof(array) / sizeof(array)[0])

// A hash seed; any will do where hashes aren't looked at.
extern const struct rds_seed testing_seed;

// Known answers: a file of test/vectors (or of $RDS_VECTORS), parsed. cJSON_Delete it.
cJSON *vectors_open(const char *name);

// The path of such a file.
void vectors_path(const char *name, char *out, size_t cap);

// A member that must be there; its text or number.
const cJSON *member(const cJSON *object, const char *name);
const char *member_text(const cJSON *object, const char *name);
double member_number(const cJSON *object, const char *name);

// Hex digits to bytes; a view of them in out.
struct rds_view from_hex(const char *hex, uint8_t *out, size_t cap);
struct rds_view member_hex(const cJSON *object, const char *name, uint8_t *out, size_t cap);

// Both views hold the same bytes; shows them if not.
#define assert_views_equal(actual, expected) \
	testing_views_equal((actual), (expected), __FILE__, __LINE__)
void testing_views_equal(struct rds_view actual, struct rds_view expected, const char *file,
                         int line);

#define assert_view_text(actual, text) assert_views_equal((actual), rds_view_text(text))

// Text has a part in it.
#define assert_contains(text, part) testing_contains((text), (part), __FILE__, __LINE__)
void testing_contains(const char *text, const char *part, const char *file, int line);

// "203.0.113.7" and the like; must parse.
struct rds_ip ip_of(const char *text);
struct rds_addr addr_of(const char *ip, uint16_t port);

// Numbers that look random and are the same in every run.
struct testing_random {
	uint64_t state;
};
uint64_t random_next(struct testing_random *random);
size_t random_below(struct testing_random *random, size_t limit);
void random_bytes(struct testing_random *random, uint8_t *out, size_t len);

// A directory that is new and empty, and its end with all that is in it.
struct temp_dir {
	char path[256];
};
void temp_dir_make(struct temp_dir *dir);
void temp_dir_remove(struct temp_dir *dir);

// dir's path and a name, in fresh memory.
char *temp_path(const struct temp_dir *dir, const char *name);

// Whole small files.
void file_write(const struct temp_dir *dir, const char *name, const char *text);
void file_write_bytes(const struct temp_dir *dir, const char *name, struct rds_view bytes);
char *file_read(const struct temp_dir *dir, const char *name, size_t *len); // fresh memory
bool file_exists(const struct temp_dir *dir, const char *name);
unsigned file_mode(const struct temp_dir *dir, const char *name);
size_t files_in(const struct temp_dir *dir);

// A file holds just this text.
#define assert_file(dir, name, text) testing_file((dir), (name), (text), __FILE__, __LINE__)
void testing_file(const struct temp_dir *dir, const char *name, const char *text, const char *file,
                  int line);

// Takes the log's lines, as text without time, until log_release.
void log_capture(enum rds_log_level most);
const char *log_captured(void);
void log_release(void);

#endif
