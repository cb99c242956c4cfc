// SPDX-License-Identifier: MIT
#include "net/udp.h"

#include "core/alloc.h"
#include "core/limits.h"
#include "core/table.h"
#include "net/listen.h"

#include <errno.h>
#include <event2/event.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

struct udp_socket {
	struct rds_udp *udp;
	int fd;           // -1: closed
	struct rds_ip ip; // what it is, or was, bound to
	uint16_t own;     // the handle of that address; 0: there was no room for one
	bool six;
	bool wildcard; // bound to all addresses: datagrams carry which one they came to
	struct event *event;
};

// What a path's `local` stands for: local - 1 is the index.
struct local {
	uint16_t socket;
	uint16_t number;
	unsigned interface; // of link-local addresses
	struct rds_ip ip;   // none: the socket's own
};

struct control_space {
	_Alignas(struct cmsghdr) uint8_t bytes[CMSG_SPACE(sizeof(struct in6_pktinfo))];
};

// Datagrams that come in a power of two apart would fall on the same few lines of the CPU's cache.
#define STRIDE (RDS_DATAGRAM_MAX_BYTES + 64)

struct batch {
	struct mmsghdr headers[RDS_UDP_BATCH];
	struct iovec vectors[RDS_UDP_BATCH];
	struct sockaddr_storage addrs[RDS_UDP_BATCH];
	struct control_space controls[RDS_UDP_BATCH];
	uint8_t bytes[RDS_UDP_BATCH][STRIDE];
};

struct rds_udp {
	struct rds_loop *loop;
	struct rds_udp_callbacks callbacks;
	struct udp_socket **sockets;
	size_t n_sockets;
	struct local *locals;
	size_t n_locals;
	struct rds_table locals_by_key;
	size_t last_local; // index of the one that was asked for last: most likely the next, too
	struct event *flush;
	struct batch in;
	struct batch out; // its datagrams one behind the other
	size_t n_out;
	size_t out_bytes;
	size_t out_socket; // all queued datagrams leave by this one
};

static uint64_t hash_local(const struct local *local)
{
	// Only addresses of this host get here: nobody chooses them to collide.
	static const struct rds_seed seed;
	uint8_t bytes[22];
	memcpy(bytes, local->ip.b, 16);
	memcpy(bytes + 16, &local->interface, 4);
	memcpy(bytes + 20, &local->socket, 2);
	return rds_hash(&seed, bytes, sizeof bytes);
}

static bool same_local(const void *entry, const void *key)
{
	const struct local *a = entry;
	const struct local *b = key;
	return a->socket == b->socket && a->interface == b->interface &&
	       rds_ip_equal(&a->ip, &b->ip);
}

// The handle for a local end, made where it is new; when all are given away, the socket's own,
// by which the kernel chooses the address.
static uint16_t local_handle(struct rds_udp *udp, const struct local *wanted)
{
	if (udp->n_locals > 0 && same_local(&udp->locals[udp->last_local], wanted))
		return udp->locals[udp->last_local].number;
	uint64_t hash = hash_local(wanted);
	const struct local *found = rds_table_find(&udp->locals_by_key, hash, same_local, wanted);
	if (found != NULL) {
		udp->last_local = found->number - 1U;
		return found->number;
	}
	bool is_own = rds_ip_is_none(&wanted->ip);
	if (udp->n_locals >= (is_own ? RDS_LOCAL_ADDRS : RDS_LOCAL_ADDRS - RDS_LOCAL_SOCKETS))
		return is_own ? 0 : udp->sockets[wanted->socket]->own;
	struct local *local = &udp->locals[udp->n_locals++];
	*local = *wanted;
	local->number = (uint16_t)udp->n_locals;
	rds_table_insert(&udp->locals_by_key, hash, local);
	return local->number;
}

static void dropped(struct rds_udp *udp, enum rds_reason why)
{
	udp->callbacks.on_dropped(udp->callbacks.ctx, why);
}

