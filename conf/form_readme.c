// SPDX-License-Identifier: MIT
// For a person: what to enter by hand, and what the other files of a bundle are for. With Windows'
// line ends, since it is read there.
#include "conf/form_private.h"

#define TITLE "RustDesk: how clients come to use this server"
#define NONE  "(empty)"

static const char *const fields[] = {"ID server:", "Relay server:", "API server:", "Key:"};

static const char files[] =
        "By hand: enter these under Settings > Network > ID/Relay server.\r\n"
        "\r\n"
        "config-string.txt   its text, in the clipboard: Import server config, on that page;\r\n"
        "                    or, as administrator, rustdesk --config TEXT\r\n"
        "config.json         the same, to be read by people\r\n"
        "install.ps1         Windows, all users and the service; as administrator:\r\n"
        "                    powershell -ExecutionPolicy Bypass -File install.ps1 [-WhatIf]\r\n"
        "install.sh          Linux and macOS, all users and the service; as root:\r\n"
        "                    sh install.sh [-n]\r\n"
        "installer-name.txt  rename RustDesk's installer for Windows to this\r\n"
        "link.txt, qr.png    Android and iOS: open, or scan from within the app\r\n"
        "qr.svg, qr.txt      the same code, for print and for terminals\r\n"
        "RustDesk2.toml      the client's own file, where there is none yet\r\n"
        "server.conf         for the provisioning bundle\r\n";

int form_readme_write(const struct rds_client_conf *conf, struct rds_form_options options,
                      struct rds_bytes *out, struct rds_error *err)
{
	(void)options;
	(void)err;
	const char *const values[] = {conf->id_server, conf->relay_server, conf->api_server,
	                              conf->key};
	rds_bytes_text(out, TITLE "\r\n\r\n");
	for (size_t i = 0; i < 4; i++)
		rds_bytes_format(out, "  %-13s  %s\r\n", fields[i],
		                 values[i][0] == '\0' ? NONE : values[i]);
	rds_bytes_format(out, "\r\n%s", files);
	return 0;
}

bool form_readme_looks(struct rds_view text)
{
	return form_begins(text, TITLE);
}

int form_readme_read(struct rds_view text, struct rds_client_conf *out, struct rds_error *err)
{
	char **const members[] = {&out->id_server, &out->relay_server, &out->api_server, &out->key};
	struct rds_view line;
	size_t i = 0;
	while (i < 4 && form_next_line(&text, &line)) {
		size_t len = strlen(fields[i]);
		if (form_begins(line, fields[i])) {
			line = rds_view_trim(rds_view_of(line.data + len, line.len - len));
			form_set(members[i++], rds_view_equal(line, rds_view_text(NONE))
			                               ? rds_view_text("")
			                               : line);
		}
	}
	return i == 4 ? 0 : rds_fail(err, RDS_EPARSE, "%s is missing", fields[i]);
}
