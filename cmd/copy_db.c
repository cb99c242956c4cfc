// SPDX-License-Identifier: MIT
// Copies a database whose server is not ours, or doesn't run: for migrate.sh, and backups.
#include "cmd/cmd.h"
#include "core/store.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static const char usage[] =
        "usage: rdsrv copy-db FROM TO\n"
        "Copies FROM, a database of peers (db_v2.sqlite3) of rdsrv or hbbs, to the new file TO,\n"
        "with what is only in its log yet, and prints how many peers it has. FROM may be in use,\n"
        "and is left as it is. `rdsrv ctl id backup` copies all that a running server has.\n"
        "See rdsrv-copy-db(1).\n";

int cmd_copy_db(int argc, char **argv)
{
	struct rds_error err;
	uint64_t n_peers = 0;
	if (argc == 2 && (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0)) {
		(void)fputs(usage, stdout);
		return RDS_EXIT_OK;
	}
	if (argc == 2 && (strcmp(argv[1], "--version") == 0 || strcmp(argv[1], "-V") == 0)) {
		rds_print_version();
		return RDS_EXIT_OK;
	}
	if (argc != 3 || argv[1][0] == '-' || argv[2][0] == '-') {
		(void)fputs(usage, stderr);
		return RDS_EXIT_USAGE;
	}
	if (rds_store_copy(argv[1], argv[2], &n_peers, &err) != 0) {
		(void)fprintf(stderr, "rdsrv copy-db: %s\n", err.text);
		return RDS_EXIT_PROBLEM;
	}
	(void)printf("%" PRIu64 "\n", n_peers);
	return RDS_EXIT_OK;
}
