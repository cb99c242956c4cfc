// SPDX-License-Identifier: MIT
// Goal: what the service manager says in the environment is taken as it is meant, and only once.
#include "test/unit/testing.h"

#include "net/notify.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

// A manager's socket without a file; its name for the environment in text.
static int manager(char text[64])
{
	struct sockaddr_un at = {.sun_family = AF_UNIX};
	int len = snprintf(text, 64, "@rdsrv-unit-%ld", (long)getpid());
	memcpy(at.sun_path, text, (size_t)len);
	at.sun_path[0] = '\0';
	int fd = socket(AF_UNIX, SOCK_DGRAM, 0);
	socklen_t size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + (size_t)len);
	assert_int_equal(bind(fd, (const struct sockaddr *)&at, size), 0);
	return fd;
}

static void tells_what_it_is_told_to(void **state)
{
	(void)state;
	char text[600] = "";
	int fd = manager(text);
	(void)setenv("NOTIFY_SOCKET", text, 1);
	rds_notify_open();
	assert_true(rds_notify_wanted());
	assert_null(getenv("NOTIFY_SOCKET"));
	rds_notify("READY=%d", 1);
	ssize_t n = recv(fd, text, sizeof text, MSG_DONTWAIT);
	assert_view_text(rds_view_of((const uint8_t *)text, (size_t)n), "READY=1");
	rds_notify_reloading();
	n = recv(fd, text, sizeof text - 1, MSG_DONTWAIT);
	assert_true(n > 0);
	text[n] = '\0';
	assert_contains(text, "RELOADING=1\nMONOTONIC_USEC=");
	rds_notify_close();
	assert_false(rds_notify_wanted());
	rds_notify("READY=1");
	assert_int_equal(recv(fd, text, sizeof text, MSG_DONTWAIT), -1);
	(void)close(fd);
}

static void addresses(void **state)
{
	(void)state;
	static const struct {
		const char *text;
		bool wanted;
	} cases[] = {{"/run/notify", true}, {"@notify", true}, {"", false},  {"/", false},
	             {"@", false},          {"notify", false}, {NULL, false}};
	for (size_t i = 0; i < COUNT(cases); i++) {
		if (cases[i].text != NULL)
			(void)setenv("NOTIFY_SOCKET", cases[i].text, 1);
		rds_notify_open();
		assert_int_equal(rds_notify_wanted(), cases[i].wanted);
		rds_notify_close();
	}
}

static void watchdog(void **state)
{
	(void)state;
	char own[32];
	(void)snprintf(own, sizeof own, "%ld", (long)getpid());
	const struct {
		const char *usec;
		const char *pid;
		unsigned ms;
	} cases[] = {{"30000000", NULL, 30000},
	             {"30000000", own, 30000},
	             {"30000000", "1", 0},
	             {"0", own, 0},
	             {"-1", own, 0},
	             {"x", own, 0},
	             {"1000x", own, 0},
	             {"99999999999999999999999", own, 0},
	             {NULL, own, 0}};
	for (size_t i = 0; i < COUNT(cases); i++) {
		(void)setenv("NOTIFY_SOCKET", "@nobody", 1);
		if (cases[i].usec != NULL)
			(void)setenv("WATCHDOG_USEC", cases[i].usec, 1);
		if (cases[i].pid != NULL)
			(void)setenv("WATCHDOG_PID", cases[i].pid, 1);
		rds_notify_open();
		assert_int_equal(rds_notify_watchdog_ms(), cases[i].ms);
		assert_null(getenv("WATCHDOG_USEC"));
		assert_null(getenv("WATCHDOG_PID"));
		rds_notify_close();
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(tells_what_it_is_told_to),
	        cmocka_unit_test(addresses),
	        cmocka_unit_test(watchdog),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
