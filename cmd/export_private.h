// SPDX-License-Identifier: MIT
// export-conf's parts: what was asked for, and what there is to be handed out.
#ifndef RDS_CMD_EXPORT_PRIVATE_H
#define RDS_CMD_EXPORT_PRIVATE_H

#include "cmd/known_keys.h"
#include "cmd/out_file.h"
#include "conf/form.h"

struct export_job {
	// What was asked for; texts are argv's.
	const char *out;    // NULL: standard output
	const char *merge;  // the file into which it is merged; NULL: none
	const char *bundle; // the directory; NULL: none
	const char *check;  // the file; NULL: none
	enum rds_form form;
	struct rds_form_options form_options;
	struct rds_out_options out_options;
	bool next_key;
	// What there is.
	struct rds_client_conf conf;
	struct rds_known_keys keys;
};

// "rdsrv export-conf: ..." on stderr.
void export_say(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

// What a form leaves out of the configuration, or wraps up, is told on stderr.
void export_note_form(const struct export_job *job, enum rds_form form, struct rds_view bytes);

// Each does its part with a filled struct and returns the exit code.
int export_one(const struct export_job *job);
int export_bundle(const struct export_job *job);
int export_check(const struct export_job *job);

#endif
