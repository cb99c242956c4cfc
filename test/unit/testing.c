// SPDX-License-Identifier: MIT
// Goal: the shared means of the unit tests; see testing.h.
#include "test/unit/testing.h"

#include "core/alloc.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define FILE_MAX (1 << 20)

const struct rds_seed testing_seed = {{0x0706050403020100, 0x0f0e0d0c0b0a0908}};

void vectors_path(const char *name, char *out, size_t cap)
{
	const char *dir = getenv("RDS_VECTORS");
	(void)snprintf(out, cap, "%s/%s", dir != NULL ? dir : "test/vectors", name);
}

static char *read_path(const char *path, size_t *len)
{
	FILE *file = fopen(path, "rb");
	if (file == NULL)
		return NULL;
	char *bytes = rds_calloc(FILE_MAX, 1);
	*len = fread(bytes, 1, FILE_MAX - 1, file);
	(void)fclose(file);
	return bytes;
}

cJSON *vectors_open(const char *name)
{
	char path[512];
	size_t len = 0;
	vectors_path(name, path, sizeof path);
	char *text = read_path(path, &len);
	if (text == NULL)
		fail_msg("%s: can't read; run in the repository's root or set RDS_VECTORS", path);
	cJSON *json = cJSON_Parse(text);
	free(text);
	if (json == NULL)
		fail_msg("%s: not JSON", path);
	return json;
}

const cJSON *member(const cJSON *object, const char *name)
{
	const cJSON *found = cJSON_GetObjectItemCaseSensitive(object, name);
	if (found == NULL)
		fail_msg("no member \"%s\"", name);
	return found;
}

const char *member_text(const cJSON *object, const char *name)
{
	const char *text = cJSON_GetStringValue(member(object, name));
	if (text == NULL)
		fail_msg("member \"%s\" is no text", name);
	return text;
}

double member_number(const cJSON *object, const char *name)
{
	const cJSON *number = member(object, name);
	assert_true(cJSON_IsNumber(number));
	return number->valuedouble;
}

static unsigned hex_digit(char c)
{
	static const char digits[] = "0123456789abcdef";
	const char *at = c == '\0' ? NULL : strchr(digits, c);
	if (at == NULL)
		fail_msg("'%c' is no hex digit", c);
	return at == NULL ? 0 : (unsigned)(at - digits);
}

struct rds_view from_hex(const char *hex, uint8_t *out, size_t cap)
{
	size_t len = strlen(hex) / 2;
	assert_true(strlen(hex) % 2 == 0 && len <= cap);
	for (size_t i = 0; i < len; i++)
		out[i] = (uint8_t)(hex_digit(hex[2 * i]) << 4 | hex_digit(hex[2 * i + 1]));
	return rds_view_of(out, len);
}

struct rds_view member_hex(const cJSON *object, const char *name, uint8_t *out, size_t cap)
{
	return from_hex(member_text(object, name), out, cap);
}

static void show(const char *what, struct rds_view v)
{
	print_error("%s (%zu bytes): ", what, v.len);
	for (size_t i = 0; i < v.len && i < 256; i++)
		print_error("%02x", v.data[i]);
	print_error("\n");
}

void testing_views_equal(struct rds_view actual, struct rds_view expected, const char *file,
                         int line)
{
	if (rds_view_equal(actual, expected))
		return;
	show("got     ", actual);
	show("expected", expected);
	_fail(file, line);
}

void testing_contains(const char *text, const char *part, const char *file, int line)
{
	if (strstr(text, part) != NULL)
		return;
	print_error("\"%s\" is not in \"%s\"\n", part, text);
	_fail(file, line);
}

struct rds_ip ip_of(const char *text)
{
	struct rds_ip ip = {{0}};
	if (rds_ip_parse(text, &ip) != 0)
		fail_msg("\"%s\" is no IP address", text);
	return ip;
}

struct rds_addr addr_of(const char *ip, uint16_t port)
{
	return (struct rds_addr){.ip = ip_of(ip), .port = port};
}

// A linear congruence and a few shifts: no need for more.
uint64_t random_next(struct testing_random *random)
{
	random->state = random->state * 6364136223846793005U + 1442695040888963407U;
	uint64_t mixed = random->state ^ random->state >> 33;
	mixed *= 0xff51afd7ed558ccdU;
	return mixed ^ mixed >> 29;
}

