// SPDX-License-Identifier: MIT
// PNG (RFC 2083), as far as a QR code takes it: black and white, one text in it, not compressed, so
// that the same picture is always the same bytes.
#ifndef RDS_CONF_PNG_H
#define RDS_CONF_PNG_H

#include "conf/bytes.h"

// Appends a picture of `height` rows of row_bytes bytes, eight pixels a byte, 0 black. text (UTF-8)
// goes into it as its description.
void rds_png_write(const uint8_t *rows, size_t row_bytes, size_t height, const char *text,
                   struct rds_bytes *out);

bool rds_png_looks(struct rds_view file);

// The description, as a view of file. false: there is none, or the file is damaged.
bool rds_png_text(struct rds_view file, struct rds_view *out);

#endif
