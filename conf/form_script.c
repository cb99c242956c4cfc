// SPDX-License-Identifier: MIT
// Scripts that install the configuration. The RustDesk2.toml stands in them between quotes within
// which no shell looks at anything: a here-document, a here-string. Only a line could end those,
// and each of ours begins with a name.
#include "conf/form_private.h"

#define PLACE "@SETTINGS@\n"

// The scripts as they are, with PLACE in the settings' place.
static const char sh[] =
#include "client.sh.inc"
        ;
static const char powershell[] =
#include "client.ps1.inc"
        ;

static int write_script(const char *script, const struct rds_client_conf *conf,
                        struct rds_bytes *out)
{
	const char *place = strstr(script, PLACE);
	rds_bytes_add(out, script, (size_t)(place - script));
	int rc = form_toml_write(conf, (struct rds_form_options){0}, out, NULL);
	rds_bytes_text(out, place + strlen(PLACE));
	return rc;
}

static int read_script(struct rds_view text, const char *before, const char *behind,
                       struct rds_client_conf *out, struct rds_error *err)
{
	struct rds_view settings;
	if (!form_between(text, before, behind, &settings))
		return rds_fail(err, RDS_EPARSE, "a script, but none of export-conf's");
	return form_toml_read(settings, out, err);
}

int form_sh_write(const struct rds_client_conf *conf, struct rds_form_options options,
                  struct rds_bytes *out, struct rds_error *err)
{
	(void)options;
	(void)err;
	return write_script(sh, conf, out);
}

bool form_sh_looks(struct rds_view text)
{
	return form_begins(text, "#!");
}

int form_sh_read(struct rds_view text, struct rds_client_conf *out, struct rds_error *err)
{
	return read_script(text, "cat <<'END'\n", "\nEND\n", out, err);
}

static bool is_ascii(const struct rds_client_conf *conf)
{
	const char *const texts[] = {conf->id_server, conf->relay_server, conf->api_server,
	                             conf->key};
	for (size_t i = 0; i < 4; i++)
		for (const char *at = texts[i]; *at != '\0'; at++)
			if ((unsigned char)*at >= 0x80)
				return false;
	return true;
}

// Without the mark, Windows' own PowerShell doesn't read UTF-8.
int form_powershell_write(const struct rds_client_conf *conf, struct rds_form_options options,
                          struct rds_bytes *out, struct rds_error *err)
{
	(void)options;
	(void)err;
	rds_bytes_text(out, is_ascii(conf) ? "" : FORM_UTF8_MARK);
	return write_script(powershell, conf, out);
}

bool form_powershell_looks(struct rds_view text)
{
	return form_begins(text, "#requires ");
}

int form_powershell_read(struct rds_view text, struct rds_client_conf *out, struct rds_error *err)
{
	return read_script(text, "$Settings = @'", "\n'@", out, err);
}
