// SPDX-License-Identifier: MIT
#include "cmd/cmd.h"

#include <stddef.h>

const struct rds_command rds_commands[RDS_COMMANDS] = {
        {"serve", cmd_serve, "run the ID server and the relay in one process", cmd_serve_cli, ""},
        {"id", cmd_id, "run the ID (rendezvous) server", cmd_id_cli, ""},
        {"relay", cmd_relay, "run the relay", cmd_relay_cli, ""},
        {"keygen", cmd_keygen, "make, rotate and list the server's keys", cmd_keygen_cli, ""},
        {"export-conf", cmd_export_conf, "write what clients are configured with",
         cmd_export_conf_cli, ""},
        {"ctl", cmd_ctl, "ask a running server", cmd_ctl_cli, ""},
        {"copy-db", cmd_copy_db, "copy a database of peers, also one of hbbs", NULL, "FILE"},
        {"check", cmd_check, "say what is wrong with a server, and what to do", cmd_check_cli, ""},
        {"completions", cmd_completions, "print completions for a shell", NULL, "bash zsh fish"},
};
