// SPDX-License-Identifier: MIT
// A role's key: how it comes by it, and the callbacks by which core and net reach it.
#include "cmd/role_private.h"

#include "core/base64.h"
#include "keys/keypair.h"

int role_key_open(struct role *role, struct rds_error *err)
{
	struct rds_key_request request = {
	        .option = rds_settings_is_set(role->settings, RDS_SET_KEY)
	                          ? rds_settings_text(role->settings, RDS_SET_KEY)
	                          : NULL,
	        .otherwise = role->kind->key_default,
	        .signs = role->kind->id,
	};
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

static enum rds_key_verdict check(void *ctx, struct rds_view licence_key)
{
	const struct role *role = ctx;
	return rds_key_policy_check(role->key, licence_key);
}

static bool sign(void *ctx, struct rds_view bytes, uint8_t signature[RDS_SIGNATURE_BYTES])
{
	const struct role *role = ctx;
	return rds_key_policy_sign(role->key, bytes, signature);
}

static void refused(void *ctx, enum rds_key_verdict verdict, struct rds_view licence_key,
                    struct rds_view id, const struct rds_addr *from)
{
	struct role *role = ctx;
	uint64_t held_back;
	char ours[RDS_FINGERPRINT_TEXT];
	char theirs[RDS_FINGERPRINT_TEXT];
	if (!rds_log_limit_pass(&role->key_refusals, rds_loop_now_ms(role->loop), &held_back))
		return;
	rds_fingerprint(rds_view_text(rds_key_policy_enforced(role->key)), ours);
	rds_fingerprint(licence_key, theirs);
	rds_log(RDS_LOG_WARN, "key refused", rds_field_reason(rds_key_reason(verdict)),
	        rds_field_text("client_has", theirs), rds_field_text("server_has", ours),
	        rds_field_bytes("id", id), rds_field_addr("from", from),
	        rds_field_uint("not_logged_before", held_back));
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

static struct rds_view offer(void *ctx, uint64_t now_ms)
{
	return rds_offerer_offer(ctx, now_ms);
}

static struct rds_channel *accept_answer(void *ctx, uint64_t now_ms, struct rds_view payload)
{
	return rds_offerer_accept(ctx, now_ms, payload);
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
	*hooks = (struct rds_secure_hooks){.ctx = role->offerer,
	                                   .offer = offer,
	                                   .accept = accept_answer,
	                                   .open = rds_channel_open,
	                                   .seal = rds_channel_seal,
	                                   .free = rds_channel_free};
	return hooks;
}
