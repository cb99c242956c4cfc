// SPDX-License-Identifier: MIT
// TCP framing (protocol.md section 2): a header of 1 to 4 bytes, then the payload.
#ifndef RDS_CORE_FRAME_H
#define RDS_CORE_FRAME_H

#include "core/view.h"

#define RDS_FRAME_HEADER_MAX  4
#define RDS_FRAME_PAYLOAD_MAX 0x3fffffffU

// Looks for one whole frame at the start of buf. Returns the bytes that it takes, with *payload
// viewing into buf; 0 if more bytes are needed; -RDS_ETOOBIG as soon as the header announces
// more than max_payload, without waiting for the rest.
long rds_frame_decode(const uint8_t *buf, size_t len, size_t max_payload, struct rds_view *payload)
        __attribute__((warn_unused_result));

// Writes the shortest header for a payload of len bytes (at most RDS_FRAME_PAYLOAD_MAX) and
// returns its length, 1 to 4.
size_t rds_frame_header(size_t len, uint8_t out[RDS_FRAME_HEADER_MAX]);

#endif
