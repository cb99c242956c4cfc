// SPDX-License-Identifier: MIT
// What two runs of checks say together: one at the server, one elsewhere.
#ifndef RDS_CMD_CHECK_COMPARE_H
#define RDS_CMD_CHECK_COMPARE_H

#include "cmd/check/check.h"

struct compare_runs {
	const struct check_result *inside; // borrows: of the report
	size_t n_inside;
	const struct check_result *outside; // borrows: of this run
	size_t n_outside;
	const char *host; // what the server is called here
	uint16_t id_port;
	uint16_t nat_port;
	uint16_t relay_port;
	uint16_t websocket_port;
	uint16_t relay_websocket_port;
	uint16_t api_port;
	bool same_network; // this machine has an address in a network of the server's
};

// Results named compare.*, with status, detail and fix; how many. No I/O.
#define COMPARE_MAX 10
size_t compare_judge(const struct compare_runs *runs, struct check_result out[COMPARE_MAX]);

// Whether two machines with these addresses (separated by commas) are in one private network.
bool compare_same_network(const char *here, const char *there);

#endif
