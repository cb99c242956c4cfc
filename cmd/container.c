// SPDX-License-Identifier: MIT
#include "cmd/container.h"

#include "core/alloc.h"
#include "core/log.h"
#include "keys/keyfiles.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#define SECRETS    "/run/secrets/"
#define HALF_BYTES 1024

bool rds_container_is(const struct rds_settings *settings)
{
	return rds_settings_text(settings, RDS_SET_CONTAINER)[0] != '\0';
}

bool rds_holds_server(const char *dir)
{
	static const char *const signs[] = {"id_ed25519", "db_v2.sqlite3"};
	bool holds = false;
	for (size_t i = 0; i < sizeof signs / sizeof signs[0]; i++) {
		struct stat st;
		char *path = rds_asprintf("%s/%s", dir, signs[i]);
		holds = holds || stat(path, &st) == 0;
		free(path);
	}
	return holds;
}

// --- variables

static bool is_one_of(const char *text, const char *const *words)
{
	for (; *words != NULL; words++)
		if (strcasecmp(text, *words) == 0)
			return true;
	return false;
}

static int set_default(struct rds_settings *settings, enum rds_setting setting, const char *value,
                       const char *where, struct rds_error *err)
{
	if (rds_settings_origin(settings, setting) >= RDS_FROM_ENVIRONMENT)
		return 0;
	return rds_settings_set(settings, setting, value, RDS_FROM_ENVIRONMENT, where, err);
}

int rds_container_read(struct rds_settings *settings, struct rds_error *err)
{
	static const char *const yes[] = {"1", "Y", "yes", "true", "on", NULL};
	static const char *const no[] = {"", "0", "N", "no", "false", "off", NULL};
	const char *relay = getenv("RELAY");
	const char *encrypted_only = getenv("ENCRYPTED_ONLY");
	if (!rds_container_is(settings))
		return 0;
	if (relay != NULL && relay[0] != '\0') {
		int rc = set_default(settings, RDS_SET_RELAY_SERVERS, relay,
		                     "environment variable RELAY", err);
		if (rc != 0)
			return rc;
	}
	if (encrypted_only == NULL || is_one_of(encrypted_only, no))
		return 0;
	if (!is_one_of(encrypted_only, yes))
		return rds_fail(err, RDS_EINVAL,
		                "environment variable ENCRYPTED_ONLY: expected 1 or 0");
	return set_default(settings, RDS_SET_KEY, "_", "environment variable ENCRYPTED_ONLY", err);
}

// --- where data is

// In a container everything that is mounted is on another file system than the root, but where
// the engine keeps images as plain directories; new kernels know.
static bool is_mounted(const char *dir)
{
	struct statx here;
	struct stat root;
	if (statx(AT_FDCWD, dir, AT_STATX_SYNC_AS_STAT, STATX_BASIC_STATS, &here) != 0 ||
	    stat("/", &root) != 0)
		return false;
	if ((here.stx_attributes_mask & STATX_ATTR_MOUNT_ROOT) != 0)
		return (here.stx_attributes & STATX_ATTR_MOUNT_ROOT) != 0;
	return makedev(here.stx_dev_major, here.stx_dev_minor) != root.st_dev;
}

static bool same_directory(const char *a, const char *b)
{
	struct stat one;
	struct stat other;
	return stat(a, &one) == 0 && stat(b, &other) == 0 && one.st_dev == other.st_dev &&
	       one.st_ino == other.st_ino;
}

void rds_container_choose(const struct rds_settings *settings, const char **dir, const char **why)
{
	const char *own = rds_settings_text(settings, RDS_SET_CONTAINER);
	*dir = own;
	*why = "the image's data directory";
	if (rds_holds_server(own) || same_directory(own, "."))
		return;
	if (rds_holds_server(".")) {
		*dir = ".";
		*why = "the working directory holds a server, the image's data directory none";
	} else if (is_mounted(".") && !is_mounted(own)) {
		*dir = ".";
		*why = "mounted on the working directory; nothing is on the image's data directory";
	}
}

void rds_container_warn(const struct rds_settings *settings, const char *dir)
{
	const char *own = rds_settings_text(settings, RDS_SET_CONTAINER);
	if (!rds_container_is(settings))
		return;
	if (!is_mounted(dir))
		rds_log(RDS_LOG_WARN, "keys and peers will go with this container",
		        rds_field_text("because", "nothing is mounted on its data directory"),
		        rds_field_text("mount", own));
	if (!same_directory(dir, ".") && rds_holds_server("."))
		rds_log(RDS_LOG_WARN, "another server's data is passed over",
		        rds_field_text("because", "the working directory holds it"),
		        rds_field_text("used", dir));
}

// --- keys handed over

