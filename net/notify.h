// SPDX-License-Identifier: MIT
// What a service is to tell the service manager (sd_notify(3)), without its library.
#ifndef RDS_NET_NOTIFY_H
#define RDS_NET_NOTIFY_H

#include <stdbool.h>

// Takes NOTIFY_SOCKET, WATCHDOG_USEC and WATCHDOG_PID out of the environment: they are for this
// process alone. Without them the other calls do nothing.
void rds_notify_open(void);
void rds_notify_close(void);

// Does anybody listen?
bool rds_notify_wanted(void);

// Sends "NAME=value" lines, in printf's form.
void rds_notify(const char *format, ...) __attribute__((format(printf, 1, 2)));

// RELOADING=1, with the time that goes with it; READY=1 ends it.
void rds_notify_reloading(void);

// After how long without WATCHDOG=1 the service is restarted; 0: never.
unsigned rds_notify_watchdog_ms(void);

#endif
