// SPDX-License-Identifier: MIT
// A second client asks for the device that is registered over UDP.
#ifndef RDS_CMD_CHECK_PUNCH_H
#define RDS_CMD_CHECK_PUNCH_H

#include "cmd/check/play.h"

// Makes punch, punch.key and relay.name. udp: where the device is registered; NULL: it isn't.
void punch_play(struct check *check, struct talks *talks, const struct player *player,
                struct talk *udp);

#endif
