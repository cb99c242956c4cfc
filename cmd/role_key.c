// SPDX-License-Identifier: MIT
// A role's key: how it comes by it, and the callbacks by which core and net reach it.
#include "cmd/role_private.h"

#include "core/base64.h"
#include "core/text.h"
#include "keys/keypair.h"

#include <time.h>

// How often the key files are looked at, and what clients show is written down.
#define WATCH_MS      1000
#define SAVE_EVERY_MS 300000

int role_key_open(struct role *role, struct rds_error *err)
{
	struct rds_key_request request = {
	        .option = rds_settings_is_set(role->settings, RDS_SET_KEY)
	                          ? rds_settings_text(role->settings, RDS_SET_KEY)
	                          : NULL,
	        .otherwise = role->kind->key_default,
	        .signs = role->kind->id,
	};
	struct rds_error fault;
	role->key_use = rds_key_use_new();
	if (rds_key_use_load(role->key_use, role->dir, role->kind->id ? "id" : "relay", &fault) !=
	    0)
		rds_log(RDS_LOG_WARN, "which keys were in use is not known",
		        rds_field_text("why", fault.text));
	int rc = rds_key_policy_open(role->dir, &request, &role->key, err);
	if (rc == 0 && !role->kind->id && rds_key_policy_made(role->key))
		rds_log(RDS_LOG_WARN,
		        "this relay has a key of its own: if its ID server runs elsewhere, or from "
		        "another directory, give it that server's public key",
		        rds_field_text("run", "rdsrv relay -k PUBLIC"));
	return rc;
}

int role_key_check(const struct role *role, struct rds_error *err)
{
	const char *text = rds_settings_text(role->settings, RDS_SET_KEY);
	struct rds_keypair *pair = NULL;
	struct rds_error fault;
	if (!rds_text_may_be_secret(text, strlen(text)))
		return 0;
	int rc = rds_keypair_parse(rds_view_text(text), &pair, &fault);
	rds_keypair_free(pair);
	return rc == 0 ? 0
	               : rds_fail(err, RDS_EINVAL, "%s: the secret key: %s",
	                          rds_settings_where(role->settings, RDS_SET_KEY), fault.text);
}

static enum rds_key_verdict check(void *ctx, struct rds_view licence_key,
                                  const struct rds_addr *from, uint32_t *held)
{
	struct role *role = ctx;
	int64_t now = (int64_t)time(NULL);
	enum rds_key_verdict verdict = rds_key_policy_check(role->key, now, licence_key, held);
	const char *text = rds_key_policy_text(role->key, *held);
	if (from != NULL && text != NULL && rds_text_is_public_key(licence_key))
		rds_key_use_note(role->key_use, text, &from->ip, now);
	return verdict;
}

static bool sign(void *ctx, uint32_t held, struct rds_view bytes,
                 uint8_t signature[RDS_SIGNATURE_BYTES])
{
	const struct role *role = ctx;
	return rds_key_policy_sign(role->key, held, bytes, signature);
}

static void refused(void *ctx, enum rds_key_verdict verdict, struct rds_view licence_key,
                    struct rds_view id, const struct rds_addr *from)
{
	struct role *role = ctx;
	uint64_t held_back;
	char ours[RDS_FINGERPRINT_TEXT];
	char theirs[RDS_FINGERPRINT_TEXT];
	char until[RDS_TIME_TEXT];
	if (!rds_log_limit_pass(&role->key_refusals, rds_loop_now_ms(role->loop), &held_back))
		return;
	rds_fingerprint(rds_view_text(rds_key_policy_enforced(role->key)), ours);
	rds_fingerprint(licence_key, theirs);
	rds_text_time(rds_key_policy_accepted_until(role->key, licence_key), until);
	rds_log(RDS_LOG_WARN, "key refused", rds_field_reason(rds_key_reason(verdict)),
	        rds_field_text("client_has", theirs), rds_field_text("server_has", ours),
	        rds_field_text("accepted_until", until), rds_field_bytes("id", id),
	        rds_field_addr("from", from), rds_field_uint("not_logged_before", held_back));
}

struct rds_key_hooks role_key_hooks(struct role *role)
{
	return (struct rds_key_hooks){
	        .ctx = role, .check = check, .refused = refused, .sign = sign};
}

void role_key_log(const struct role *role)
{
	const char *text = rds_key_policy_client_text(role->key);
	char fingerprint[RDS_FINGERPRINT_TEXT];
	if (text == NULL)
		return;
	rds_fingerprint(rds_view_text(text), fingerprint);
	rds_log(RDS_LOG_INFO, "server key", rds_field_text("key", text),
	        rds_field_text("fingerprint", fingerprint),
	        rds_field_text("enforced",
	                       rds_key_policy_enforced(role->key) != NULL ? "yes" : "no"));
}

static struct rds_view offer(void *ctx, uint64_t now_ms, const struct rds_ip *from, uint32_t *key)
{
	struct role *role = ctx;
	*key = role->n_offered == 0 ? RDS_KEY_CURRENT
	                            : rds_key_choice_next(role->key_choice, from, role->offered,
	                                                  role->n_offered);
	return rds_offerer_offer(role->offerer, now_ms, *key);
}