struct half {
	const char *secret;   // the file under SECRETS
	const char *variable; // where that isn't there
	const char *where;
	uint8_t text[HALF_BYTES];
	size_t len;
};

static int read_secret(struct half *half, int fd, struct rds_error *err)
{
	ssize_t len = rds_read_to_end(fd, half->text, sizeof half->text);
	if (len < 0)
		return rds_fail(err, RDS_EINVAL, "%s: can't read: %s", half->secret,
		                strerror(errno));
	half->where = half->secret;
	half->len = (size_t)len;
	return half->len < sizeof half->text
	               ? 0
	               : rds_fail(err, RDS_EINVAL, "%s: too long for a key", half->secret);
}

static int read_half(struct half *half, struct rds_error *err)
{
	const char *value = getenv(half->variable);
	int fd = open(half->secret, O_RDONLY | O_CLOEXEC);
	if (fd >= 0) {
		int rc = read_secret(half, fd, err);
		(void)close(fd);
		return rc;
	}
	if (errno != ENOENT && errno != ENOTDIR)
		return rds_fail(err, RDS_EINVAL, "%s: can't read: %s", half->secret,
		                strerror(errno));
	half->where = half->variable;
	half->len = value == NULL ? 0 : strlen(value);
	if (half->len > sizeof half->text)
		return rds_fail(err, RDS_EINVAL, "%s: too long for a key", half->variable);
	if (half->len > 0)
		memcpy(half->text, value, half->len);
	return 0;
}

static int pair_up(const struct half *public, const struct half *secret, struct rds_keypair **out,
                   struct rds_error *err)
{
	struct rds_view public_text = rds_view_trim(rds_view_of(public->text, public->len));
	struct rds_view secret_text = rds_view_trim(rds_view_of(secret->text, secret->len));
	struct rds_error fault;
	if (public_text.len == 0 && secret_text.len == 0)
		return 0;
	if (public_text.len == 0 || secret_text.len == 0)
		return rds_fail(err, RDS_EINVAL, "%s is given without %s: give both, or neither",
		                public_text.len == 0 ? secret->where : public->where,
		                public_text.len == 0 ? public->variable : secret->variable);
	if (!rds_text_is_public_key(public_text))
		return rds_fail(err, RDS_EINVAL, "%s: not the base64 text of a public key",
		                public->where);
	if (rds_keypair_parse(secret_text, out, &fault) != 0)
		return rds_fail(err, RDS_EINVAL, "%s: the secret key: %s", secret->where,
		                fault.text);
	if (rds_view_equal(public_text, rds_view_text(rds_keypair_public_text(*out))))
		return 0;
	rds_keypair_free(*out);
	*out = NULL;
	return rds_fail(err, RDS_EINVAL, "%s and %s are not a pair: %s has another public key",
	                public->where, secret->where, secret->where);
}

int rds_container_take_keys(const struct rds_settings *settings, struct rds_keypair **out,
                            struct rds_error *err)
{
	struct half public = {.secret = SECRETS "key_pub", .variable = "KEY_PUB"};
	struct half secret = {.secret = SECRETS "key_priv", .variable = "KEY_PRIV"};
	*out = NULL;
	if (!rds_container_is(settings))
		return 0;
	int rc = read_half(&public, err);
	if (rc == 0)
		rc = read_half(&secret, err);
	if (rc == 0)
		rc = pair_up(&public, &secret, out, err);
	rds_wipe(secret.text, sizeof secret.text);
	return rc;
}

static void compare_with_files(const struct rds_datadir *dir, const struct rds_keypair *pair)
{
	struct rds_keyfiles files;
	struct rds_error fault; // which the start itself will meet
	if (rds_keyfiles_load(dir, &files, &fault) != 0)
		return;
	if (strcmp(rds_keypair_public_text(files.pair), rds_keypair_public_text(pair)) != 0)
		rds_log(RDS_LOG_WARN, "the key that is handed over is not used",
		        rds_field_text("because", "the data directory has key files of another"),
		        rds_field_text("key", rds_keypair_public_text(files.pair)));
	rds_keypair_free(files.pair);
}

int rds_container_put_keys(const struct rds_datadir *dir, const struct rds_keypair *pair,
                           struct rds_error *err)
{
	if (pair == NULL)
		return 0;
	int rc = rds_datadir_has(dir, RDS_SECRET_FILE) || rds_datadir_has(dir, RDS_PUBLIC_FILE)
	                 ? -RDS_EEXIST
	                 : rds_keyfiles_put(dir, pair, err);
	if (rc == 0)
		rds_log(RDS_LOG_INFO, "wrote the key files",
		        rds_field_text("from", "the key that is handed over"));
	if (rc != -RDS_EEXIST)
		return rc;
	compare_with_files(dir, pair);
	return 0;
}
