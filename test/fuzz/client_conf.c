// SPDX-License-Identifier: MIT
// Goal: any bytes are refused as a client's configuration, or read; what is fit to be handed out is
// written in every form so that it reads back the same; and into a RustDesk2.toml it goes for good.
#include "test/fuzz/fuzzing.h"

#include "conf/form.h"

static bool same(const struct rds_client_conf *a, const struct rds_client_conf *b, bool no_api)
{
	return strcmp(a->id_server, b->id_server) == 0 &&
	       strcmp(a->relay_server, b->relay_server) == 0 &&
	       (no_api || strcmp(a->api_server, b->api_server) == 0) && strcmp(a->key, b->key) == 0;
}

static void must_read_as(struct rds_view text, enum rds_form form,
                         const struct rds_client_conf *conf)
{
	struct rds_client_conf back = {0};
	enum rds_form found = RDS_FORM_COUNT;
	must(rds_form_read(text, &found, &back, NULL) == 0);
	must(found == form);
	must(same(conf, &back, rds_form_row(form)->no_api));
	rds_client_conf_clear(&back);
}

static void in_form(enum rds_form form, const struct rds_client_conf *conf)
{
	struct rds_bytes bytes = {0};
	// The file for people says so of a key that isn't there.
	if (form == RDS_FORM_README && strcmp(conf->key, "(empty)") == 0)
		return;
	int rc = rds_form_write(form, conf, (struct rds_form_options){.crlf = true}, &bytes, NULL);
	// Only installers' names have no room for everything.
	must(rc == 0 || form == RDS_FORM_EXE_NAME);
	if (rc == 0) {
		must_read_as(rds_bytes_view(&bytes), form, conf);
		must(rds_form_is_ours(rds_bytes_view(&bytes)));
	}
	rds_bytes_clear(&bytes);
}

// Whether it begins as another form does.
static bool looks_otherwise(struct rds_view text)
{
	static const char *const signs[] = {"#!", "#requires ", "config="};
	static const char mark[] = "\xef\xbb\xbf";
	if (text.len >= 3 && memcmp(text.data, mark, 3) == 0)
		text = rds_view_of(text.data + 3, text.len - 3);
	text = rds_view_trim(text);
	for (size_t i = 0; i < sizeof signs / sizeof signs[0]; i++)
		if (text.len >= strlen(signs[i]) &&
		    memcmp(text.data, signs[i], strlen(signs[i])) == 0)
			return true;
	return false;
}

// Whatever file it is: if ours goes into it, it is read from there, and stays.
static void merged(struct rds_view old, const struct rds_client_conf *conf)
{
	struct rds_bytes once = {0};
	struct rds_bytes twice = {0};
	if (rds_form_merge(old, conf, &once, NULL) == 0) {
		if (!looks_otherwise(old))
			must_read_as(rds_bytes_view(&once), RDS_FORM_TOML, conf);
		must(rds_form_merge(rds_bytes_view(&once), conf, &twice, NULL) == 0);
		must(rds_view_equal(rds_bytes_view(&once), rds_bytes_view(&twice)));
	}
	rds_bytes_clear(&once);
	rds_bytes_clear(&twice);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static char host[] = "id.example";
	static char relay[] = "";
	static char key[] = "it's";
	const struct rds_client_conf fixed = {host, relay, relay, key};
	uint8_t *copy = exact_copy(rds_view_of(data, size));
	struct rds_view text = rds_view_of(copy, size);
	struct rds_client_conf conf = {0};
	enum rds_form form;
	int rc = rds_form_read(text, &form, &conf, NULL);
	must(rc == 0 || rc == -RDS_EPARSE);
	must((rc == 0) == (conf.id_server != NULL));
	(void)rds_form_is_ours(text);
	merged(text, &fixed);
	free(copy);
	if (rc == 0 && rds_client_conf_check(&conf, NULL) == 0) {
		struct rds_client_conf first = rds_client_conf_first(&conf);
		for (int i = 0; i < RDS_FORM_COUNT; i++)
			in_form((enum rds_form)i, &first);
		rds_client_conf_clear(&first);
	}
	rds_client_conf_clear(&conf);
	return 0;
}
