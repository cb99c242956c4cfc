// SPDX-License-Identifier: MIT
// Goal: whatever two sides of a session send, and however it is cut, each gets the other's messages
// and the answers to its own pings. Compared with plain code that has all bytes at once.
#include "test/fuzz/fuzzing.h"

#include "core/error.h"
#include "core/frame.h"
#include "core/limits.h"
#include "net/transcode.h"

// What should become of one side's bytes.
struct expected {
	long rc;                 // 0 or the code
	bool closed;             // by a closing frame
	struct rds_buffer out;   // for the other side
	struct rds_buffer pings; // each as a pong that answers it
};

struct side {
	bool websocket;
	struct rds_transcoder code; // from it to the other
	struct rds_buffer in;       // all that it sent
	struct rds_buffer out;      // all that it got
	long rc;
	bool eof;     // nothing more comes from it
	bool discard; // or is of use
};

static void put(struct rds_buffer *out, uint64_t byte)
{
	uint8_t one = (uint8_t)byte;
	rds_buffer_add(out, &one, 1);
}

static struct rds_view all_of(const struct rds_buffer *buffer)
{
	const uint8_t *data = rds_buffer_data(buffer);
	must(buffer->len == 0 || data != NULL);
	return rds_view_of(data, data == NULL ? 0 : buffer->len);
}

static void put_ws_head(struct rds_buffer *out, unsigned first, uint64_t len)
{
	int wide = len < 126 ? 0 : len < 65536 ? 2 : 8;
	put(out, first);
	put(out, wide == 0 ? len : wide == 2 ? 126 : 127);
	while (wide-- > 0)
		put(out, len >> (8 * wide));
}

// A long frame goes in parts, none of which gets full here.
static void put_first_part(struct rds_buffer *out, unsigned opcode, bool fin, uint64_t len)
{
	bool parts = len > RDS_WS_CLIENT_FRAME_BYTES;
	put_ws_head(out, (fin && !parts ? 0x80U : 0U) | opcode,
	            parts ? RDS_WS_CLIENT_FRAME_BYTES : len);
}

static void put_tcp_head(struct rds_buffer *out, uint64_t len)
{
	uint64_t n = len < 64 ? 1 : len < 16384 ? 2 : len < 4194304 ? 3 : 4;
	for (uint64_t i = 0; i < n; i++)
		put(out, (len * 4 + n - 1) >> (8 * i));
}

static void put_plain(struct rds_buffer *out, const uint8_t *masked, size_t len,
                      const uint8_t *mask)
{
	for (size_t i = 0; i < len; i++)
		put(out, masked[i] ^ mask[i % 4]);
}

static void expect_of_tcp(struct rds_view in, struct expected *e)
{
	while (in.len > 0 && in.len > in.data[0] % 4U) {
		size_t head = in.data[0] % 4U + 1;
		uint64_t len = 0;
		for (size_t i = head; i > 0; i--)
			len = len * 256 + in.data[i - 1];
		len /= 4;
		if (len > RDS_WS_CLIENT_MESSAGE_BYTES) {
			e->rc = -RDS_ETOOBIG;
			return;
		}
		size_t there = in.len - head < len ? in.len - head : (size_t)len;
		put_first_part(&e->out, 2, true, len);
		rds_buffer_add(&e->out, in.data + head, there);
		in = rds_view_of(in.data + head + there, in.len - head - there);
	}
}

struct ws_frame {
	unsigned first;
	unsigned opcode;
	bool fin;
	uint64_t len;
	size_t head;
	size_t there;
	const uint8_t *mask;
};

