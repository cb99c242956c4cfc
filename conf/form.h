// SPDX-License-Identifier: MIT
// The forms that a client's configuration can take (protocol.md section 13): one table of them,
// written from a struct and read back into one.
#ifndef RDS_CONF_FORM_H
#define RDS_CONF_FORM_H

#include "conf/bytes.h"
#include "conf/client_conf.h"

enum rds_form {
	RDS_FORM_SERVER_CONF,
	RDS_FORM_TOML,
	RDS_FORM_STRING,
	RDS_FORM_JSON,
	RDS_FORM_EXE_NAME,
	RDS_FORM_LINK,
	RDS_FORM_QR,
	RDS_FORM_QR_PNG,
	RDS_FORM_QR_SVG,
	RDS_FORM_SH,
	RDS_FORM_POWERSHELL,
	RDS_FORM_README,
	RDS_FORM_COUNT
};

// What can be said of a form.
struct rds_form_row {
	const char *name; // as --format has it
	const char *file; // its name in a bundle
	bool several;     // holds several hosts; the others only the first
	bool no_api;      // has no place for an API server
	bool binary;      // nothing for a terminal
};
const struct rds_form_row *rds_form_row(enum rds_form form);

// false: there is none of that name.
bool rds_form_find(const char *name, enum rds_form *out);

// For server.conf alone.
struct rds_form_options {
	bool crlf;    // Windows line ends
	bool guessed; // its id_server is a guess: a comment says so
};

// Checks the values, then appends the whole form to *out. -RDS_EINVAL with *err: the values are not
// fit to be handed out, or this form can't hold them.
int rds_form_write(enum rds_form form, const struct rds_client_conf *conf,
                   struct rds_form_options options, struct rds_bytes *out, struct rds_error *err)
        __attribute__((warn_unused_result));

// Reads any form; which one, goes to *form. What is read has been checked for nothing.
// -RDS_EPARSE with *err, and *out untouched.
int rds_form_read(struct rds_view text, enum rds_form *form, struct rds_client_conf *out,
                  struct rds_error *err) __attribute__((warn_unused_result));

// Whether nothing is lost with it: it is empty, or just what rds_form_write makes of the values
// in it.
bool rds_form_is_ours(struct rds_view text);

// Puts our values into a RustDesk2.toml, in the place of those that are there, and leaves the rest
// as it is. Appends the whole file to *out. -RDS_EINVAL as rds_form_write; -RDS_EPARSE with the
// line in *err where the file isn't what it should be.
int rds_form_merge(struct rds_view old, const struct rds_client_conf *conf, struct rds_bytes *out,
                   struct rds_error *err) __attribute__((warn_unused_result));

// Of qrencode, as it is in use.
const char *rds_qrencode_version(void);

#endif
