// SPDX-License-Identifier: MIT
#include "keys/backups.h"

#include "keys/keyfiles.h"

#include <stdio.h>

static const char secret_prefix[] = RDS_SECRET_FILE ".bak.";
static const char public_prefix[] = RDS_PUBLIC_FILE ".bak.";
#define DAY_DIGITS 8

// What stands behind the prefix, if the name is a backup's: the day, and perhaps a number. Whatever
// else begins like that is somebody's own.
static const char *suffix_of(const char *name, const char *prefix)
{
	static const char digits[] = "0123456789";
	size_t len = strlen(prefix);
	if (strncmp(name, prefix, len) != 0 || strlen(name) >= RDS_BACKUP_NAME)
		return NULL;
	const char *suffix = name + len;
	size_t day = strspn(suffix, digits);
	const char *rest = suffix + day;
	size_t number = rest[0] == '.' ? strspn(rest + 1, digits) : 0;
	bool ends = rest[0] == '\0' || (number > 0 && rest[1 + number] == '\0');
	return day == DAY_DIGITS && ends ? suffix : NULL;
}

bool rds_backups_is_secret(const char *name, char public_name[RDS_BACKUP_NAME])
{
	const char *suffix = suffix_of(name, secret_prefix);
	if (suffix == NULL)
		return false;
	(void)snprintf(public_name, RDS_BACKUP_NAME, "%s%s", public_prefix, suffix);
	return true;
}

// The n-th backup of the day: both names, or false where one is taken.
static bool name_backup(const struct rds_datadir *dir, const char *day, unsigned n,
                        char secret[RDS_BACKUP_NAME], char public[RDS_BACKUP_NAME])
{
	char suffix[32];
	(void)snprintf(suffix, sizeof suffix, n == 0 ? "%.8s" : "%.8s.%u", day, n);
	(void)snprintf(secret, RDS_BACKUP_NAME, "%s%s", secret_prefix, suffix);
	(void)snprintf(public, RDS_BACKUP_NAME, "%s%s", public_prefix, suffix);
	return !rds_datadir_has(dir, secret) && !rds_datadir_has(dir, public);
}

int rds_backups_make(const struct rds_datadir *dir, const char *day, const struct rds_keypair *pair,
                     char name[RDS_BACKUP_NAME], struct rds_error *err)
{
	char public[RDS_BACKUP_NAME];
	char text[RDS_SECRET_TEXT];
	unsigned n = 0;
	while (!name_backup(dir, day, n, name, public))
		n++;
	rds_keypair_secret_text(pair, text);
	int rc = rds_datadir_write(dir, name, 0600, RDS_WRITE_NEW, rds_view_text(text), err);
	rds_wipe(text, sizeof text);
	if (rc == 0)
		rc = rds_datadir_write(dir, public, 0644, RDS_WRITE_NEW,
		                       rds_view_text(rds_keypair_public_text(pair)), err);
	// What was there before is somebody else's.
	if (rc != 0 && rc != -RDS_EEXIST)
		rds_backups_drop(dir, name);
	return rc;
}

void rds_backups_drop(const struct rds_datadir *dir, const char *name)
{
	char public[RDS_BACKUP_NAME];
	struct rds_error ignored;
	if (!rds_backups_is_secret(name, public))
		return;
	(void)!rds_datadir_wipe(dir, name, &ignored);
	(void)!rds_datadir_wipe(dir, public, &ignored);
}

struct each {
	void (*fn)(void *ctx, const char *name);
	void *ctx;
};

static void on_file(void *ctx, const char *name)
{
	const struct each *each = ctx;
	if (suffix_of(name, secret_prefix) != NULL || suffix_of(name, public_prefix) != NULL)
		each->fn(each->ctx, name);
}

void rds_backups_each(const struct rds_datadir *dir, void (*fn)(void *ctx, const char *name),
                      void *ctx)
{
	struct each each = {.fn = fn, .ctx = ctx};
	rds_datadir_each(dir, RDS_SECRET_FILE ".", on_file, &each);
}

struct purge {
	const struct rds_datadir *dir;
	const char *before_day;
	size_t n;
	int rc;
	struct rds_error *err;
};

static void purge_one(void *ctx, const char *name)
{
	struct purge *purge = ctx;
	const char *suffix = suffix_of(name, secret_prefix);
	const char *day = suffix != NULL ? suffix : suffix_of(name, public_prefix);
	if (purge->rc != 0 ||
	    (purge->before_day != NULL && strncmp(day, purge->before_day, DAY_DIGITS) >= 0))
		return;
	purge->rc = rds_datadir_wipe(purge->dir, name, purge->err);
	purge->n += purge->rc == 0;
}

int rds_backups_purge(const struct rds_datadir *dir, const char *before_day, size_t *n,
                      struct rds_error *err)
{
	struct purge purge = {.dir = dir, .before_day = before_day, .err = err};
	*n = 0;
	int rc = rds_keyfiles_check_owner(dir, err);
	if (rc == 0)
		rc = rds_datadir_begin(dir, true, err);
	if (rc != 0)
		return rc;
	rds_backups_each(dir, purge_one, &purge);
	rds_datadir_end(dir);
	*n = purge.n;
	return purge.rc;
}
