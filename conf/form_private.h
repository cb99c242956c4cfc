// SPDX-License-Identifier: MIT
// What the files of forms share.
#ifndef RDS_CONF_FORM_PRIVATE_H
#define RDS_CONF_FORM_PRIVATE_H

#include "conf/form.h"
#include "core/view.h"

// Appends the form of values that were checked (of one host each, unless the row says several).
typedef int form_write_fn(const struct rds_client_conf *conf, struct rds_form_options options,
                          struct rds_bytes *out, struct rds_error *err);
// Whether a text is meant to be of this form.
typedef bool form_looks_fn(struct rds_view text);
// Reads a text that looks like it. *out holds four empty texts; what a failed reading leaves there
// is thrown away.
typedef int form_read_fn(struct rds_view text, struct rds_client_conf *out, struct rds_error *err);

form_write_fn form_ini_write, form_toml_write, form_string_write, form_json_write, form_exe_write,
        form_link_write, form_qr_write, form_png_write, form_svg_write, form_sh_write,
        form_powershell_write, form_readme_write;
form_looks_fn form_ini_looks, form_toml_looks, form_string_looks, form_json_looks, form_exe_looks,
        form_link_looks, form_qr_looks, form_png_looks, form_svg_looks, form_sh_looks,
        form_powershell_looks, form_readme_looks;
form_read_fn form_ini_read, form_toml_read, form_string_read, form_json_read, form_exe_read,
        form_link_read, form_qr_read, form_png_read, form_svg_read, form_sh_read,
        form_powershell_read, form_readme_read;

// What Windows' editors put before UTF-8.
#define FORM_UTF8_MARK "\xef\xbb\xbf"

// The JSON object, and the config string that holds it. Fresh memory.
char *form_json_text(const struct rds_client_conf *conf);
char *form_config_string(const struct rds_client_conf *conf);

// Puts a copy of a value into a member of a struct rds_client_conf.
void form_set(char **member, struct rds_view value);

bool form_begins(struct rds_view text, const char *with);
bool form_ends(struct rds_view text, const char *with);
// Where part begins in text; text.len if it isn't there.
size_t form_find(struct rds_view text, const char *part);
// Takes the first line off *text, without its end and the white space around it. false: none left.
bool form_next_line(struct rds_view *text, struct rds_view *line);
// What is between the first `before` and the next `behind` after it. false: it isn't there.
bool form_between(struct rds_view text, const char *before, const char *behind,
                  struct rds_view *out);

#endif
