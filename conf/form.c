// SPDX-License-Identifier: MIT
// The table of forms.
#include "conf/form_private.h"

#include "core/alloc.h"

static const struct form {
	struct rds_form_row row;
	form_write_fn *write;
	form_looks_fn *looks;
	form_read_fn *read;
} forms[RDS_FORM_COUNT] = {
        [RDS_FORM_SERVER_CONF] =
                {{.name = "server.conf", .file = "server.conf", .several = true, .no_api = true},
                 form_ini_write,
                 form_ini_looks,
                 form_ini_read},
        [RDS_FORM_TOML] = {{.name = "toml", .file = "RustDesk2.toml"},
                           form_toml_write,
                           form_toml_looks,
                           form_toml_read},
        [RDS_FORM_STRING] = {{.name = "string", .file = "config-string.txt"},
                             form_string_write,
                             form_string_looks,
                             form_string_read},
        [RDS_FORM_JSON] = {{.name = "json", .file = "config.json"},
                           form_json_write,
                           form_json_looks,
                           form_json_read},
        [RDS_FORM_EXE_NAME] = {{.name = "exe-name", .file = "installer-name.txt"},
                               form_exe_write,
                               form_exe_looks,
                               form_exe_read},
        [RDS_FORM_LINK] = {{.name = "link", .file = "link.txt"},
                           form_link_write,
                           form_link_looks,
                           form_link_read},
        [RDS_FORM_QR] = {{.name = "qr", .file = "qr.txt"},
                         form_qr_write,
                         form_qr_looks,
                         form_qr_read},
        [RDS_FORM_QR_PNG] = {{.name = "qr-png", .file = "qr.png", .binary = true},
                             form_png_write,
                             form_png_looks,
                             form_png_read},
        [RDS_FORM_QR_SVG] = {{.name = "qr-svg", .file = "qr.svg"},
                             form_svg_write,
                             form_svg_looks,
                             form_svg_read},
        [RDS_FORM_SH] = {{.name = "sh", .file = "install.sh"},
                         form_sh_write,
                         form_sh_looks,
                         form_sh_read},
        [RDS_FORM_POWERSHELL] = {{.name = "powershell", .file = "install.ps1"},
                                 form_powershell_write,
                                 form_powershell_looks,
                                 form_powershell_read},
        [RDS_FORM_README] = {{.name = "readme", .file = "README.txt"},
                             form_readme_write,
                             form_readme_looks,
                             form_readme_read},
};

const struct rds_form_row *rds_form_row(enum rds_form form)
{
	return &forms[form].row;
}

bool rds_form_find(const char *name, enum rds_form *out)
{
	for (int i = 0; i < RDS_FORM_COUNT; i++) {
		if (strcmp(name, forms[i].row.name) == 0) {
			*out = (enum rds_form)i;
			return true;
		}
	}
	return false;
}

int rds_form_write(enum rds_form form, const struct rds_client_conf *conf,
                   struct rds_form_options options, struct rds_bytes *out, struct rds_error *err)
{
	int rc = rds_client_conf_check(conf, err);
	if (rc != 0 || forms[form].row.several)
		return rc != 0 ? rc : forms[form].write(conf, options, out, err);
	struct rds_client_conf first = rds_client_conf_first(conf);
	rc = forms[form].write(&first, options, out, err);
	rds_client_conf_clear(&first);
	return rc;
}

static int read_as(enum rds_form form, struct rds_view text, struct rds_client_conf *out,
                   struct rds_error *err)
{
	struct rds_client_conf conf = {.id_server = rds_strdup(""),
	                               .relay_server = rds_strdup(""),
	                               .api_server = rds_strdup(""),
	                               .key = rds_strdup("")};
	int rc = forms[form].read(text, &conf, err);
	if (rc == 0)
		*out = conf;
	else
		rds_client_conf_clear(&conf);
	return rc;
}

int rds_form_read(struct rds_view text, enum rds_form *form, struct rds_client_conf *out,
                  struct rds_error *err)
{
	if (form_begins(text, FORM_UTF8_MARK))
		text = rds_view_of(text.data + strlen(FORM_UTF8_MARK),
		                   text.len - strlen(FORM_UTF8_MARK));
	// Scripts hold a RustDesk2.toml, so that is asked after them.
	for (int i = RDS_FORM_COUNT - 1; i >= 0; i--) {
		if (forms[i].looks(text)) {
			*form = (enum rds_form)i;
			return read_as(*form, text, out, err);
		}
	}
	return rds_fail(err, RDS_EPARSE, "none of the forms of a client's configuration");
}

static bool writes(enum rds_form form, const struct rds_client_conf *conf,
                   struct rds_form_options options, struct rds_view text)
{
	struct rds_bytes again = {0};
	bool same = rds_form_write(form, conf, options, &again, NULL) == 0 &&
	            rds_view_equal(rds_bytes_view(&again), text);
	rds_bytes_clear(&again);
	return same;
}

bool rds_form_is_ours(struct rds_view text)
{
	enum rds_form form;
	struct rds_client_conf conf;
	bool ours = false;
	if (rds_view_trim(text).len == 0)
		return true;
	if (rds_form_read(text, &form, &conf, NULL) != 0)
		return false;
	for (unsigned i = 0; i < 4 && !ours; i++)
		ours = writes(
		        form, &conf,
		        (struct rds_form_options){.crlf = (i & 1) != 0, .guessed = (i & 2) != 0},
		        text);
	rds_client_conf_clear(&conf);
	return ours;
}
