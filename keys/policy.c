// SPDX-License-Identifier: MIT
#include "keys/policy.h"

#include "core/alloc.h"
#include "core/base64.h"
#include "core/log.h"
#include "keys/rotate.h"

#include <stdlib.h>

// A client that holds the text may come in until then.
struct key {
	char *text;
	struct rds_keypair *pair; // NULL: can't sign
	uint32_t handle;
	int64_t until; // of retired ones; FOREVER
};

#define FOREVER INT64_MAX

// The files that a policy is made of, and how they were when they were read.
static const char *const watched[] = {RDS_SECRET_FILE, RDS_PUBLIC_FILE, RDS_KEYRING_FILE};
#define N_WATCHED (sizeof watched / sizeof watched[0])

struct rds_key_policy {
	const struct rds_datadir *dir;
	char *option; // of the request; NULL: none
	struct rds_key_request request;
	struct key *keys; // the current one first; empty: none
	size_t n;
	uint32_t last_handle;
	bool enforces; // one of them has to be shown
	bool signs;    // the first one has a pair
	bool made;
	struct stat seen[N_WATCHED];
};

static void add_key(struct rds_key_policy *policy, const char *text, struct rds_keypair *pair,
                    int64_t until)
{
	policy->keys = rds_realloc(policy->keys, policy->n + 1, sizeof *policy->keys);
	policy->keys[policy->n++] = (struct key){.text = rds_strdup(text),
	                                         .pair = pair,
	                                         .handle = ++policy->last_handle,
	                                         .until = until};
}

static void clear_keys(struct rds_key_policy *policy)
{
	for (size_t i = 0; i < policy->n; i++) {
		rds_keypair_free(policy->keys[i].pair);
		free(policy->keys[i].text);
	}
	free(policy->keys);
	policy->keys = NULL;
	policy->n = 0;
}

// Takes the pairs out of the ring.
static void add_ring(struct rds_key_policy *policy, struct rds_keyring *ring)
{
	if (ring->next != NULL)
		add_key(policy, rds_keypair_public_text(ring->next), ring->next, FOREVER);
	ring->next = NULL;
	for (size_t i = ring->n_retired; i-- > 0;) {
		struct rds_retired_key *key = &ring->retired[i];
		add_key(policy, key->public_text, key->pair, key->accepted_until);
		key->pair = NULL;
	}
}

// The pair of the files, made if need be, and the keyring's.
static int use_files(struct rds_key_policy *policy, struct rds_error *err)
{
	struct rds_keyfiles files;
	struct rds_keyring ring;
	struct rds_keypair *pair = NULL;
	int rc = rds_keys_load(policy->dir, &files, &ring, err);
	rds_keypair_free(files.pair);
	if (rc == 0 || rc == -RDS_ENOENT)
		rc = rds_keyfiles_load_or_make(policy->dir, &pair, &policy->made, err);
	if (rc == 0) {
		add_key(policy, rds_keypair_public_text(pair), pair, FOREVER);
		add_ring(policy, &ring);
	}
	rds_keyring_clear(&ring);
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
	        rds_field_text("because", policy->request.option != NULL
	                                          ? "-k is empty"
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
	add_key(policy, rds_keypair_public_text(pair), pair, FOREVER);
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
			add_key(policy, copy, NULL, FOREVER);
		free(copy);
		rest += len + (rest[len] == ',');
	}
}

// The pair of that text, if the files or the keyring have it: taken out of there.
static struct rds_keypair *take_pair(struct rds_keyfiles *files, struct rds_keyring *ring,
                                     const char *text)
{
	struct rds_retired_key *retired = rds_keyring_find(ring, rds_view_text(text));
	struct rds_keypair **from = retired == NULL ? NULL : &retired->pair;
	if (files->pair != NULL && strcmp(rds_keypair_public_text(files->pair), text) == 0)
		from = &files->pair;
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
	                       : has_files
	                               ? "-k is not the key of the files here"
	                               : "-k is a public key and there are no key files"));
}

// Texts to be enforced. Key files sign if a text is theirs; files that hold another pair, or
// damaged ones, are no error here, but clients will miss the signature.
static int use_given_texts(struct rds_key_policy *policy, struct rds_error *err)
{
	struct rds_keyfiles files = {0};
	struct rds_keyring ring = {0};
	struct rds_error fault = {""};
	policy->enforces = true;
	add_texts(policy);
	if (policy->n == 0)
		return rds_fail(err, RDS_EINVAL, "no key in the list that -k gives");
	if (!policy->request.signs)
		return 0;
	bool has_files = rds_keys_load(policy->dir, &files, &ring, &fault) == 0;
	for (size_t i = 0; i < policy->n; i++)
		policy->keys[i].pair = take_pair(&files, &ring, policy->keys[i].text);
	if (policy->keys[0].pair == NULL)
		warn_of_no_pair(&fault, has_files);
	else if (files.exposed)
		rds_keyfiles_warn_exposed(policy->dir);
	rds_keypair_free(files.pair);
	rds_keyring_clear(&ring);
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
	add_key(policy, copy, NULL, FOREVER);
	free(copy);
	return 0;
}

static int apply(struct rds_key_policy *policy, struct rds_error *err)
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

static void look(const struct rds_datadir *dir, struct stat seen[N_WATCHED])
{
	for (size_t i = 0; i < N_WATCHED; i++)
		if (!rds_datadir_stat(dir, watched[i], &seen[i]))
			seen[i] = (struct stat){0};
}