// 1; 0: its head isn't there yet; or a code.
static long read_frame(struct rds_view in, struct ws_frame *f)
{
	if (in.len < 2)
		return 0;
	unsigned size = in.data[1] & 127U;
	size_t wide = size == 126 ? 2 : size == 127 ? 8 : 0;
	f->first = in.data[0];
	f->fin = f->first >= 128;
	f->opcode = f->first % 16;
	f->head = 2 + wide + 4;
	bool control = f->opcode >= 8;
	if (f->first / 16 % 8 != 0 || in.data[1] < 128 || f->opcode % 8 > 2 ||
	    (control && (!f->fin || size > 125)))
		return -RDS_EPARSE;
	if (in.len < f->head)
		return 0;
	f->len = wide == 0 ? size : 0;
	for (size_t i = 0; i < wide; i++)
		f->len = f->len * 256 + in.data[2 + i];
	f->mask = in.data + f->head - 4;
	f->there = in.len - f->head < f->len ? in.len - f->head : (size_t)f->len;
	return f->len > INT64_MAX ? -RDS_EPARSE : 1;
}

// false: that was the end.
static bool expect_of_control(const struct ws_frame *f, struct expected *e)
{
	if (f->there < f->len)
		return false;
	e->closed = f->opcode == RDS_WS_CLOSE;
	if (f->opcode == RDS_WS_PING) {
		put_ws_head(&e->pings, 0x8a, f->len);
		put_plain(&e->pings, f->mask + 4, f->there, f->mask);
	}
	return !e->closed;
}

static void expect_of_data(const struct ws_frame *f, bool first, bool to_websocket,
                           struct rds_buffer *held, struct expected *e)
{
	bool whole = first && f->fin;
	uint64_t most = whole ? RDS_FRAME_PAYLOAD_MAX : RDS_RELAY_MESSAGE_MAX_BYTES - held->len;
	bool hold = !to_websocket && !whole;
	if (!to_websocket && f->len > most) {
		e->rc = -RDS_ETOOBIG;
		return;
	}
	if (to_websocket)
		put_first_part(&e->out, first ? 2 : 0, f->fin, f->len);
	else if (whole)
		put_tcp_head(&e->out, f->len);
	put_plain(hold ? held : &e->out, f->mask + 4, f->there, f->mask);
	if (!hold || !f->fin || f->there < f->len)
		return;
	put_tcp_head(&e->out, held->len);
	rds_buffer_add(&e->out, rds_buffer_data(held), held->len);
	rds_buffer_clear(held);
}

static void expect_of_websocket(struct rds_view in, bool to_websocket, struct expected *e)
{
	struct rds_buffer held = {0};
	struct ws_frame f;
	bool within = false;
	while (e->rc == 0 && (e->rc = read_frame(in, &f)) == 1) {
		bool is_control = f.opcode >= 8;
		e->rc = 0;
		in = rds_view_of(in.data + f.head + f.there, in.len - f.head - f.there);
		if (is_control) {
			if (!expect_of_control(&f, e))
				break;
			continue;
		}
		if ((f.opcode == 0) != within)
			e->rc = -RDS_EPARSE;
		else
			expect_of_data(&f, !within, to_websocket, &held, e);
		within = !f.fin;
	}
	rds_buffer_clear(&held);
}

// --- what the code under test makes of it

static void answer(struct side *from, struct side *to)
{
	if (!from->eof && !from->discard)
		rds_transcoder_answer(&from->code, &to->code, &to->out);
}

static void end(struct side *side, struct side *other)
{
	side->eof = true;
	if (!side->discard)
		rds_transcoder_end(&side->code, &other->out);
}

// As the pump does it.
static void feed(struct side *side, struct side *other, struct rds_view bytes)
{
	if (side->eof || side->discard)
		return;
	uint8_t *copy = exact_copy(bytes);
	rds_buffer_add(&side->in, bytes.data, bytes.len);
	side->rc = rds_transcode(&side->code, copy, bytes.len, &other->out);
	free(copy);
	must(side->rc < 0 || (size_t)side->rc == bytes.len || side->code.closed);
	must(side->rc <= (long)bytes.len);
	if (side->rc < 0) {
		side->eof = true;
		return;
	}
	side->rc = 0;
	answer(other, side);
	answer(side, other);
	if (!side->code.closed)
		return;
	other->discard = true;
	end(side, other);
}

