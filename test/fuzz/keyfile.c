// SPDX-License-Identifier: MIT
// Goal: a key file with anything in it is refused, or holds the pair that it says.
#include "test/fuzz/fuzzing.h"

#include "core/base64.h"
#include "keys/keypair.h"

static void check_pair(struct rds_keypair *pair, struct rds_view text)
{
	char again[RDS_SECRET_TEXT];
	char fingerprint[RDS_FINGERPRINT_TEXT];
	uint8_t signature[64];
	struct rds_view public = rds_view_text(rds_keypair_public_text(pair));
	rds_keypair_secret_text(pair, again);
	must(rds_view_equal(rds_view_text(again), rds_view_trim(text)));
	must(rds_text_may_be_secret(again, strlen(again)));
	must(rds_text_is_public_key(public));
	rds_fingerprint(public, fingerprint);
	must(strncmp(fingerprint, "SHA256:", 7) == 0 && strlen(fingerprint) == 50);
	must(rds_keypair_sign(pair, text, signature));
	rds_keypair_free(pair);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint8_t *copy = exact_copy(rds_view_of(data, size));
	struct rds_view text = rds_view_of(copy, size);
	struct rds_keypair *pair = NULL;
	struct rds_error err = {""};
	char fingerprint[RDS_FINGERPRINT_TEXT];
	int rc = rds_keypair_parse(text, &pair, &err);
	must(rc == 0 || rc == -RDS_EPARSE);
	must((rc == 0) == (pair != NULL) && (rc != 0) == (err.text[0] != '\0'));
	if (rc == 0)
		check_pair(pair, text);
	rds_fingerprint(text, fingerprint);
	must(memchr(fingerprint, '\0', sizeof fingerprint) != NULL);
	must(rds_text_is_public_key(text) == (strncmp(fingerprint, "SHA256:", 7) == 0));
	must(!rds_text_is_public_key(text) || !rds_text_may_be_secret((const char *)copy, size));
	free(copy);
	return 0;
}
