// SPDX-License-Identifier: MIT
#include "cmd/cmd.h"

#include "conf/form.h"
#include "core/message.h"
#include "core/store.h"
#include "keys/keypair.h"
#include "keys/secure_channel.h"
#include "net/loop.h"
#include "net/websocket.h"

#include "commit.h"

#include <cJSON.h>
#include <stdio.h>
#include <string.h>

static void print_library(const char *name, const char *version)
{
	// nanopb's says its name, too.
	size_t len = strlen(name);
	if (strncmp(version, name, len) == 0 && version[len] == '-')
		version += len + 1;
	(void)printf("  %-10s %s\n", name, version);
}

void rds_print_version(void)
{
	// Without a commit it was built from a tree that is no clone.
	(void)printf("rdsrv %s%s%s%s\n", RDSRV_VERSION, RDSRV_COMMIT[0] == '\0' ? "" : " (commit ",
	             RDSRV_COMMIT, RDSRV_COMMIT[0] == '\0' ? "" : ")");
	print_library("OpenSSL", rds_openssl_version());
	print_library("libevent", rds_libevent_version());
	print_library("libsodium", rds_sodium_version());
	print_library("SQLite", rds_sqlite_version());
	print_library("cJSON", cJSON_Version());
	print_library("nanopb", rds_nanopb_version());
	print_library("wslay", rds_wslay_version());
	print_library("qrencode", rds_qrencode_version());
}
