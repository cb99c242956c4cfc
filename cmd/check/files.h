// SPDX-License-Identifier: MIT
// The parts of files.*; see local.h for what they share with others.
#ifndef RDS_CMD_CHECK_FILES_H
#define RDS_CMD_CHECK_FILES_H

#include "cmd/check/local.h"

// A shell's command that writes the public file anew, in the data directory: beside it first, for
// keygen doesn't take an empty one.
#define LOCAL_WRITE_PUBLIC \
	"rdsrv keygen --data-dir . --public >new.pub && mv new.pub id_ed25519.pub"

void check_files_dir(struct check *check);
void check_files_database(struct check *check);

// The path of the database; fresh memory.
char *local_database(const struct check_site *site);

// Finds the backup of the pair with that public key in the data directory; fresh memory with the
// name of its secret file, NULL: there is none.
char *local_key_backup(const struct check_site *site, const char *public_text);

#endif
