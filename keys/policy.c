// SPDX-License-Identifier: MIT
#include "keys/policy.h"

#include "core/alloc.h"
#include "core/base64.h"
#include "core/log.h"
#include "keys/keyfiles.h"

#include <stdlib.h>

struct rds_key_policy {
	struct rds_keypair *pair; // NULL: can't sign
	char *enforced;           // NULL: none
	bool made;
};

static int use_files(struct rds_key_policy *policy, const struct rds_datadir *dir,
                     struct rds_error *err)
{
	int rc = rds_keyfiles_load_or_make(dir, &policy->pair, &policy->made, err);
	if (rc == 0 && policy->made)
		rds_log(RDS_LOG_INFO, "made a new key pair",
		        rds_field_text("directory", rds_datadir_path(dir)),
		        rds_field_text("files", RDS_SECRET_FILE ", " RDS_PUBLIC_FILE));
	return rc;
}

static void enforce(struct rds_key_policy *policy, const char *text)
{
	policy->enforced = rds_strdup(text);
}

// "-", "_" or nothing.
static int use_and_enforce_files(struct rds_key_policy *policy, const struct rds_datadir *dir,
                                 struct rds_error *err)
{
	int rc = use_files(policy, dir, err);
	if (rc == 0)
		enforce(policy, rds_keypair_public_text(policy->pair));
	return rc;
}

// "": enforce nothing; an ID server signs all the same.
static int open_to_all(struct rds_key_policy *policy, const struct rds_datadir *dir,
                       const struct rds_key_request *request, struct rds_error *err)
{
	rds_log(RDS_LOG_WARN, "no key is enforced: whoever reaches this server can use it",
	        rds_field_text("because", request->option != NULL
	                                          ? "-k is empty"
	                                          : "no -k, and no key files here (as hbbr does)"));
	return request->signs ? use_files(policy, dir, err) : 0;
}

// A secret in the option itself; nothing is written.
static int use_given_secret(struct rds_key_policy *policy, const char *option,
                            struct rds_error *err)
{
	struct rds_error fault;
	int rc = rds_keypair_parse(rds_view_text(option), &policy->pair, &fault);
	if (rc != 0)
		return rds_fail(err, RDS_EINVAL,
		                "the key given with -k is no whole secret key: %s; it is not shown",
		                fault.text);
	enforce(policy, rds_keypair_public_text(policy->pair));
	return 0;
}

// A text to be enforced. The key files sign if it is theirs; files that hold another pair, or
// damaged ones, are no error here, but clients will miss the signature.
static void use_given_text(struct rds_key_policy *policy, const struct rds_datadir *dir,
                           const struct rds_key_request *request)
{
	struct rds_keyfiles files = {0};
	struct rds_error fault = {""};
	enforce(policy, request->option);
	if (!request->signs)
		return;
	if (rds_keyfiles_load(dir, &files, &fault) == 0 &&
	    strcmp(rds_keypair_public_text(files.pair), request->option) == 0) {
		if (files.exposed)
			rds_keyfiles_warn_exposed(dir);
		policy->pair = files.pair;
		return;
	}
	rds_log(RDS_LOG_WARN,
	        "can't sign: sessions start without verified encryption, and clients of 1.4.9 and "
	        "later ask their users first",
	        rds_field_text("because",
	                       fault.text[0] != '\0' ? fault.text
	                       : files.pair != NULL
	                               ? "-k is not the key of the files here"
	                               : "-k is a public key and there are no key files"));
	rds_keypair_free(files.pair);
}

// hbbr beside a lone public file, as people copy it to a relay's host: enforces that.
static int use_public_file(struct rds_key_policy *policy, const struct rds_datadir *dir,
                           struct rds_error *err)
{
	char text[RDS_PUBLIC_TEXT + 64];
	size_t len = 0;
	int rc = rds_datadir_read(dir, RDS_PUBLIC_FILE, (uint8_t *)text, sizeof text - 1, &len,
	                          NULL, err);
	if (rc != 0)
		return rc;
	struct rds_view key = rds_view_trim(rds_view_of(text, len));
	if (!rds_text_is_public_key(key))
		return rds_fail(err, RDS_EPARSE,
		                "%s/" RDS_PUBLIC_FILE ": damaged: not base64 of 32 bytes",
		                rds_datadir_path(dir));
	policy->enforced = rds_strndup(key.data, key.len);
	return 0;
}

static int apply(struct rds_key_policy *policy, const struct rds_datadir *dir,
                 const struct rds_key_request *request, struct rds_error *err)
{
	const char *option = request->option;
	if (option == NULL && request->otherwise == RDS_KEY_FILES_OR_OPEN &&
	    !rds_datadir_has(dir, RDS_SECRET_FILE) && !rds_datadir_has(dir, RDS_PUBLIC_FILE))
		return open_to_all(policy, dir, request, err);
	if (option == NULL && request->otherwise == RDS_KEY_FILES_OR_OPEN &&
	    !rds_datadir_has(dir, RDS_SECRET_FILE))
		return use_public_file(policy, dir, err);
	if (option == NULL || strcmp(option, "-") == 0 || strcmp(option, "_") == 0)
		return use_and_enforce_files(policy, dir, err);
	if (option[0] == '\0')
		return open_to_all(policy, dir, request, err);
	if (rds_text_may_be_secret(option, strlen(option)))
		return use_given_secret(policy, option, err);
	use_given_text(policy, dir, request);
	return 0;
}

int rds_key_policy_open(const struct rds_datadir *dir, const struct rds_key_request *request,
                        struct rds_key_policy **out, struct rds_error *err)
{
	struct rds_key_policy *policy = rds_calloc(1, sizeof *policy);
	int rc = apply(policy, dir, request, err);
	if (rc != 0) {
		rds_key_policy_free(policy);
		return rc;
	}
	*out = policy;
	return 0;
}

void rds_key_policy_free(struct rds_key_policy *policy)
{
	if (policy == NULL)
		return;
	rds_keypair_free(policy->pair);
	free(policy->enforced);
	free(policy);
}

const char *rds_key_policy_enforced(const struct rds_key_policy *policy)
{
	return policy->enforced;
}

const char *rds_key_policy_client_text(const struct rds_key_policy *policy)
{
	if (policy->enforced != NULL)
		return policy->enforced;
	return policy->pair != NULL ? rds_keypair_public_text(policy->pair) : NULL;
}

bool rds_key_policy_made(const struct rds_key_policy *policy)
{
	return policy->made;
}

bool rds_key_policy_signs(const struct rds_key_policy *policy)
{
	return policy->pair != NULL;
}

enum rds_key_verdict rds_key_policy_check(const struct rds_key_policy *policy,
                                          struct rds_view licence_key)
{
	if (policy->enforced == NULL)
		return RDS_KEY_OK;
	if (licence_key.len == 0)
		return RDS_KEY_ABSENT;
	return rds_view_equal(licence_key, rds_view_text(policy->enforced)) ? RDS_KEY_OK
	                                                                    : RDS_KEY_WRONG;
}

bool rds_key_policy_sign(const struct rds_key_policy *policy, struct rds_view bytes,
                         uint8_t signature[64])
{
	return policy->pair != NULL && rds_keypair_sign(policy->pair, bytes, signature);
}
