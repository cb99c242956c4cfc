// SPDX-License-Identifier: MIT
// Running the roles: from the command line to the loop, and in reverse order back.
#ifndef RDS_CMD_ROLE_H
#define RDS_CMD_ROLE_H

#include "cmd/cli.h"
#include "cmd/instance.h"
#include "keys/policy.h"

// What the binary was started as.
struct rds_role_kind {
	struct rds_cli cli;
	bool id;    // runs the ID server
	bool relay; // runs the relay
	enum rds_instance_use use;
	enum rds_key_default key_default;
	// What the second own option (hbbs -g) does instead of running; NULL: there is none.
	int (*generate)(const struct rds_cli *cli, const struct rds_settings *settings);
};

// Parses argv, runs until it is told to stop, and returns the exit code.
int rds_role_main(const struct rds_role_kind *kind, int argc, char **argv);

// The commands that the control socket of "id" or "relay" takes, for people: the i-th; NULL: no
// more.
const char *rds_role_word(const char *role, size_t i);

#endif
