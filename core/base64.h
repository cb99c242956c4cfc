// SPDX-License-Identifier: MIT
// Base64 (RFC 4648): standard with padding for keys, URL-safe without for config strings.
#ifndef RDS_CORE_BASE64_H
#define RDS_CORE_BASE64_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// Characters (without NUL) that len bytes take, padded.
#define RDS_BASE64_LEN(len) (((len) + 2) / 3 * 4)

// Writes the padded standard form and a NUL; out holds RDS_BASE64_LEN(len) + 1.
void rds_base64_encode(const uint8_t *bytes, size_t len, char *out);

// The same in the URL-safe alphabet, without padding.
void rds_base64url_encode(const uint8_t *bytes, size_t len, char *out);

// Reads the padded standard form, strictly (right length, no stray bits). Returns the number of
// bytes written, -RDS_EPARSE if text isn't base64, -RDS_ETOOBIG if it needs more than cap.
long rds_base64_decode(const char *text, size_t len, uint8_t *out, size_t cap);

// Reads either alphabet, padded or not.
long rds_base64url_decode(const char *text, size_t len, uint8_t *out, size_t cap);

// Whether text could hold a secret key, whole or damaged: more of base64's characters in a row than
// a public key has. Such a text must never be shown or passed on.
bool rds_text_may_be_secret(const char *text, size_t len);

#endif
