// SPDX-License-Identifier: MIT
// What /proc tells of a process, and of who listens on which port.
#ifndef RDS_CMD_CHECK_PROCESS_H
#define RDS_CMD_CHECK_PROCESS_H

#include "core/addr.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct check_process {
	pid_t pid;
	uid_t uid;
	gid_t gid;
	char state;     // 'T': stopped by a signal; 'Z': dead; ...
	char name[32];  // the program's, as its process calls it
	char unit[128]; // systemd's unit; "": none
};

// false: there is no such process.
bool check_process_read(pid_t pid, struct check_process *out);

// The soft limit on its file descriptors (UINT64_MAX: none) and how many it has open (-1: not for
// us to see). false: there is no such process.
bool check_process_descriptors(pid_t pid, uint64_t *limit, int64_t *used);

// The whole of a small file of /proc, NUL-terminated; how many bytes, -1: it can't be read.
ssize_t check_read_file(const char *path, char *out, size_t cap);

// Cuts a line into words in place; how many of at most max.
size_t check_cut(char *line, char **words, size_t max);

// The unit in the text of /proc/PID/cgroup; "": none. Returns out.
char *check_unit_of_cgroup(const char *text, char *out, size_t cap);

// --- sockets

struct check_socket {
	bool udp;
	struct rds_addr at;
	bool six; // an IPv6 socket: at "::" it may take IPv4 as well
	uint64_t inode;
	uid_t uid;
	pid_t pids[4]; // who has it open: as far as we may see
	size_t n_pids;
};

struct check_sockets {
	struct check_socket *items;
	size_t n;
	bool all_seen; // every process could be looked at
};

// All sockets of this network that listen at one of the ports.
void check_sockets_read(const uint16_t *ports, size_t n_ports, struct check_sockets *out);
void check_sockets_free(struct check_sockets *sockets);

// Reads one line of /proc/net/{tcp,udp}{,6}. false: it is the heading, or makes no sense.
// *listening: not of a connection.
bool check_socket_parse(const char *line, bool udp, struct check_socket *out, bool *listening);

#endif
