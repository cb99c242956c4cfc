// SPDX-License-Identifier: MIT
// Goal: the least that a server of datagrams can do, and so what rdsrv is measured against: each
// goes back where it came from, in the same batches.
#include "test/bench/tool.h"

#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#define BATCH 64 // as in net/udp.c
#define BYTES 2048

static struct mmsghdr headers[BATCH];
static struct iovec vectors[BATCH];
static struct sockaddr_storage addresses[BATCH];
static uint8_t bytes[BATCH][BYTES];

static int receive(int fd)
{
	for (size_t i = 0; i < BATCH; i++) {
		vectors[i] = (struct iovec){.iov_base = bytes[i], .iov_len = BYTES};
		headers[i].msg_hdr = (struct msghdr){.msg_iov = &vectors[i],
		                                     .msg_iovlen = 1,
		                                     .msg_name = &addresses[i],
		                                     .msg_namelen = sizeof addresses[i]};
	}
	return recvmmsg(fd, headers, BATCH, MSG_WAITFORONE, NULL);
}

int main(int argc, char **argv)
{
	long port = 21116;
	const struct tool_option options[] = {{.name = "port", .number = &port}};
	tool_options(argc, argv, options, 1);
	int fd = tool_udp_socket((uint16_t)port);
	for (;;) {
		int n = receive(fd);
		if (n < 0)
			tool_fail_errno("recvmmsg");
		for (int i = 0; i < n; i++)
			vectors[i].iov_len = headers[i].msg_len;
		for (int sent = 0; sent < n;) {
			int more = sendmmsg(fd, headers + sent, (unsigned)(n - sent), 0);
			if (more < 0)
				tool_fail_errno("sendmmsg");
			sent += more;
		}
	}
}
