// SPDX-License-Identifier: MIT
// Where log lines go: stderr or a file, as text or JSON, in the journal's form under systemd.
#ifndef RDS_CMD_LOG_SINK_H
#define RDS_CMD_LOG_SINK_H

#include "conf/settings.h"

// Starts logging as the settings say. -RDS_ESYS if the log file can't be opened.
int rds_log_sink_open(const struct rds_settings *settings, struct rds_error *err)
        __attribute__((warn_unused_result));

// Opens the log file anew, after it was moved away (SIGHUP).
void rds_log_sink_reopen(void);

void rds_log_sink_close(void);

#endif