int rds_key_policy_open(const struct rds_datadir *dir, const struct rds_key_request *request,
                        struct rds_key_policy **out, struct rds_error *err)
{
	struct rds_key_policy *policy = rds_calloc(1, sizeof *policy);
	policy->dir = dir;
	policy->option = rds_strdup(request->option);
	policy->request = *request;
	policy->request.option = policy->option;
	// What changes while it is read is read again.
	look(dir, policy->seen);
	int rc = apply(policy, err);
	if (rc != 0) {
		rds_key_policy_free(policy);
		return rc;
	}
	policy->signs = policy->n > 0 && policy->keys[0].pair != NULL;
	*out = policy;
	return 0;
}

void rds_key_policy_free(struct rds_key_policy *policy)
{
	if (policy == NULL)
		return;
	clear_keys(policy);
	if (policy->option != NULL)
		rds_wipe(policy->option, strlen(policy->option));
	free(policy->option);
	free(policy);
}

static bool same_file(const struct stat *a, const struct stat *b)
{
	return a->st_ino == b->st_ino && a->st_size == b->st_size &&
	       a->st_mtim.tv_sec == b->st_mtim.tv_sec && a->st_mtim.tv_nsec == b->st_mtim.tv_nsec;
}

bool rds_key_policy_is_stale(const struct rds_key_policy *policy)
{
	if (policy->n == 0)
		return false; // open to all: a restart is what changes that
	struct stat now[N_WATCHED];
	look(policy->dir, now);
	for (size_t i = 0; i < N_WATCHED; i++)
		if (!same_file(&now[i], &policy->seen[i]))
			return true;
	return false;
}

static struct key *find_text(const struct rds_key_policy *policy, struct rds_view text)
{
	for (size_t i = 0; i < policy->n; i++)
		if (rds_view_equal(text, rds_view_text(policy->keys[i].text)))
			return &policy->keys[i];
	return NULL;
}

static struct key *find_handle(const struct rds_key_policy *policy, uint32_t handle)
{
	for (size_t i = 0; i < policy->n; i++)
		if (policy->keys[i].handle == handle)
			return &policy->keys[i];
	return NULL;
}

static bool has_text(const char *text, const char *other)
{
	return text == other || (text != NULL && other != NULL && strcmp(text, other) == 0);
}

// The fresh one's keys with the handles that they had.
static void take_over(struct rds_key_policy *policy, struct rds_key_policy *fresh)
{
	uint32_t last = policy->last_handle;
	for (size_t i = 0; i < fresh->n; i++) {
		const struct key *old = find_text(policy, rds_view_text(fresh->keys[i].text));
		fresh->keys[i].handle = old != NULL ? old->handle : ++last;
	}
	struct rds_key_policy before = *policy;
	*policy = *fresh;
	policy->last_handle = last;
	*fresh = before;
}

int rds_key_policy_reload(struct rds_key_policy *policy, bool *changed, struct rds_error *err)
{
	struct rds_key_policy *fresh = NULL;
	*changed = false;
	// Files that are gone for the moment are not made anew behind anybody's back.
	if (policy->signs && !rds_datadir_has(policy->dir, RDS_SECRET_FILE))
		return rds_fail(err, RDS_ENOENT, "%s/" RDS_SECRET_FILE " is gone",
		                rds_datadir_path(policy->dir));
	policy->request.again = true;
	int rc = rds_key_policy_open(policy->dir, &policy->request, &fresh, err);
	if (rc != 0)
		return rc;
	*changed = !has_text(rds_key_policy_client_text(policy), rds_key_policy_client_text(fresh));
	take_over(policy, fresh);
	rds_key_policy_free(fresh);
	return 0;
}

const char *rds_key_policy_enforced(const struct rds_key_policy *policy)
{
	return policy->enforces && policy->n > 0 ? policy->keys[0].text : NULL;
}

const char *rds_key_policy_client_text(const struct rds_key_policy *policy)
{
	return policy->n > 0 ? policy->keys[0].text : NULL;
}

bool rds_key_policy_made(const struct rds_key_policy *policy)
{
	return policy->made;
}

bool rds_key_policy_signs(const struct rds_key_policy *policy)
{
	return policy->signs;
}

enum rds_key_verdict rds_key_policy_check(const struct rds_key_policy *policy, int64_t now,
                                          struct rds_view licence_key, uint32_t *held)
{
	const struct key *key = find_text(policy, licence_key);
	*held = key == NULL ? RDS_KEY_CURRENT : key->handle;
	if (!policy->enforces || (key != NULL && now < key->until))
		return RDS_KEY_OK;
	return licence_key.len == 0 ? RDS_KEY_ABSENT : key != NULL ? RDS_KEY_RETIRED : RDS_KEY_WRONG;
}

int64_t rds_key_policy_accepted_until(const struct rds_key_policy *policy,
                                      struct rds_view licence_key)
{
	const struct key *key = find_text(policy, licence_key);
	return key == NULL || key->until == FOREVER ? 0 : key->until;
}

const char *rds_key_policy_text(const struct rds_key_policy *policy, uint32_t held)
{
	const struct key *key = find_handle(policy, held);
	return key == NULL ? NULL : key->text;
}

size_t rds_key_policy_signers(const struct rds_key_policy *policy, int64_t now,
                              uint32_t handles[RDS_OFFERED_KEYS])
{
	size_t n = 0;
	for (size_t i = 0; i < policy->n && n < RDS_OFFERED_KEYS; i++)
		if (policy->keys[i].pair != NULL && now < policy->keys[i].until)
			handles[n++] = policy->keys[i].handle;
	return n;
}

bool rds_key_policy_sign(const struct rds_key_policy *policy, uint32_t held, struct rds_view bytes,
                         uint8_t signature[64])
{
	const struct key *key = find_handle(policy, held);
	if (key == NULL || key->pair == NULL)
		key = policy->n > 0 ? &policy->keys[0] : NULL;
	return key != NULL && key->pair != NULL && rds_keypair_sign(key->pair, bytes, signature);
}
