// SPDX-License-Identifier: MIT
// Payloads as one line for people: what was said, and no secret of it.
#ifndef RDS_CORE_MESSAGE_TEXT_H
#define RDS_CORE_MESSAGE_TEXT_H

#include "core/view.h"

// Writes for example `PunchHoleRequest{id="123456789", nat_type=2, licence_key=(44 bytes)}`: the
// fields that are there, in their order. Text is escaped and long text cut; keys, tokens and what
// proves a device's identity appear by length only; addresses are decoded. What is no message is
// said to be none. A line that doesn't fit in cap (NUL included) ends in "...". Returns its length.
size_t rds_message_describe(struct rds_view payload, char *out, size_t cap);

#endif