// Sends what is queued. A datagram that the kernel refuses is dropped, the others go on; when
// its buffer is full, all that is left is.
static void flush(struct rds_udp *udp)
{
	size_t sent = 0;
	const struct udp_socket *out = udp->sockets[udp->out_socket];
	for (; out->fd < 0 && sent < udp->n_out; sent++)
		dropped(udp, RDS_WHY_SEND_FAILED);
	while (sent < udp->n_out) {
		int n = sendmmsg(out->fd, udp->out.headers + sent, (unsigned)(udp->n_out - sent),
		                 0);
		if (n > 0) {
			sent += (size_t)n;
			continue;
		}
		if (n < 0 && errno == EINTR)
			continue;
		bool full = errno == EAGAIN || errno == EWOULDBLOCK || errno == ENOBUFS;
		size_t lost = full ? udp->n_out - sent : 1;
		for (size_t i = 0; i < lost; i++)
			dropped(udp, RDS_WHY_SEND_FAILED);
		sent += lost;
	}
	udp->n_out = 0;
	udp->out_bytes = 0;
}

static void on_flush(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	struct rds_udp *udp = arg;
	if (udp->n_out > 0)
		flush(udp);
}

// Says to the kernel from which local address a datagram leaves. IPv4 has its own form on IPv6
// sockets too: it is short enough for the kernel to take it without an allocation.
static void set_source(struct msghdr *header, struct control_space *space,
                       const struct local *local)
{
	bool six = !rds_ip_is_v4(&local->ip);
	header->msg_control = space->bytes;
	header->msg_controllen = six ? CMSG_SPACE(sizeof(struct in6_pktinfo))
	                             : CMSG_SPACE(sizeof(struct in_pktinfo));
	memset(space, 0, sizeof *space);
	struct cmsghdr *cmsg = CMSG_FIRSTHDR(header);
	if (six) {
		struct in6_pktinfo info = {.ipi6_ifindex = local->interface};
		memcpy(&info.ipi6_addr, local->ip.b, 16);
		cmsg->cmsg_level = IPPROTO_IPV6;
		cmsg->cmsg_type = IPV6_PKTINFO;
		cmsg->cmsg_len = CMSG_LEN(sizeof info);
		memcpy(CMSG_DATA(cmsg), &info, sizeof info);
	} else {
		struct in_pktinfo info = {0};
		memcpy(&info.ipi_spec_dst, local->ip.b + 12, 4);
		cmsg->cmsg_level = IPPROTO_IP;
		cmsg->cmsg_type = IP_PKTINFO;
		cmsg->cmsg_len = CMSG_LEN(sizeof info);
		memcpy(CMSG_DATA(cmsg), &info, sizeof info);
	}
}

void rds_udp_send(struct rds_udp *udp, const struct rds_path *to, struct rds_view payload)
{
	static const struct local any;
	const struct local *local = &any;
	if (to->local > 0 && to->local <= udp->n_locals)
		local = &udp->locals[to->local - 1];
	if (payload.len > RDS_DATAGRAM_MAX_BYTES || udp->n_sockets == 0) {
		dropped(udp, udp->n_sockets == 0 ? RDS_WHY_SEND_FAILED : RDS_WHY_TOO_LONG);
		return;
	}
	if (udp->n_out == RDS_UDP_BATCH || (udp->n_out > 0 && udp->out_socket != local->socket))
		flush(udp);
	const struct udp_socket *out = udp->sockets[local->socket];
	struct batch *batch = &udp->out;
	size_t i = udp->n_out++;
	udp->out_socket = local->socket;
	uint8_t *bytes = &batch->bytes[0][0] + udp->out_bytes;
	udp->out_bytes += payload.len;
	memcpy(bytes, payload.data, payload.len);
	batch->vectors[i] = (struct iovec){.iov_base = bytes, .iov_len = payload.len};
	batch->headers[i] = (struct mmsghdr){
	        .msg_hdr = {.msg_iov = &batch->vectors[i],
	                    .msg_iovlen = 1,
	                    .msg_name = &batch->addrs[i],
	                    .msg_namelen = rds_sockaddr_set(&batch->addrs[i], &to->remote, out->six,
	                                                    local->interface)}};
	if (!rds_ip_is_none(&local->ip))
		set_source(&batch->headers[i].msg_hdr, &batch->controls[i], local);
	if (i == 0)
		event_active(udp->flush, EV_TIMEOUT, 0);
}

