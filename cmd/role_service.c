// SPDX-License-Identifier: MIT
// What the service manager hears: that we are ready, what we do, that we are alive, that we end.
#include "cmd/role_private.h"

#include "net/notify.h"

// How often the status is looked at, and how long a stop may go on until the next time that it is.
#define STATUS_MS  5000
#define EXTEND_SEC 30

static void make_status(const struct role *role, char out[ROLE_STATUS_TEXT])
{
	size_t len = 0;
	out[0] = '\0';
	if (role->awaited != NULL && role->awaited[0] != '\0')
		len += (size_t)snprintf(out, ROLE_STATUS_TEXT / 2, "waiting for %.100s; ",
		                        role->awaited);
	if (role->id != NULL) {
		struct rds_id_status id;
		rds_id_service_status(role->id, &id);
		len += (size_t)snprintf(out + len, ROLE_STATUS_TEXT - len,
		                        "peers online: %zu of %zu", id.online, id.rules.peers);
	}
	if (role->relay != NULL) {
		struct rds_relay_status relay;
		rds_relay_status(role->relay, &relay);
		(void)snprintf(out + len, ROLE_STATUS_TEXT - len, "%s%ssessions: %zu",
		               role->id != NULL ? "; " : "", relay.draining ? "draining, " : "",
		               relay.sessions);
	}
}

void role_service_tell(struct role *role)
{
	char text[ROLE_STATUS_TEXT];
	make_status(role, text);
	if (strcmp(text, role->service_status) != 0)
		rds_notify("STATUS=%s", text);
	memcpy(role->service_status, text, sizeof text);
}

// Called by the loop, so a loop that hangs says nothing; nor do we if a thread of the relay hangs.
static void on_time(void *ctx)
{
	struct role *role = ctx;
	if (rds_notify_watchdog_ms() > 0 && (role->relay == NULL || rds_relay_answers(role->relay)))
		rds_notify("WATCHDOG=1");
	if (role->stopping)
		rds_notify("EXTEND_TIMEOUT_USEC=%d000000", EXTEND_SEC);
	role_service_tell(role);
}

void role_service_ready(struct role *role)
{
	unsigned half_ms = rds_notify_watchdog_ms() / 2;
	if (!rds_notify_wanted())
		return;
	make_status(role, role->service_status);
	rds_notify("READY=1\nSTATUS=%s", role->service_status);
	role->service = rds_timer_every(role->loop,
	                                half_ms > 0 && half_ms < STATUS_MS ? half_ms : STATUS_MS,
	                                on_time, role);
}

void role_service_reloading(void)
{
	rds_notify_reloading();
}

void role_service_reloaded(const struct role *role)
{
	rds_notify("READY=1\nSTATUS=%s", role->service_status);
}

void role_service_stopping(struct role *role)
{
	if (!role->stopping)
		rds_notify("STOPPING=1");
	role->stopping = true;
}

void role_service_close(struct role *role)
{
	rds_timer_free(role->service);
	rds_notify_close();
}
