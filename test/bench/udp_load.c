// SPDX-License-Identifier: MIT
// Goal: peers by the thousand register over UDP, as fast as they are answered or at a given rate.
// kind=peer: RegisterPeer of ids that are on file, in no order, for so many seconds;
// kind=key: RegisterPk of each id once.
//
// One socket sends from all the peers' addresses. What the peers of one address say leaves in one
// call and crosses the kernel as one datagram that is cut up on arrival, so that sending costs far
// less than receiving: whatever answers one by one is slower than this.
#include "test/bench/peers.h"
#include "test/bench/tool.h"

#include <errno.h>
#include <netinet/udp.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#define BATCH         64
#define MESSAGE_BYTES 128
#define PAUSE_US      100     // between two looks, at a given rate
#define PATIENCE_US   3000000 // what is unanswered when nothing has come for so long is lost

struct load {
	int fd;
	struct sockaddr_in server;
	bool keys;
	uint32_t peers;
	uint32_t groups; // peers of one address each
	uint32_t sent_groups;
	uint64_t answered;
	uint64_t refused; // answers that say no: request_pk, or another result than OK
	uint64_t lost;
	long outstanding;
	uint64_t heard_us; // when the last answer came
};

static uint8_t *put_bytes(uint8_t *to, uint8_t tag, const uint8_t *bytes, uint8_t len)
{
	*to++ = tag;
	*to++ = len;
	memcpy(to, bytes, len);
	return to + len;
}

// RegisterPeer or RegisterPk (protocol.md section 3); how long it is, which is the same for all.
static size_t write_message(const struct load *load, uint32_t i, uint8_t *out)
{
	struct peer_texts texts;
	uint8_t body[MESSAGE_BYTES];
	uint8_t *end = body;
	peers_texts(i, &texts);
	end = put_bytes(end, 0x0a, texts.id, sizeof texts.id);
	if (!load->keys)
		return (size_t)(put_bytes(out, 0x32, body, (uint8_t)(end - body)) - out);
	end = put_bytes(end, 0x12, texts.uuid, sizeof texts.uuid);
	end = put_bytes(end, 0x1a, texts.pk, sizeof texts.pk);
	return (size_t)(put_bytes(out, 0x7a, body, (uint8_t)(end - body)) - out);
}

static void add_control(struct msghdr *header, int level, int type, const void *data, size_t len)
{
	struct cmsghdr *cmsg =
	        (struct cmsghdr *)(void *)((uint8_t *)header->msg_control + header->msg_controllen);
	cmsg->cmsg_level = level;
	cmsg->cmsg_type = type;
	cmsg->cmsg_len = CMSG_LEN(len);
	memcpy(CMSG_DATA(cmsg), data, len);
	header->msg_controllen += CMSG_SPACE(len);
}

// What all the peers of one address say.
static void send_group(struct load *load, uint32_t group)
{
	uint8_t bytes[PEERS_PER_SOURCE * MESSAGE_BYTES];
	_Alignas(struct cmsghdr) uint8_t control[128] = {0};
	struct iovec vector = {.iov_base = bytes};
	struct msghdr header = {.msg_name = &load->server,
	                        .msg_namelen = sizeof load->server,
	                        .msg_iov = &vector,
	                        .msg_iovlen = 1,
	                        .msg_control = control};
	struct in_pktinfo source = {.ipi_spec_dst.s_addr = htonl(peers_source(group))};
	uint16_t each = 0;
	for (uint32_t k = 0; k < PEERS_PER_SOURCE; k++) {
		each = (uint16_t)write_message(load, group + k * load->groups,
		                               bytes + vector.iov_len);
		vector.iov_len += each;
	}
	add_control(&header, IPPROTO_IP, IP_PKTINFO, &source, sizeof source);
	add_control(&header, IPPROTO_UDP, UDP_SEGMENT, &each, sizeof each);
	if (sendmsg(load->fd, &header, 0) < 0)
		tool_fail_errno("sendmsg");
	load->outstanding += PEERS_PER_SOURCE;
}

// Each group once before any comes again, neighbours far apart.
static void send_next(struct load *load)
{
	uint32_t n = load->sent_groups++;
	uint32_t stride = load->keys ? 1 : 2654435761U % load->groups | 1;
	send_group(load, (uint32_t)((uint64_t)n * stride % load->groups));
}

