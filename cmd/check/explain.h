// SPDX-License-Identifier: MIT
// The table of messages that --explain knows.
#ifndef RDS_CMD_CHECK_EXPLAIN_H
#define RDS_CMD_CHECK_EXPLAIN_H

#include <stddef.h>

struct explain_row {
	const char *message; // as it is shown, without what differs from case to case
	const char *also;    // other forms of it, separated by '|'; NULL: there are none
	const char *means;
	const char *tell;
	const char *fix;
};

extern const struct explain_row explain_rows[];
extern const size_t explain_n_rows;

// How well a text fits a row: 0 not at all; the more the better. The text may be a part of the
// message, in any case, or hold the message, as a line of a log does.
unsigned explain_fits(const struct explain_row *row, const char *text);

#endif
