// SPDX-License-Identifier: MIT
// Files that people name, for what export-conf writes: whole or not at all, and nothing of theirs
// is lost.
#ifndef RDS_CMD_OUT_FILE_H
#define RDS_CMD_OUT_FILE_H

#include "core/error.h"
#include "core/view.h"

#include <sys/types.h>

struct rds_out_options {
	const char *who; // begins notes on stderr
	mode_t mode;     // 0: as the file that is there, else 0644
	bool force;      // overwrite whatever is there
};

// Whether the file may be written: it isn't there, is one of ours, or holds these bytes.
// -RDS_EEXIST with *err.
int rds_out_file_check(const char *path, struct rds_view bytes, bool force, struct rds_error *err)
        __attribute__((warn_unused_result));

// Checks, and writes it under a temporary name, synced and renamed. File systems without modes or
// without a sync of directories are a note. -RDS_EEXIST, -RDS_ESYS: nothing has changed.
int rds_out_file_write(const char *path, struct rds_view bytes,
                       const struct rds_out_options *options, struct rds_error *err)
        __attribute__((warn_unused_result));

// Reads a whole file ("-": standard input) into fresh memory; what: for what more than max_bytes is
// too long. -RDS_ESYS, -RDS_ETOOBIG.
int rds_in_file_read_up_to(const char *path, size_t max_bytes, const char *what, uint8_t **out,
                           size_t *len, struct rds_error *err) __attribute__((warn_unused_result));

// A client's configuration.
int rds_in_file_read(const char *path, uint8_t **out, size_t *len, struct rds_error *err)
        __attribute__((warn_unused_result));

#endif