static struct rds_channel *accept_answer(void *ctx, uint64_t now_ms, const struct rds_ip *from,
                                         uint32_t key, struct rds_view payload)
{
	struct role *role = ctx;
	struct rds_channel *channel = rds_offerer_accept(role->offerer, now_ms, payload);
	if (channel != NULL)
		rds_key_choice_opened(role->key_choice, from, key);
	return channel;
}

static void refused_offer(void *ctx, const struct rds_ip *from, uint32_t key)
{
	struct role *role = ctx;
	rds_key_choice_refused(role->key_choice, from, key);
}

// The keys that offers are signed with change with the files, and with time: one whose grace ends
// is offered no more.
static void set_offered_keys(struct role *role)
{
	uint32_t handles[RDS_OFFERED_KEYS];
	if (role->offerer == NULL)
		return;
	size_t n = rds_key_policy_signers(role->key, (int64_t)time(NULL), handles);
	if (n == role->n_offered && memcmp(handles, role->offered, n * sizeof *handles) == 0)
		return;
	memcpy(role->offered, handles, n * sizeof *handles);
	role->n_offered = n;
	rds_offerer_set_keys(role->offerer, handles, n);
}

const struct rds_secure_hooks *role_secure_open(struct role *role, struct rds_secure_hooks *hooks)
{
	struct rds_key_hooks keys = role_key_hooks(role);
	bool wanted = rds_settings_number(role->settings, RDS_SET_SECURE_TCP) != 0;
	if (!wanted || !rds_key_policy_signs(role->key)) {
		rds_log(RDS_LOG_WARN,
		        "no secure channel on TCP: clients behind proxies can't register, and "
		        "logged-in ones can't connect",
		        rds_field_text("because", wanted ? "there is no key to sign its offer with"
		                                         : "secure-tcp is off"));
		return NULL;
	}
	role->offerer = rds_offerer_new(&keys, NULL);
	role->key_choice = rds_key_choice_new(&role->seed);
	set_offered_keys(role);
	*hooks = (struct rds_secure_hooks){.ctx = role,
	                                   .offer = offer,
	                                   .accept = accept_answer,
	                                   .refused = refused_offer,
	                                   .open = rds_channel_open,
	                                   .seal = rds_channel_seal,
	                                   .free = rds_channel_free};
	return hooks;
}

// One message a minute is enough about files that can't be read.
static void complain_of_keys(struct role *role, const struct rds_error *err)
{
	uint64_t now_ms = rds_loop_now_ms(role->loop);
	if (role->key_complaint_ms != 0 && now_ms - role->key_complaint_ms < 60000)
		return;
	role->key_complaint_ms = now_ms;
	rds_log(RDS_LOG_ERROR, "key files changed, but can't be used: the old key goes on",
	        rds_field_text("why", err->text));
}

static int reload(struct role *role, struct rds_error *err)
{
	enum rds_key_news news;
	int rc = rds_key_policy_reload(role->key, &news, err);
	if (rc != 0)
		return rc;
	role->key_complaint_ms = 0;
	bool changed = news == RDS_KEY_NEWS_CURRENT;
	rds_log(news == RDS_KEY_NEWS_NONE ? RDS_LOG_DEBUG : RDS_LOG_INFO,
	        changed ? "took over a new key" : "took over changed key files",
	        rds_field_text("directory", rds_datadir_path(role->dir)));
	if (changed)
		role_key_log(role);
	if (changed && role->kind->id)
		role_write_server_conf(role, false);
	return 0;
}

int role_key_follow(struct role *role, struct rds_error *err)
{
	int rc = rds_key_policy_is_stale(role->key) ? reload(role, err) : 0;
	set_offered_keys(role);
	return rc;
}

void role_key_use_save(struct role *role)
{
	struct rds_error err;
	role->key_use_saved_ms = rds_loop_now_ms(role->loop);
	if (rds_key_use_is_changed(role->key_use) &&
	    rds_key_use_save(role->key_use, role->dir, role->kind->id ? "id" : "relay",
	                     (int64_t)time(NULL), &err) != 0)
		rds_log(RDS_LOG_WARN, "which keys are in use could not be written down",
		        rds_field_text("why", err.text));
}

static void on_watch(void *ctx)
{
	struct role *role = ctx;
	struct rds_error err;
	int rc = role_key_follow(role, &err);
	if (rc != 0 && rc != -RDS_EBUSY)
		complain_of_keys(role, &err);
	if (rds_loop_now_ms(role->loop) - role->key_use_saved_ms >= SAVE_EVERY_MS)
		role_key_use_save(role);
}

void role_key_watch(struct role *role)
{
	role->key_use_saved_ms = rds_loop_now_ms(role->loop);
	role->key_timer = rds_timer_every(role->loop, WATCH_MS, on_watch, role);
}

void role_key_close(struct role *role)
{
	if (role->key_timer != NULL)
		role_key_use_save(role);
	rds_timer_free(role->key_timer);
	rds_key_use_free(role->key_use);
	rds_key_choice_free(role->key_choice);
	rds_key_policy_free(role->key);
}
