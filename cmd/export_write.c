// SPDX-License-Identifier: MIT
// export-conf: one form to standard output or a file, or all of them to a directory.
#include "cmd/cmd.h"
#include "cmd/export_private.h"
#include "core/alloc.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static int complain(const struct rds_error *err, int code)
{
	export_say("%s", err->text);
	return code;
}

static void note_first(const char *list, const char *what, const char *advice)
{
	size_t len = strcspn(list, ",");
	if (list[len] != '\0')
		export_say("note: clients take one %s: of %s, this holds %.*s%s", what, list,
		           (int)len, list, advice);
}

void export_note_form(const struct export_job *job, enum rds_form form, struct rds_view bytes)
{
	const struct rds_form_row *row = rds_form_row(form);
	if (!row->several) {
		note_first(job->conf.id_server, "ID server",
		           "; for other clients, export again with --id-server HOST");
		note_first(job->conf.relay_server, "relay", "");
	}
	if (row->no_api && job->conf.api_server[0] != '\0')
		export_say("note: %s has no place for the API server", row->name);
	static const char licensed[] = "rustdesk-licensed-";
	if (form == RDS_FORM_EXE_NAME && bytes.len > sizeof licensed &&
	    memcmp(bytes.data, licensed, sizeof licensed - 1) == 0)
		export_say("note: the values hold what can't be in a file name on Windows, so "
		           "they are in it as a config string");
}

static int write_merged(const struct export_job *job, struct rds_bytes *bytes,
                        struct rds_error *err)
{
	uint8_t *old = NULL;
	size_t len = 0;
	int rc = rds_in_file_read(job->merge, &old, &len, err);
	if (rc != 0)
		return rc;
	struct rds_error why = {""};
	rc = rds_form_merge(rds_view_of(old, len), &job->conf, bytes, &why);
	free(old);
	return rc == 0 ? 0 : rds_fail(err, RDS_EPARSE, "%s: %s", job->merge, why.text);
}

// The file that is merged into may be the one that is written.
static bool is_merged_in_place(const struct export_job *job)
{
	struct stat from;
	struct stat to;
	return job->merge != NULL && stat(job->merge, &from) == 0 && stat(job->out, &to) == 0 &&
	       from.st_dev == to.st_dev && from.st_ino == to.st_ino;
}

static int to_file(const struct export_job *job, struct rds_view bytes)
{
	struct rds_error err = {""};
	struct rds_out_options options = job->out_options;
	options.force = options.force || is_merged_in_place(job);
	if (rds_out_file_write(job->out, bytes, &options, &err) != 0)
		return complain(&err, RDS_EXIT_PROBLEM);
	export_say("wrote %s (%s)", job->out, rds_form_row(job->form)->name);
	return RDS_EXIT_OK;
}

static int to_stdout(const struct export_job *job, struct rds_view bytes)
{
	if (rds_form_row(job->form)->binary && isatty(STDOUT_FILENO) == 1) {
		export_say("%s is nothing for a terminal: name a file with -o",
		           rds_form_row(job->form)->name);
		return RDS_EXIT_USAGE;
	}
	(void)fwrite(bytes.data, 1, bytes.len, stdout);
	return RDS_EXIT_OK;
}

int export_one(const struct export_job *job)
{
	struct rds_error err = {""};
	struct rds_bytes bytes = {0};
	int rc = job->merge != NULL
	                 ? write_merged(job, &bytes, &err)
	                 : rds_form_write(job->form, &job->conf, job->form_options, &bytes, &err);
	int code = RDS_EXIT_PROBLEM;
	if (rc != 0) {
		code = complain(&err, RDS_EXIT_PROBLEM);
	} else {
		struct rds_view view = rds_bytes_view(&bytes);
		export_note_form(job, job->form, view);
		code = job->out != NULL ? to_file(job, view) : to_stdout(job, view);
	}
	rds_bytes_clear(&bytes);
	return code;
}

// --- a bundle

struct bundle {
	const struct export_job *job;
	char *paths[RDS_FORM_COUNT];
	struct rds_bytes files[RDS_FORM_COUNT]; // empty: that form can't hold it
};

static int fill(struct bundle *bundle, struct rds_error *err)
{
	const struct export_job *job = bundle->job;
	int rc = rds_client_conf_check(&job->conf, err);
	for (int i = 0; i < RDS_FORM_COUNT && rc == 0; i++) {
		enum rds_form form = (enum rds_form)i;
		struct rds_error why = {""};
		bundle->paths[i] = rds_asprintf("%s/%s", job->bundle, rds_form_row(form)->file);
		if (rds_form_write(form, &job->conf, job->form_options, &bundle->files[i], &why) ==
		    0)
			continue;
		export_say("note: no %s: %s", rds_form_row(form)->file, why.text);
		// One of another time would be taken for right.
		if (access(bundle->paths[i], F_OK) == 0)
			rc = rds_fail(err, RDS_EEXIST, "%s: is there from before: remove it",
			              bundle->paths[i]);
	}
	return rc;
}

// All is looked at before the first is written.
static int write_files(const struct bundle *bundle, struct rds_error *err)
{
	const struct rds_out_options *options = &bundle->job->out_options;
	int rc = 0;
	for (int i = 0; i < RDS_FORM_COUNT && rc == 0; i++)
		if (bundle->files[i].len > 0)
			rc = rds_out_file_check(bundle->paths[i], rds_bytes_view(&bundle->files[i]),
			                        options->force, err);
	for (int i = 0; i < RDS_FORM_COUNT && rc == 0; i++)
		if (bundle->files[i].len > 0)
			rc = rds_out_file_write(bundle->paths[i], rds_bytes_view(&bundle->files[i]),
			                        options, err);
	return rc;
}

static int make_directory(const char *path, struct rds_error *err)
{
	if (mkdir(path, 0755) != 0 && errno != EEXIST)
		return rds_fail(err, RDS_ESYS, "%s: can't make it: %s", path, strerror(errno));
	return 0;
}

int export_bundle(const struct export_job *job)
{
	struct rds_error err = {""};
	struct bundle bundle = {.job = job};
	int rc = fill(&bundle, &err);
	if (rc == 0)
		rc = make_directory(job->bundle, &err);
	if (rc == 0)
		rc = write_files(&bundle, &err);
	if (rc == 0) {
		export_note_form(job, RDS_FORM_TOML, rds_view_of(NULL, 0));
		export_say("wrote all forms to %s: see %s there", job->bundle,
		           rds_form_row(RDS_FORM_README)->file);
	}
	for (int i = 0; i < RDS_FORM_COUNT; i++) {
		free(bundle.paths[i]);
		rds_bytes_clear(&bundle.files[i]);
	}
	return rc == 0 ? RDS_EXIT_OK : complain(&err, RDS_EXIT_PROBLEM);
}
