// SPDX-License-Identifier: MIT
// Goal: any text is refused as a client's configuration, or read so that it can be written again.
#include "test/fuzz/fuzzing.h"

#include "conf/client_conf.h"

static void must_be_equal(const struct rds_client_conf *a, const struct rds_client_conf *b)
{
	must(strcmp(a->id_server, b->id_server) == 0);
	must(strcmp(a->relay_server, b->relay_server) == 0);
	must(strcmp(a->api_server, b->api_server) == 0);
	must(strcmp(a->key, b->key) == 0);
}

// Written as a config string and read back.
static struct rds_client_conf again(const struct rds_client_conf *conf)
{
	struct rds_client_conf back = {0};
	char *string = rds_client_conf_string(conf);
	must(strpbrk(string, "+/= \n") == NULL);
	must(rds_client_conf_parse(rds_view_text(string), &back) == 0);
	free(string);
	return back;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint8_t *copy = exact_copy(rds_view_of(data, size));
	struct rds_client_conf conf = {0};
	int rc = rds_client_conf_parse(rds_view_of(copy, size), &conf);
	free(copy);
	must(rc == 0 || rc == -RDS_EPARSE);
	must((rc == 0) == (conf.id_server != NULL));
	if (rc != 0)
		return 0;
	// The first writing keeps one host of a list; from then on nothing changes.
	struct rds_client_conf first = again(&conf);
	struct rds_client_conf second = again(&first);
	must_be_equal(&first, &second);
	char *text = rds_client_conf_server_conf(&conf, NULL);
	must(strncmp(text, "[server]\n", 9) == 0);
	free(text);
	rds_client_conf_clear(&conf);
	rds_client_conf_clear(&first);
	rds_client_conf_clear(&second);
	return 0;
}