// --- what a side got

// Takes the next frame of what a WebSocket got off; its opcode, and the frame itself.
static unsigned take_frame(struct rds_view *rest, struct rds_view *frame)
{
	must(rest->len >= 2 && rest->data[1] < 128);
	unsigned size = rest->data[1];
	size_t wide = size == 126 ? 2 : size == 127 ? 8 : 0;
	uint64_t len = wide == 0 ? size : 0;
	must(rest->len >= 2 + wide);
	for (size_t i = 0; i < wide; i++)
		len = len * 256 + rest->data[2 + i];
	uint64_t all = len > rest->len ? rest->len : len + 2 + wide;
	*frame = take_bytes(rest, all > rest->len ? rest->len : (size_t)all);
	return frame->data[0] % 16U;
}

// Pongs answer pings in their order, none twice; the closing frame is the last.
static void check_control(unsigned opcode, struct rds_view frame, struct rds_view *pings,
                          bool *closed)
{
	must(!*closed);
	*closed = opcode == RDS_WS_CLOSE;
	must(*closed ? frame.len <= 4 : opcode == RDS_WS_PONG);
	bool found = *closed;
	while (!found) {
		struct rds_view ping;
		must(pings->len > 0);
		(void)take_frame(pings, &ping);
		found = rds_view_equal(ping, frame);
	}
}

// own: what this side sent; others: what the other did.
static void check_got(const struct side *side, const struct expected *own,
                      const struct expected *others)
{
	struct rds_view rest = all_of(&side->out);
	struct rds_view pings = all_of(&own->pings);
	struct rds_view wanted = all_of(&others->out);
	bool closed = false;
	if (!side->websocket)
		must(rds_view_equal(rest, wanted));
	while (side->websocket && rest.len > 0) {
		struct rds_view frame;
		unsigned opcode = take_frame(&rest, &frame);
		must(!closed);
		if (opcode >= 8)
			check_control(opcode, frame, &pings, &closed);
		else
			must(rds_view_equal(take_bytes(&wanted, frame.len), frame));
	}
	must(!side->websocket || wanted.len == 0);
}

static void check(struct side *side, struct side *other)
{
	const struct side *sides[] = {side, other};
	struct expected expected[2] = {{0}, {0}};
	for (int i = 0; i < 2; i++) {
		struct rds_view in = all_of(&sides[i]->in);
		if (sides[i]->websocket)
			expect_of_websocket(in, sides[1 - i]->websocket, &expected[i]);
		else
			expect_of_tcp(in, &expected[i]);
		must(sides[i]->rc == expected[i].rc);
		must(sides[i]->code.closed == expected[i].closed);
	}
	check_got(side, &expected[0], &expected[1]);
	check_got(other, &expected[1], &expected[0]);
	for (int i = 0; i < 2; i++) {
		rds_buffer_clear(&expected[i].out);
		rds_buffer_clear(&expected[i].pings);
	}
}

static void side_clear(struct side *side)
{
	rds_transcoder_clear(&side->code);
	rds_buffer_clear(&side->in);
	rds_buffer_clear(&side->out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct rds_view input = rds_view_of(data, size);
	unsigned kind = take_byte(&input) % 3U;
	struct side sides[2] = {{.websocket = kind > 0}, {.websocket = kind < 2}};
	for (int i = 0; i < 2; i++)
		rds_transcoder_init(&sides[i].code, sides[i].websocket, sides[1 - i].websocket);
	while (input.len > 0) {
		unsigned what = take_byte(&input);
		struct side *side = &sides[what & 1];
		feed(side, &sides[1 - (what & 1)], take_bytes(&input, (what >> 1) + 1));
	}
	check(&sides[0], &sides[1]);
	side_clear(&sides[0]);
	side_clear(&sides[1]);
	return 0;
}
