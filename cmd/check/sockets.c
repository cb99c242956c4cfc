// SPDX-License-Identifier: MIT
// Who listens where: /proc/net has the sockets, /proc/PID/fd who holds them.
#include "cmd/check/process.h"

#include "core/alloc.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define STATE_LISTEN 0x0a
#define STATE_CLOSE  0x07 // of a UDP socket: without a peer

// The kernel writes each 32 bits of an address as a number in the machine's byte order.
static bool parse_address(const char *hex, size_t digits, struct rds_ip *out)
{
	uint8_t bytes[16];
	for (size_t word = 0; word * 8 < digits; word++) {
		char part[9] = "";
		char *end = NULL;
		memcpy(part, hex + word * 8, 8);
		uint32_t number = (uint32_t)strtoul(part, &end, 16);
		if (*end != '\0')
			return false;
		memcpy(bytes + word * 4, &number, 4);
	}
	if (digits == 8)
		*out = rds_ip_v4(bytes[0], bytes[1], bytes[2], bytes[3]);
	else
		memcpy(out->b, bytes, sizeof out->b);
	return true;
}

bool check_socket_parse(const char *line, bool udp, struct check_socket *out, bool *listening)
{
	char local[40];
	unsigned port = 0;
	unsigned state = 0;
	unsigned uid = 0;
	uint64_t inode = 0;
	*out = (struct check_socket){.udp = udp};
	if (sscanf(line,
	           " %*u: %32[0-9A-Fa-f]:%4x %*32[0-9A-Fa-f]:%*4x %2x %*x:%*x %*x:%*x %*x %u %*u "
	           "%" SCNu64,
	           local, &port, &state, &uid, &inode) != 5)
		return false;
	size_t digits = strlen(local);
	if ((digits != 8 && digits != 32) || !parse_address(local, digits, &out->at.ip))
		return false;
	out->six = digits == 32;
	out->at.port = (uint16_t)port;
	out->inode = inode;
	out->uid = uid;
	*listening = state == (udp ? STATE_CLOSE : STATE_LISTEN);
	return true;
}

static bool has_port(const uint16_t *ports, size_t n, uint16_t port)
{
	for (size_t i = 0; i < n; i++)
		if (ports[i] == port)
			return true;
	return false;
}

// The kernel names those that listen first, so a busy server's connections need not be read.
static void read_table(const char *path, bool udp, const uint16_t *ports, size_t n_ports,
                       struct check_sockets *out)
{
	char line[512];
	FILE *file = fopen(path, "re");
	while (file != NULL && fgets(line, sizeof line, file) != NULL) {
		struct check_socket one;
		bool listening = false;
		if (!check_socket_parse(line, udp, &one, &listening))
			continue;
		if (!listening && !udp)
			break;
		if (!listening || !has_port(ports, n_ports, one.at.port))
			continue;
		out->items = rds_realloc(out->items, out->n + 1, sizeof *out->items);
		out->items[out->n++] = one;
	}
	if (file != NULL)
		(void)fclose(file);
}

static void note_holder(struct check_sockets *sockets, uint64_t inode, pid_t pid)
{
	for (size_t i = 0; i < sockets->n; i++) {
		struct check_socket *one = &sockets->items[i];
		bool known = one->n_pids > 0 && one->pids[one->n_pids - 1] == pid;
		if (one->inode == inode && !known &&
		    one->n_pids < sizeof one->pids / sizeof one->pids[0])
			one->pids[one->n_pids++] = pid;
	}
}

// false: they are not for us to see.
static bool look_at(struct check_sockets *sockets, const char *pid)
{
	char path[320];
	char target[64];
	(void)snprintf(path, sizeof path, "/proc/%s/fd", pid);
	DIR *list = opendir(path);
	if (list == NULL)
		return errno != EACCES && errno != EPERM;
	for (const struct dirent *entry; (entry = readdir(list)) != NULL;) {
		uint64_t inode = 0;
		ssize_t n = readlinkat(dirfd(list), entry->d_name, target, sizeof target - 1);
		target[n > 0 ? n : 0] = '\0';
		if (sscanf(target, "socket:[%" SCNu64 "]", &inode) == 1)
			note_holder(sockets, inode, (pid_t)atoi(pid));
	}
	(void)closedir(list);
	return true;
}

static void find_holders(struct check_sockets *sockets)
{
	DIR *list = opendir("/proc");
	sockets->all_seen = list != NULL;
	for (const struct dirent *entry; list != NULL && (entry = readdir(list)) != NULL;)
		if (isdigit((unsigned char)entry->d_name[0]) && !look_at(sockets, entry->d_name))
			sockets->all_seen = false;
	if (list != NULL)
		(void)closedir(list);
}

void check_sockets_read(const uint16_t *ports, size_t n_ports, struct check_sockets *out)
{
	*out = (struct check_sockets){0};
	read_table("/proc/net/tcp", false, ports, n_ports, out);
	read_table("/proc/net/tcp6", false, ports, n_ports, out);
	read_table("/proc/net/udp", true, ports, n_ports, out);
	read_table("/proc/net/udp6", true, ports, n_ports, out);
	if (out->n > 0)
		find_holders(out);
}

void check_sockets_free(struct check_sockets *sockets)
{
	free(sockets->items);
	*sockets = (struct check_sockets){0};
}
