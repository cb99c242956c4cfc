// SPDX-License-Identifier: MIT
// Return codes and the one-line texts that go with them.
#ifndef RDS_CORE_ERROR_H
#define RDS_CORE_ERROR_H

// Functions return 0 or the negative of one of these.
enum rds_code {
	RDS_EINVAL = 1, // a value that can't be meant
	RDS_EPARSE,     // bytes that don't parse
	RDS_EKIND,      // parses, but holds nothing that we know
	RDS_ETOOBIG,    // over a bound of core/limits.h
	RDS_EFULL,      // a bounded table or queue is full
	RDS_EEXIST,     // there already
	RDS_ENOENT,     // not there
	RDS_EBUSY,      // held by another process
	RDS_ESYS,       // the operating system refused
	RDS_ESTORE,     // the database refused
	RDS_ECRYPTO,    // the crypto library refused
};

// What went wrong, as one line for the person at the keyboard: what, where, what to do.
struct rds_error {
	char text[5120]; // room for a path of any length, and the reason behind it
};

// Fills *err (which may be NULL) and returns -code, so that callers can `return rds_fail(...)`.
int rds_fail(struct rds_error *err, enum rds_code code, const char *fmt, ...)
        __attribute__((format(printf, 3, 4)));

#endif
