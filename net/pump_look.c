// SPDX-License-Identifier: MIT
// What no event tells: sides that are gone, sessions that linger, wait for their quota or have to
// end, and what they all did.
#include "net/pump_private.h"

#include <linux/sockios.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/ioctl.h>

// Each session is looked at once in LOOKS seconds; a side that has acknowledged nothing for
// SILENT_MS, least of all what was sent to it ANSWER_MS ago or before, is gone. So is one that took
// nothing any more and has left PROBES of the kernel's questions unanswered whether it does again.
#define LOOKS     15
#define SILENT_MS 45000
#define ANSWER_MS 5000
#define PROBES    2

// A side whose partner is gone may still talk. Closing its socket then, with bytes unread, would
// destroy what is on its way to it: so it is looked at this often until all has arrived there, and
// closed when nothing has for LINGER_MS.
#define LINGER_LOOK_MS 200
#define LINGER_MS      60000

// Bytes stay in a pipe so long while the other side takes none.
#define STALL_MS 100

// How much that was written to a side hasn't arrived there.
static int bytes_under_way(const struct side *side)
{
	int n = 0;
	return ioctl(side->fd, SIOCOUTQ, &n) == 0 ? n : 0;
}

static bool is_silent(const struct side *side, const struct tcp_info *info)
{
	bool unanswered = info->tcpi_unacked > 0 && info->tcpi_last_data_sent > ANSWER_MS &&
	                  info->tcpi_last_ack_recv > info->tcpi_last_data_sent;
	return info->tcpi_last_ack_recv > SILENT_MS &&
	       (unanswered || (info->tcpi_probes >= PROBES && bytes_under_way(side) > 0));
}

// What TCP knows and no event tells: a side that was read to its end, or whose bytes are held,
// has no event on which its breaking would show.
static void look_at_side(struct side *side)
{
	struct tcp_info info = {0};
	socklen_t len = sizeof info;
	if (getsockopt(side->fd, IPPROTO_TCP, TCP_INFO, &info, &len) != 0)
		return;
	bool silent = is_silent(side, &info);
	if (info.tcpi_state != TCP_CLOSE && !silent)
		return;
	pump_note_end(side, RDS_WHY_RESET);
	pump_break_direction(other_of(side));
	// Bytes from it that are still to be read, or held, go on; else it is over.
	if (!holds_bytes(side) && (silent || side->eof))
		side->eof = true;
}

// On for too long with more than its share of what one session may use.
static void look_for_downgrade(struct rds_pump *pump, uint64_t now_ms)
{
	const struct rds_pump_limits *limits = pump->pumps->limits;
	struct rds_meter *meter = &pump->session->meter;
	uint64_t ms = now_ms - pump->started_ms;
	uint64_t bytes = meter->bytes[0] + meter->bytes[1];
	uint64_t per_mille = limits->downgrade_per_mille;
	if (per_mille > 0 && limits->single > 0 && ms > limits->downgrade_after_ms &&
	    bytes / (ms / 1000 + 1) > limits->single / 1000 * per_mille)
		meter->downgraded = true;
}

// Every now and then: is anybody still there, and does anything still happen?
static void look_at(struct rds_pump *pump)
{
	uint64_t now_ms = rds_loop_now_ms(pump->pumps->loop);
	if (now_ms - pump->active_ms >= pump->pumps->limits->idle_ms) {
		pump->why = pump->why == RDS_WHY_NONE ? RDS_WHY_IDLE : pump->why;
		pump_finish(pump);
		return;
	}
	look_for_downgrade(pump, now_ms);
	look_at_side(&pump->sides[0]);
	look_at_side(&pump->sides[1]);
	(void)pump_settle(pump);
}

// Once a second: those whose turn it is.
void pumps_on_look(void *ctx)
{
	struct rds_pumps *pumps = ctx;
	for (size_t i = (pumps->n + LOOKS - 1) / LOOKS; i > 0 && pumps->oldest != NULL; i--) {
		struct rds_pump *pump = pumps->oldest;
		pumps->oldest = pump->next;
		look_at(pump);
	}
}

// How much that was sent to a side, and that closing would destroy, hasn't arrived there.
static int left_for(const struct side *side)
{
	return side->eof ? 0 : bytes_under_way(side);
}

// true: it is gone.
static bool look_at_lingering(struct rds_pump *pump, uint64_t now_ms)
{
	if (pump->linger_ms == 0 || now_ms - pump->look_ms < LINGER_LOOK_MS)
		return false;
	int left = left_for(&pump->sides[0]) + left_for(&pump->sides[1]);
	pump->look_ms = now_ms;
	if (left < pump->linger_left)
		pump->linger_ms = now_ms;
	pump->linger_left = left;
	bool over = left == 0 || now_ms - pump->linger_ms >= LINGER_MS;
	if (over)
		pump_finish(pump);
	return over;
}

static bool is_stalled(const struct side *side, uint64_t now_ms)
{
	return side->piped > 0 && now_ms - side->piped_ms >= STALL_MS;
}

static void look_at_watched(struct rds_pump *pump, uint64_t now_ms)
{
	if (look_at_lingering(pump, now_ms))
		return;
	for (int i = 0; i < 2; i++)
		if (is_stalled(&pump->sides[i], now_ms))
			pump_spill(&pump->sides[i]);
	if (pump->throttled && pump_quota(pump) > 0)
		pump->throttled = false;
	if (pump->throttled || pump->linger_ms != 0 || pump->sides[0].piped > 0 ||
	    pump->sides[1].piped > 0)
		pump_watch(pump);
	pump_await(&pump->sides[0]);
	pump_await(&pump->sides[1]);
}

void pumps_on_watch(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	struct rds_pumps *pumps = arg;
	uint64_t now_ms = rds_loop_now_ms(pumps->loop);
	struct rds_pump *next = pumps->watched;
	pumps->watched = NULL;
	for (struct rds_pump *pump; (pump = next) != NULL;) {
		next = pump->next_watched;
		pump->watched = false;
		look_at_watched(pump, now_ms);
	}
}

void rds_pumps_look_for_kicked(struct rds_pumps *pumps)
{
	struct rds_pump *pump = pumps->oldest;
	for (size_t i = pumps->n; i > 0; i--) {
		struct rds_pump *next = pump->next;
		int kicked = pump->session->meter.kicked;
		if (kicked != RDS_WHY_NONE)
			pump_cut(pump, (enum rds_reason)kicked);
		pump = next;
	}
}

// Where there is a total limit: what everybody did since the last time.
void pumps_on_tell(void *ctx)
{
	struct rds_pumps *pumps = ctx;
	uint64_t now_ms = rds_loop_now_ms(pumps->loop);
	uint64_t free_bytes = 0;
	uint64_t held_back = 0;
	uint64_t active = 0;
	struct rds_pump *pump = pumps->oldest;
	for (size_t i = pumps->limits->total == 0 ? 0 : pumps->n; i > 0; i--, pump = pump->next) {
		held_back += pump->held_back;
		active += pump->held_back || pump->demand_bytes > 0;
		free_bytes += pump->held_back ? 0 : pump->demand_bytes;
		pump->held_back = pump->held_back && pump->throttled;
		pump->demand_bytes = 0;
	}
	pumps->demand.free_bps = free_bytes * 1000 / (now_ms - pumps->told_ms + 1);
	pumps->demand.held_back = held_back;
	pumps->demand.active = active;
	pumps->told_ms = now_ms;
}
