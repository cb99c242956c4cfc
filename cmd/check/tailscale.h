// SPDX-License-Identifier: MIT
// What `tailscale status --json` says of this machine.
#ifndef RDS_CMD_CHECK_TAILSCALE_H
#define RDS_CMD_CHECK_TAILSCALE_H

#include "core/addr.h"

struct check_tailnet {
	char state[32]; // "Running", "NeedsLogin", "Stopped"
	char name[256]; // MagicDNS's, without the dot at its end; "": none
	struct rds_ip ips[4];
	size_t n_ips;
};

// false: that is not what it says.
bool check_tailnet_parse(const char *json, struct check_tailnet *out);

#endif
