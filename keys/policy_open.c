// SPDX-License-Identifier: MIT
// What -k says, carried out.
#include "keys/policy_private.h"

#include "core/alloc.h"
#include "core/base64.h"
#include "core/log.h"

#include <stdlib.h>

static struct key *add_key(struct rds_key_policy *policy, const char *text,
                           struct rds_keypair *pair)
{
	policy->keys = rds_realloc(policy->keys, policy->n + 1, sizeof *policy->keys);
	struct key *key = &policy->keys[policy->n++];
	*key = (struct key){.text = rds_strdup(text),
	                    .pair = pair,
	                    .handle = ++policy->last_handle,
	                    .until = FOREVER};
	return key;
}

// Takes the pairs out of the ring. Clients rather hold an old key than one that was made ahead.
static void add_ring(struct rds_key_policy *policy, struct rds_keyring *ring)
{
	for (size_t i = ring->n_retired; i-- > 0;) {
		struct rds_retired_key *retired = &ring->retired[i];
		struct key *key = add_key(policy, retired->public_text, retired->pair);
		key->until = retired->accepted_until;
		key->retired_for_good = retired->pair == NULL;
		retired->pair = NULL;
	}
	if (ring->next != NULL)
		(void)add_key(policy, rds_keypair_public_text(ring->next), ring->next);
	ring->next = NULL;
}

// The pair of the files, and the keyring's. A start makes what isn't there; a running server never
// does behind anybody's back.
static int use_files(struct rds_key_policy *policy, struct rds_error *err)
{
	struct rds_keys keys;
	bool again = policy->request.again;
	policy->follows = true;
	int rc =
	        rds_keys_load(policy->dir, again ? RDS_KEYS_FOLLOW : RDS_KEYS_COMPLETE, &keys, err);
	if (rc == -RDS_ENOENT)
		rc = rds_fail(err, RDS_ENOENT, "%s/" RDS_SECRET_FILE " is gone",
		              rds_datadir_path(policy->dir));
	policy->made = keys.made;
	if (rc == 0) {
		(void)add_key(policy, rds_keypair_public_text(keys.files.pair), keys.files.pair);
		keys.files.pair = NULL;
		add_ring(policy, &keys.ring);
	}
	rds_keys_clear(&keys);
	if (rc == 0 && policy->made)
		rds_log(RDS_LOG_INFO, "made a new key pair",
		        rds_field_text("directory", rds_datadir_path(policy->dir)),
		        rds_field_text("files", RDS_SECRET_FILE ", " RDS_PUBLIC_FILE));
	return rc;
}

// "-", "_" or nothing.
static int use_and_enforce_files(struct rds_key_policy *policy, struct rds_error *err)
{
	policy->enforces = true;
	return use_files(policy, err);
}

// "": enforce nothing; an ID server signs all the same.
static int open_to_all(struct rds_key_policy *policy, struct rds_error *err)
{
	if (!policy->request.again)
		rds_log(RDS_LOG_WARN, "no key is enforced: whoever reaches this server can use it",
		        rds_field_text("because",
		                       policy->option != NULL
		                               ? "key (-k) is empty"
		                               : "no -k, and no key files here (as hbbr does)"));
	return policy->request.signs ? use_files(policy, err) : 0;
}

// A secret in the option itself; nothing is written.
static int use_given_secret(struct rds_key_policy *policy, struct rds_error *err)
{
	struct rds_error fault;
	struct rds_keypair *pair = NULL;
	int rc = rds_keypair_parse(rds_view_text(policy->option), &pair, &fault);
	if (rc != 0)
		return rds_fail(err, RDS_EINVAL,
		                "the key given with -k is no whole secret key: %s; it is not shown",
		                fault.text);
	policy->enforces = true;
	(void)add_key(policy, rds_keypair_public_text(pair), pair);
	return 0;
}

// Each text of a list, comma-separated.
static void add_texts(struct rds_key_policy *policy)
{
	const char *rest = policy->option;
	while (*rest != '\0') {
		size_t len = strcspn(rest, ",");
		struct rds_view text = rds_view_trim(rds_view_of(rest, len));
		char *copy = rds_strndup(text.data, text.len);
		if (text.len > 0)
			(void)add_key(policy, copy, NULL);
		free(copy);
		rest += len + (rest[len] == ',');
	}
}