size_t random_below(struct testing_random *random, size_t limit)
{
	return (size_t)(random_next(random) % limit);
}

void random_bytes(struct testing_random *random, uint8_t *out, size_t len)
{
	for (size_t i = 0; i < len; i++)
		out[i] = (uint8_t)random_next(random);
}

void temp_dir_make(struct temp_dir *dir)
{
	const char *root = getenv("TMPDIR");
	(void)snprintf(dir->path, sizeof dir->path, "%s/rds-unit-XXXXXX",
	               root != NULL ? root : "/tmp");
	if (mkdtemp(dir->path) == NULL) {
		dir->path[0] = '\0';
		fail_msg("can't make a temporary directory");
	}
}

// One level deep is all that tests make. Removes names relative to the directory that
// temp_dir_make made, and nothing else.
void temp_dir_remove(struct temp_dir *dir)
{
	DIR *stream = dir->path[0] == '\0' ? NULL : opendir(dir->path);
	if (stream == NULL)
		return;
	for (struct dirent *entry; (entry = readdir(stream)) != NULL;) {
		bool dots = strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0;
		if (!dots && unlinkat(dirfd(stream), entry->d_name, 0) != 0)
			(void)unlinkat(dirfd(stream), entry->d_name, AT_REMOVEDIR);
	}
	(void)closedir(stream);
	(void)rmdir(dir->path);
	dir->path[0] = '\0';
}

char *temp_path(const struct temp_dir *dir, const char *name)
{
	return rds_asprintf("%s/%s", dir->path, name);
}

void file_write_bytes(const struct temp_dir *dir, const char *name, struct rds_view bytes)
{
	char *path = temp_path(dir, name);
	FILE *file = fopen(path, "wb");
	free(path);
	assert_non_null(file);
	if (bytes.len > 0)
		assert_int_equal(fwrite(bytes.data, 1, bytes.len, file), bytes.len);
	assert_int_equal(fclose(file), 0);
}

void file_write(const struct temp_dir *dir, const char *name, const char *text)
{
	file_write_bytes(dir, name, rds_view_text(text));
}

char *file_read(const struct temp_dir *dir, const char *name, size_t *len)
{
	size_t n = 0;
	char *path = temp_path(dir, name);
	char *bytes = read_path(path, &n);
	free(path);
	if (bytes == NULL)
		fail_msg("can't read %s", name);
	if (len != NULL)
		*len = n;
	return bytes;
}

void testing_file(const struct temp_dir *dir, const char *name, const char *text, const char *file,
                  int line)
{
	size_t len = 0;
	char *bytes = file_read(dir, name, &len);
	testing_views_equal(rds_view_of(bytes, len), rds_view_text(text), file, line);
	free(bytes);
}

static int stat_of(const struct temp_dir *dir, const char *name, struct stat *st)
{
	char *path = temp_path(dir, name);
	int rc = lstat(path, st);
	free(path);
	return rc;
}

bool file_exists(const struct temp_dir *dir, const char *name)
{
	struct stat st;
	return stat_of(dir, name, &st) == 0;
}

unsigned file_mode(const struct temp_dir *dir, const char *name)
{
	struct stat st;
	assert_int_equal(stat_of(dir, name, &st), 0);
	return st.st_mode & 07777;
}

size_t files_in(const struct temp_dir *dir)
{
	size_t n = 0;
	DIR *stream = opendir(dir->path);
	assert_non_null(stream);
	while (readdir(stream) != NULL)
		n++;
	(void)closedir(stream);
	return n - 2; // . and ..
}

static struct {
	char text[16384];
	size_t len;
} captured;

static void capture(void *ctx, enum rds_log_level level, const char *event,
                    const struct rds_field *fields, size_t n)
{
	(void)ctx;
	char line[4096];
	size_t len = rds_log_format_line(RDS_LOG_JOURNALD, 0, level, event, fields, n, line,
	                                 sizeof line);
	if (captured.len + len + 1 > sizeof captured.text)
		return;
	memcpy(captured.text + captured.len, line, len + 1);
	captured.len += len;
}

void log_capture(enum rds_log_level most)
{
	captured.len = 0;
	captured.text[0] = '\0';
	rds_log_to(capture, NULL, most);
}

const char *log_captured(void)
{
	return captured.text;
}

void log_release(void)
{
	rds_log_to(NULL, NULL, RDS_LOG_ERROR);
}
