// SPDX-License-Identifier: MIT
// Who listens where: /proc/net has the sockets, /proc/PID/fd who holds them.
#include "cmd/check/process.h"

#include "core/alloc.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
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

// Digits of that base and nothing else.
static bool number(const char *text, int base, uint64_t *out)
{
	char *end = NULL;
	*out = strtoull(text, &end, base);
	return end != text && *end == '\0';
}

// "0: LOCAL:PORT REMOTE:PORT STATE QUEUES TIMER RETRIES UID TIMEOUT INODE ..."
bool check_socket_parse(const char *line, bool udp, struct check_socket *out, bool *listening)
{
	char copy[512];
	char *words[10];
	uint64_t port = 0;
	uint64_t state = 0;
	uint64_t uid = 0;
	*out = (struct check_socket){.udp = udp};
	(void)snprintf(copy, sizeof copy, "%s", line);
	if (check_cut(copy, words, 10) < 10)
		return false;
	char *colon = strchr(words[1], ':');
	size_t digits = colon == NULL ? 0 : (size_t)(colon - words[1]);
	if ((digits != 8 && digits != 32) || !parse_address(words[1], digits, &out->at.ip) ||
	    !number(colon + 1, 16, &port) || !number(words[3], 16, &state) ||
	    !number(words[7], 10, &uid) || !number(words[9], 10, &out->inode))
		return false;
	out->six = digits == 32;
	out->at.port = (uint16_t)port;
	out->uid = (uid_t)uid;
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
		static const char socket[] = "socket:[";
		ssize_t n = readlinkat(dirfd(list), entry->d_name, target, sizeof target - 1);
		target[n > 0 ? n : 0] = '\0';
		if (strncmp(target, socket, sizeof socket - 1) == 0)
			note_holder(sockets, strtoull(target + sizeof socket - 1, NULL, 10),
			            (pid_t)strtol(pid, NULL, 10));
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
