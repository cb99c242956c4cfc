// SPDX-License-Identifier: MIT
// A session through a relay, both sides played.
#ifndef RDS_CMD_CHECK_SESSION_H
#define RDS_CMD_CHECK_SESSION_H

#include "cmd/check/play.h"

struct session {
	struct talk *sides[2];
	unsigned p50_us;    // of a small message's way there and back
	uint64_t rate_bps;  // bytes a second, both directions together
	const char *failed; // which step went wrong; NULL: none
};

// Where the two sides go, and how.
struct session_way {
	const char *host;
	enum talk_by by[2];
	uint16_t ports[2];
};

// Pairs two connections at that relay with the key, and sends 64 KiB each way. The second goes to
// the very address that the first one reached. false: session->failed, and the talks, say why.
bool session_play(struct talks *talks, const struct session_way *way, const char *key,
                  const char *uuid, struct session *session);

// The relay in this data directory is told to expect the session, where it takes no others.
void session_announce(const struct check *check, const char *uuid);

// What went wrong, into a result.
void session_fault(struct check_result *result, const struct check *check,
                   const struct session *session, const char *host, uint16_t port);

// What was measured, in words.
void session_fine(struct check_result *result, const struct session *session);

#endif