static bool is_yes(const struct load *load, const uint8_t *answer, size_t len)
{
	static const uint8_t registered[] = {0x82, 0x01, 0x00};
	if (load->keys)
		return len == sizeof registered && memcmp(answer, registered, len) == 0;
	return len == 2 || answer[0] == 0x32; // the second: our own words, from the echo
}

// Takes the answers that are there.
static void receive(struct load *load)
{
	static uint8_t bytes[BATCH][MESSAGE_BYTES];
	static struct iovec vectors[BATCH];
	static struct mmsghdr headers[BATCH];
	for (size_t i = 0; i < BATCH; i++) {
		vectors[i] = (struct iovec){.iov_base = bytes[i], .iov_len = MESSAGE_BYTES};
		headers[i].msg_hdr = (struct msghdr){.msg_iov = &vectors[i], .msg_iovlen = 1};
	}
	int n = recvmmsg(load->fd, headers, BATCH, MSG_DONTWAIT, NULL);
	if (n < 0 && errno != EAGAIN && errno != ECONNREFUSED)
		tool_fail_errno("recvmmsg");
	for (int i = 0; i < n; i++)
		load->refused += !is_yes(load, bytes[i], headers[i].msg_len);
	if (n <= 0)
		return;
	load->answered += (uint64_t)n;
	load->outstanding = load->outstanding > n ? load->outstanding - n : 0;
	load->heard_us = tool_now_us();
}

// As fast as answers come: so many are under way. It never sleeps, so that nobody has to wake it.
static void run_closed(struct load *load, uint64_t end_us, long window)
{
	uint64_t now_us = load->heard_us = tool_now_us();
	bool more = true;
	while (now_us < end_us && (more || load->outstanding > 0)) {
		while (more && load->outstanding + PEERS_PER_SOURCE <= window) {
			send_next(load);
			more = !load->keys || load->sent_groups < load->groups;
		}
		receive(load);
		now_us = tool_now_us();
		if (now_us - load->heard_us > PATIENCE_US) {
			load->lost += (uint64_t)load->outstanding;
			load->outstanding = 0;
			load->heard_us = now_us;
		}
	}
}

// At that rate, whatever comes back; sleeps in between.
static void run_paced(struct load *load, uint64_t end_us, long rate)
{
	uint64_t start_us = tool_now_us();
	(void)prctl(PR_SET_TIMERSLACK, 1UL);
	for (uint64_t now_us; (now_us = tool_now_us()) < end_us;) {
		uint64_t due = (now_us - start_us) * (uint64_t)rate / (1000000 * PEERS_PER_SOURCE);
		while (load->sent_groups < due)
			send_next(load);
		receive(load);
		(void)usleep(PAUSE_US);
	}
	receive(load);
	load->lost = (uint64_t)load->outstanding;
}

int main(int argc, char **argv)
{
	const char *server = "127.0.0.1:21116";
	const char *kind = "peer";
	long peers = 0;
	long ms = 3000;
	long window = 256;
	long rate = 0;
	const struct tool_option options[] = {
	        {.name = "server", .text = &server},   {.name = "kind", .text = &kind},
	        {.name = "peers", .number = &peers},   {.name = "ms", .number = &ms},
	        {.name = "window", .number = &window}, {.name = "rate", .number = &rate}};
	tool_options(argc, argv, options, sizeof options / sizeof options[0]);
	struct load load = {.server = tool_address(server),
	                    .keys = strcmp(kind, "key") == 0,
	                    .peers = (uint32_t)peers,
	                    .groups = (uint32_t)peers / PEERS_PER_SOURCE};
	if (load.groups == 0)
		tool_fail("peers= must be %d or more", PEERS_PER_SOURCE);
	load.fd = tool_udp_socket(0);
	uint64_t start_us = tool_now_us();
	uint64_t end_us = start_us + (uint64_t)ms * 1000;
	if (rate > 0)
		run_paced(&load, end_us, rate);
	else
		run_closed(&load, end_us, window);
	double took = (double)(tool_now_us() - start_us) / 1e6;
	(void)printf("{\"answered\": %llu, \"refused\": %llu, \"lost\": %llu, \"seconds\": %.6f}\n",
	             (unsigned long long)load.answered, (unsigned long long)load.refused,
	             (unsigned long long)load.lost, took);
	return 0;
}
