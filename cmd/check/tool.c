// SPDX-License-Identifier: MIT
#include "cmd/check/tool.h"

#include "cmd/check/check.h"
#include "core/alloc.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define NAP_MS 2
// After SIGKILL: only a process that hangs in the kernel takes longer, and it is left alone then.
#define KILL_MS 300

// Users' paths often lack those of the administrator's programs.
static const char more_places[] = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

static char *find_in(const char *places, const char *name)
{
	for (const char *at = places; *at != '\0';) {
		size_t len = strcspn(at, ":");
		char *path = rds_asprintf("%.*s/%s", (int)len, at, name);
		if (at[0] == '/' && access(path, X_OK) == 0)
			return path;
		free(path);
		at += len + (at[len] == ':');
	}
	return NULL;
}

char *check_tool_find(const char *name)
{
	const char *places = getenv("PATH");
	char *path = find_in(places == NULL ? "" : places, name);
	return path != NULL ? path : find_in(more_places, name);
}

// In a process group of its own, so that it can be ended with whatever it starts.
static bool start(const char *path, const char *const *argv, int out, pid_t *pid)
{
	posix_spawnattr_t attr;
	posix_spawn_file_actions_t files;
	sigset_t none;
	sigset_t pipe_only;
	char *places = rds_asprintf("PATH=%s", more_places);
	char *const env[] = {places, "LC_ALL=C", "SYSTEMD_COLORS=0", "SYSTEMD_PAGER=", NULL};
	(void)sigemptyset(&none);
	(void)sigemptyset(&pipe_only);
	(void)sigaddset(&pipe_only, SIGPIPE);
	(void)posix_spawnattr_init(&attr);
	(void)posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK |
	                                              POSIX_SPAWN_SETSIGDEF);
	(void)posix_spawnattr_setpgroup(&attr, 0);
	(void)posix_spawnattr_setsigmask(&attr, &none);
	(void)posix_spawnattr_setsigdefault(&attr, &pipe_only);
	(void)posix_spawn_file_actions_init(&files);
	(void)posix_spawn_file_actions_addopen(&files, 0, "/dev/null", O_RDONLY, 0);
	(void)posix_spawn_file_actions_adddup2(&files, out, 1);
	(void)posix_spawn_file_actions_addopen(&files, 2, "/dev/null", O_WRONLY, 0);
	// The interface takes texts that may be changed, for historical reasons, and changes none.
	union {
		const char *const *given;
		char *const *taken;
	} words = {.given = argv};
	int rc = posix_spawn(pid, path, &files, &attr, words.taken, env);
	(void)posix_spawn_file_actions_destroy(&files);
	(void)posix_spawnattr_destroy(&attr);
	free(places);
	return rc == 0;
}

static int left_ms(uint64_t until_ms)
{
	uint64_t now = check_now_ms();
	return now >= until_ms ? 0 : (int)(until_ms - now);
}

// Until the end, the deadline or the bound; what is beyond the bound is read and dropped, for a
// program that can't write would not end. false: the time is up.
static bool read_all(int fd, uint64_t until_ms, struct check_tool *tool)
{
	size_t cap = 0;
	for (;;) {
		struct pollfd poller = {.fd = fd, .events = POLLIN};
		int wait_ms = left_ms(until_ms);
		if (wait_ms == 0 || (poll(&poller, 1, wait_ms) < 0 && errno != EINTR))
			return false;
		if (poller.revents == 0)
			continue;
		if (tool->len + 4097 > cap)
			tool->out = rds_realloc(tool->out, cap = cap * 2 + 8194, 1);
		ssize_t n = read(fd, tool->out + tool->len, 4096);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			break;
		if (tool->len + (size_t)n > CHECK_TOOL_MAX_BYTES)
			tool->truncated = true;
		else
			tool->len += (size_t)n;
		tool->out[tool->len] = '\0';
	}
	return true;
}

// false: it still runs.
static bool await_end(pid_t pid, uint64_t until_ms, int *status)
{
	const struct timespec nap = {.tv_nsec = NAP_MS * 1000000L};
	for (;;) {
		pid_t got = waitpid(pid, status, WNOHANG);
		if (got == pid || (got < 0 && errno != EINTR))
			return true;
		if (left_ms(until_ms) == 0)
			return false;
		(void)nanosleep(&nap, NULL);
	}
}

static void run(const char *path, const char *const *argv, unsigned timeout_ms,
                struct check_tool *out)
{
	int ends[2];
	pid_t pid = 0;
	int status = 0;
	uint64_t until_ms = check_now_ms() + timeout_ms;
	if (pipe2(ends, O_CLOEXEC) != 0)
		return;
	bool started = start(path, argv, ends[1], &pid);
	(void)close(ends[1]);
	bool ended =
	        started && read_all(ends[0], until_ms, out) && await_end(pid, until_ms, &status);
	(void)close(ends[0]);
	if (started && !ended) {
		out->end = CHECK_TOOL_HUNG;
		(void)kill(-pid, SIGKILL);
		(void)await_end(pid, check_now_ms() + KILL_MS, &status);
	} else if (ended && WIFEXITED(status)) {
		out->end = CHECK_TOOL_ENDED;
		out->code = WEXITSTATUS(status);
	}
}

void check_tool_run(const char *const *argv, unsigned timeout_ms, struct check_tool *out)
{
	char *path = check_tool_find(argv[0]);
	*out = (struct check_tool){.end = path == NULL ? CHECK_TOOL_ABSENT : CHECK_TOOL_FAILED};
	if (path != NULL)
		run(path, argv, timeout_ms, out);
	if (out->out == NULL)
		out->out = rds_strdup("");
	free(path);
}

void check_tool_clear(struct check_tool *tool)
{
	free(tool->out);
	*tool = (struct check_tool){.end = CHECK_TOOL_ABSENT};
}

bool check_tool_is_good(const struct check_tool *tool)
{
	return tool->end == CHECK_TOOL_ENDED && tool->code == 0 && !tool->truncated;
}
