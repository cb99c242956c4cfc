// SPDX-License-Identifier: MIT
// Called as rustdesk-utils: that program's commands (protocol.md section 12).
#include "cmd/cmd.h"
#include "keys/keypair.h"

#include <stdio.h>

static const char usage[] =
        "usage: rustdesk-utils genkeypair | validatekeypair PUBLIC SECRET | doctor HOST\n"
        "rdsrv has more: rdsrv keygen --help, rdsrv check --help\n";

static int gen_key_pair(void)
{
	struct rds_keypair *pair = NULL;
	struct rds_error err;
	char secret[RDS_SECRET_TEXT];
	if (rds_keypair_generate(&pair, &err) != 0) {
		(void)fprintf(stderr, "rustdesk-utils: %s\n", err.text);
		return RDS_EXIT_PROBLEM;
	}
	rds_keypair_secret_text(pair, secret);
	(void)printf("Public Key:  %s\nSecret Key:  %s\n", rds_keypair_public_text(pair), secret);
	rds_wipe(secret, sizeof secret);
	rds_keypair_free(pair);
	return RDS_EXIT_OK;
}

// What is wrong with the two texts; NULL: nothing.
static const char *fault_of(const char *public, const char *secret)
{
	struct rds_keypair *pair = NULL;
	struct rds_error err;
	struct rds_view text = rds_view_trim(rds_view_text(public));
	if (!rds_text_is_public_key(text))
		return "the public key is not base64 of 32 bytes";
	if (rds_keypair_parse(rds_view_text(secret), &pair, &err) != 0)
		return "the secret key is not a whole one: base64 of 64 bytes, the seed and its "
		       "public key";
	bool fits = rds_view_equal(text, rds_view_text(rds_keypair_public_text(pair)));
	rds_keypair_free(pair);
	return fits ? NULL : "the two are not a pair: the secret key has another public key";
}

static int validate_key_pair(const char *public, const char *secret)
{
	const char *fault = fault_of(public, secret);
	if (fault != NULL) {
		(void)fprintf(stderr, "Key pair is INVALID: %s\n", fault);
		return RDS_EXIT_PROBLEM;
	}
	(void)puts("Key pair is VALID");
	return RDS_EXIT_OK;
}

static int doctor(char *host)
{
	char name[] = "check";
	char option[] = "--host";
	char *argv[] = {name, option, host, NULL};
	return cmd_check(3, argv);
}

int cmd_utils(int argc, char **argv)
{
	if (argc == 2 && strcmp(argv[1], "genkeypair") == 0)
		return gen_key_pair();
	if (argc == 4 && strcmp(argv[1], "validatekeypair") == 0)
		return validate_key_pair(argv[2], argv[3]);
	if (argc == 3 && strcmp(argv[1], "doctor") == 0)
		return doctor(argv[2]);
	if (argc == 2 && (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0)) {
		(void)fputs(usage, stdout);
		return RDS_EXIT_OK;
	}
	(void)fputs(usage, stderr);
	return RDS_EXIT_USAGE;
}