// The local end that a datagram came to.
static uint16_t local_of(struct rds_udp *udp, uint16_t socket, struct msghdr *header,
                         const struct rds_ip *remote)
{
	struct local local = {.socket = socket};
	for (struct cmsghdr *cmsg = CMSG_FIRSTHDR(header); cmsg != NULL;
	     cmsg = CMSG_NXTHDR(header, cmsg)) {
		if (cmsg->cmsg_level == IPPROTO_IPV6 && cmsg->cmsg_type == IPV6_PKTINFO) {
			struct in6_pktinfo info;
			memcpy(&info, CMSG_DATA(cmsg), sizeof info);
			memcpy(local.ip.b, &info.ipi6_addr, 16);
			if (remote->b[0] == 0xfe && (remote->b[1] & 0xc0) == 0x80)
				local.interface = info.ipi6_ifindex;
		} else if (cmsg->cmsg_level == IPPROTO_IP && cmsg->cmsg_type == IP_PKTINFO) {
			struct in_pktinfo info;
			uint8_t b[4];
			memcpy(&info, CMSG_DATA(cmsg), sizeof info);
			memcpy(b, &info.ipi_spec_dst, 4);
			local.ip = rds_ip_v4(b[0], b[1], b[2], b[3]);
		}
	}
	return local_handle(udp, &local);
}

static int receive(struct udp_socket *in)
{
	struct batch *batch = &in->udp->in;
	for (size_t i = 0; i < RDS_UDP_BATCH; i++) {
		batch->vectors[i] = (struct iovec){.iov_base = batch->bytes[i],
		                                   .iov_len = RDS_DATAGRAM_MAX_BYTES};
		batch->headers[i] = (struct mmsghdr){
		        .msg_hdr = {.msg_iov = &batch->vectors[i],
		                    .msg_iovlen = 1,
		                    .msg_name = &batch->addrs[i],
		                    .msg_namelen = sizeof batch->addrs[i],
		                    .msg_control = in->wildcard ? &batch->controls[i] : NULL,
		                    .msg_controllen =
		                            in->wildcard ? sizeof batch->controls[i] : 0}};
	}
	return recvmmsg(in->fd, batch->headers, RDS_UDP_BATCH, 0, NULL);
}

static void take(struct rds_udp *udp, uint16_t number, size_t i, struct rds_view payload)
{
	struct msghdr *header = &udp->in.headers[i].msg_hdr;
	struct rds_path from = {0};
	if ((header->msg_flags & MSG_TRUNC) != 0) {
		dropped(udp, RDS_WHY_TOO_LONG);
		return;
	}
	rds_sockaddr_get(&udp->in.addrs[i], &from.remote);
	from.local = local_of(udp, number, header, &from.remote.ip);
	udp->callbacks.on_datagram(udp->callbacks.ctx, &from, payload);
}

static void on_readable(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	struct udp_socket *in = arg;
	struct rds_udp *udp = in->udp;
	struct rds_view payloads[RDS_UDP_BATCH];
	uint16_t number = 0;
	while (udp->sockets[number] != in)
		number++;
	int n = receive(in);
	if (n <= 0)
		return;
	for (int i = 0; i < n; i++)
		payloads[i] = rds_view_of(udp->in.bytes[i], udp->in.headers[i].msg_len);
	if (udp->callbacks.on_batch != NULL)
		udp->callbacks.on_batch(udp->callbacks.ctx, payloads, (size_t)n);
	for (int i = 0; i < n; i++)
		take(udp, number, (size_t)i, payloads[i]);
}