// The pair of that text, if the files or the keyring have it: taken out of there.
static struct rds_keypair *take_pair(struct rds_keys *keys, const char *text)
{
	struct rds_keyring *ring = &keys->ring;
	struct rds_retired_key *retired = rds_keyring_find(ring, rds_view_text(text));
	struct rds_keypair **from = retired == NULL ? NULL : &retired->pair;
	if (keys->files.pair != NULL &&
	    strcmp(rds_keypair_public_text(keys->files.pair), text) == 0)
		from = &keys->files.pair;
	else if (ring->next != NULL && strcmp(rds_keypair_public_text(ring->next), text) == 0)
		from = &ring->next;
	struct rds_keypair *pair = from == NULL ? NULL : *from;
	if (from != NULL)
		*from = NULL;
	return pair;
}

static void warn_of_no_pair(const struct rds_error *fault, bool has_files)
{
	rds_log(RDS_LOG_WARN,
	        "can't sign: sessions start without verified encryption, and clients of 1.4.9 and "
	        "later ask their users first",
	        rds_field_text("because",
	                       fault->text[0] != '\0' ? fault->text
	                       : has_files            ? "-k is not the key of the files here"
	                                   : "-k is a public key and there are no key files"));
}

// Texts to be enforced. Key files sign if a text is theirs; at the start, files that hold another
// pair, or damaged ones, are no error here, but clients will miss the signature.
static int use_given_texts(struct rds_key_policy *policy, struct rds_error *err)
{
	struct rds_keys keys;
	struct rds_error fault = {""};
	bool again = policy->request.again;
	policy->enforces = true;
	add_texts(policy);
	if (policy->n == 0)
		return rds_fail(err, RDS_EINVAL, "no key in the list that -k gives");
	if (!policy->request.signs)
		return 0;
	policy->follows = true;
	int rc = rds_keys_load(policy->dir, again ? RDS_KEYS_FOLLOW : RDS_KEYS_READ, &keys, &fault);
	for (size_t i = 0; i < policy->n && rc == 0; i++)
		policy->keys[i].pair = take_pair(&keys, policy->keys[i].text);
	bool exposed = keys.files.exposed;
	rds_keys_clear(&keys);
	if (rc == -RDS_EBUSY || (again && rc != 0 && rc != -RDS_ENOENT)) {
		*err = fault;
		return rc;
	}
	if (policy->keys[0].pair == NULL)
		warn_of_no_pair(&fault, rc == 0);
	else if (exposed)
		rds_keyfiles_warn_exposed(policy->dir);
	return 0;
}

// hbbr beside a lone public file, as people copy it to a relay's host: enforces that.
static int use_public_file(struct rds_key_policy *policy, struct rds_error *err)
{
	char text[RDS_PUBLIC_TEXT + 64];
	size_t len = 0;
	int rc = rds_datadir_read(policy->dir, RDS_PUBLIC_FILE, (uint8_t *)text, sizeof text - 1,
	                          &len, NULL, err);
	if (rc != 0)
		return rc;
	struct rds_view key = rds_view_trim(rds_view_of(text, len));
	if (!rds_text_is_public_key(key))
		return rds_fail(err, RDS_EPARSE,
		                "%s/" RDS_PUBLIC_FILE ": damaged: not base64 of 32 bytes",
		                rds_datadir_path(policy->dir));
	char *copy = rds_strndup(key.data, key.len);
	policy->enforces = true;
	policy->follows = true;
	(void)add_key(policy, copy, NULL);
	free(copy);
	return 0;
}

int policy_apply(struct rds_key_policy *policy, struct rds_error *err)
{
	const char *option = policy->option;
	bool lone = option == NULL && policy->request.otherwise == RDS_KEY_FILES_OR_OPEN &&
	            !rds_datadir_has(policy->dir, RDS_SECRET_FILE);
	if (lone && !rds_datadir_has(policy->dir, RDS_PUBLIC_FILE))
		return open_to_all(policy, err);
	if (lone)
		return use_public_file(policy, err);
	if (option == NULL || strcmp(option, "-") == 0 || strcmp(option, "_") == 0)
		return use_and_enforce_files(policy, err);
	if (option[0] == '\0')
		return open_to_all(policy, err);
	if (rds_text_may_be_secret(option, strlen(option)))
		return use_given_secret(policy, err);
	return use_given_texts(policy, err);
}
