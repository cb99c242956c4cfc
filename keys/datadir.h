// SPDX-License-Identifier: MIT
// The data directory: its files, read and written safely. Files are opened relative to the
// directory and never through a symbolic link; what is written is written under a temporary
// name, synced and moved into place; new files get the directory's owner when root makes them.
#ifndef RDS_KEYS_DATADIR_H
#define RDS_KEYS_DATADIR_H

#include "core/error.h"
#include "core/view.h"

#include <sys/stat.h>
#include <sys/types.h>

struct rds_datadir;

// Opens a directory that exists. -RDS_ESYS.
int rds_datadir_open(const char *path, struct rds_datadir **out, struct rds_error *err)
        __attribute__((warn_unused_result));
void rds_datadir_close(struct rds_datadir *dir);

// Whom it belongs to.
uid_t rds_datadir_owner(const struct rds_datadir *dir);

// As it was given to open.
const char *rds_datadir_path(const struct rds_datadir *dir);

// Whether there is something of that name.
bool rds_datadir_has(const struct rds_datadir *dir, const char *name);

// A path of a file of the directory that is short enough for a socket's address, however long the
// directory's own path is; valid while it is open. Room: RDS_DATADIR_REF.
#define RDS_DATADIR_REF 108
void rds_datadir_ref(const struct rds_datadir *dir, const char *name, char out[RDS_DATADIR_REF]);

// Reads until the end, or until cap is full; how many bytes, or -1 and errno.
ssize_t rds_read_to_end(int fd, uint8_t *out, size_t cap) __attribute__((warn_unused_result));

// Reads a whole file of at most cap bytes. -RDS_ENOENT (with *err untouched), -RDS_ETOOBIG,
// -RDS_ESYS. st may be NULL.
int rds_datadir_read(const struct rds_datadir *dir, const char *name, uint8_t *out, size_t cap,
                     size_t *len, struct stat *st, struct rds_error *err)
        __attribute__((warn_unused_result));

enum rds_write_mode {
	RDS_WRITE_NEW,     // -RDS_EEXIST, with *err untouched, if the name is taken
	RDS_WRITE_REPLACE, // takes the place of what is there
};

// Writes a file: all of it is there under that name, safely on disk, or nothing has changed.
int rds_datadir_write(const struct rds_datadir *dir, const char *name, mode_t mode,
                      enum rds_write_mode how, struct rds_view bytes, struct rds_error *err)
        __attribute__((warn_unused_result));

// The same in two steps. stage writes under a temporary name, which goes to temporary, safely on
// disk; commit gives that its name; discard removes it.
#define RDS_TEMPORARY_NAME 128
int rds_datadir_stage(const struct rds_datadir *dir, const char *name, mode_t mode,
                      struct rds_view bytes, char temporary[RDS_TEMPORARY_NAME],
                      struct rds_error *err) __attribute__((warn_unused_result));
int rds_datadir_commit(const struct rds_datadir *dir, const char *temporary, const char *name,
                       enum rds_write_mode how, struct rds_error *err)
        __attribute__((warn_unused_result));
void rds_datadir_discard(const struct rds_datadir *dir, const char *temporary);

// Calls fn with the name of each file that begins with prefix, in no order. It may remove them.
void rds_datadir_each(const struct rds_datadir *dir, const char *prefix,
                      void (*fn)(void *ctx, const char *name), void *ctx);

// Wipes what stage left of a file, and of those whose names go on behind a dot, when its process
// died. Call between begin and end.
void rds_datadir_sweep(const struct rds_datadir *dir, const char *name);

// Adds a line to a file's end, safely on disk, unless it is its last line already.
int rds_datadir_append(const struct rds_datadir *dir, const char *name, mode_t mode,
                       struct rds_view line, struct rds_error *err)
        __attribute__((warn_unused_result));

// Overwrites a file's bytes, then removes it, both safely on disk.
int rds_datadir_wipe(const struct rds_datadir *dir, const char *name, struct rds_error *err)
        __attribute__((warn_unused_result));

// What is known of a file; false: it isn't there.
bool rds_datadir_stat(const struct rds_datadir *dir, const char *name, struct stat *out);

// Removes a file, safely on disk; one that isn't there is no error.
int rds_datadir_remove(const struct rds_datadir *dir, const char *name, struct rds_error *err)
        __attribute__((warn_unused_result));

// Between these two no other process is between them for the same directory. begin waits for it, up
// to 10 s, or, without wait, not at all. -RDS_EBUSY: not to be ended then.
int rds_datadir_begin(const struct rds_datadir *dir, bool wait, struct rds_error *err)
        __attribute__((warn_unused_result));
void rds_datadir_end(const struct rds_datadir *dir);

// Takes an exclusive lock on a file of that name, which holds our pid. The lock lasts until the
// descriptor, *out, is closed. -RDS_EBUSY, with *err naming the holder's pid, if another holds it.
int rds_datadir_lock(const struct rds_datadir *dir, const char *name, int *out,
                     struct rds_error *err) __attribute__((warn_unused_result));

#endif