struct rds_udp *rds_udp_new(struct rds_loop *loop, const struct rds_udp_callbacks *callbacks)
{
	struct rds_udp *udp = rds_calloc(1, sizeof *udp);
	udp->loop = loop;
	udp->callbacks = *callbacks;
	udp->locals = rds_calloc(RDS_LOCAL_ADDRS, sizeof *udp->locals);
	rds_table_init(&udp->locals_by_key);
	udp->flush = event_new(rds_loop_base(loop), -1, 0, on_flush, udp);
	if (udp->flush == NULL)
		abort();
	return udp;
}

static void socket_close(struct udp_socket *in)
{
	if (in->fd < 0)
		return;
	event_free(in->event);
	(void)close(in->fd);
	in->fd = -1;
}

void rds_udp_free(struct rds_udp *udp)
{
	if (udp == NULL)
		return;
	if (udp->n_out > 0)
		flush(udp);
	for (size_t i = 0; i < udp->n_sockets; i++) {
		socket_close(udp->sockets[i]);
		free(udp->sockets[i]);
	}
	event_free(udp->flush);
	rds_table_clear(&udp->locals_by_key);
	free(udp->sockets);
	free(udp->locals);
	free(udp);
}

static void ask_for_local_addr(const struct udp_socket *in)
{
	static const int yes = 1;
	if (in->six)
		(void)setsockopt(in->fd, IPPROTO_IPV6, IPV6_RECVPKTINFO, &yes, sizeof yes);
	else
		(void)setsockopt(in->fd, IPPROTO_IP, IP_PKTINFO, &yes, sizeof yes);
}

// A place among the sockets: that of a closed one, so that they don't grow without end while
// addresses change. The same address gets its old place, and old paths lead there again.
static size_t find_place(const struct rds_udp *udp, const struct udp_socket *in)
{
	size_t place = udp->n_sockets;
	for (size_t i = 0; i < udp->n_sockets; i++) {
		const struct udp_socket *old = udp->sockets[i];
		if (old->fd < 0 && rds_ip_equal(&old->ip, &in->ip))
			return i;
		if (old->fd < 0 && old->six == in->six && !old->wildcard)
			place = i;
	}
	return place;
}

static void put(struct rds_udp *udp, struct udp_socket *in)
{
	size_t place = find_place(udp, in);
	if (place < udp->n_sockets) {
		free(udp->sockets[place]);
	} else {
		udp->sockets = rds_realloc(udp->sockets, place + 1, sizeof(struct udp_socket *));
		udp->n_sockets = place + 1;
	}
	udp->sockets[place] = in;
	struct local own = {.socket = (uint16_t)place};
	in->own = local_handle(udp, &own);
}

void rds_udp_add(struct rds_udp *udp, int fd, int receive_bytes)
{
	int family = AF_INET;
	socklen_t len = sizeof family;
	struct rds_addr local = {0};
	struct udp_socket *in = rds_calloc(1, sizeof *in);
	in->udp = udp;
	in->fd = fd;
	(void)getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &family, &len);
	in->six = family == AF_INET6;
	in->wildcard = rds_local_addr(fd, &local) == 0 && rds_ip_is_any(&local.ip);
	in->ip = local.ip;
	if (in->wildcard)
		ask_for_local_addr(in);
	if (receive_bytes > 0)
		(void)setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &receive_bytes, sizeof receive_bytes);
	in->event = event_new(rds_loop_base(udp->loop), fd, EV_READ | EV_PERSIST, on_readable, in);
	if (in->event == NULL)
		abort();
	(void)event_add(in->event, NULL);
	put(udp, in);
}

void rds_udp_remove(struct rds_udp *udp, int fd)
{
	if (udp->n_out > 0)
		flush(udp);
	for (size_t i = 0; i < udp->n_sockets; i++)
		if (udp->sockets[i]->fd == fd)
			socket_close(udp->sockets[i]);
}
