// SPDX-License-Identifier: MIT
// From root to the user of the setting `user`, and whether the data directory is that user's.
#ifndef RDS_CMD_BECOME_H
#define RDS_CMD_BECOME_H

#include "conf/settings.h"

// Started as root, becomes that user for good, keeping only the right to open ports below 1024.
// In a container commands do so, too, since root without capabilities can't read another's files;
// and a role (serves) first gives the data directory to the user, with all that it holds. Without
// the rights for that, root stays root if it can work so. In a container, or after a change of
// user, a directory that can't be used ends in one line that says which chown helps: -RDS_ESYS.
int rds_become(const struct rds_settings *settings, const char *dir, bool serves,
               struct rds_error *err) __attribute__((warn_unused_result));

#endif
