// SPDX-License-Identifier: MIT
#include "core/message.h"

#include "core/error.h"

#include <assert.h>
#include <pb_common.h>
#include <pb_decode.h>
#include <pb_encode.h>

static_assert(sizeof(rds_message) < 2048, "a decoded message lives on stacks");

static bool is_member(uint32_t tag)
{
	return tag >= rds_RendezvousMessage_register_peer_tag &&
	       tag <= rds_RendezvousMessage_http_proxy_response_tag;
}

// Whether the bytes are fields at all, and hold one of our members. A known number with another
// wire type is an unknown field to protobuf, but an error to nanopb: hence this look ahead.
static int check_fields(struct rds_view payload)
{
	pb_istream_t in = pb_istream_from_buffer(payload.data, payload.len);
	bool found = false;
	pb_wire_type_t type;
	uint32_t tag;
	bool eof;
	while (pb_decode_tag(&in, &type, &tag, &eof)) {
		found = found || (is_member(tag) && type == PB_WT_STRING);
		if (!pb_skip_field(&in, type))
			return -RDS_EPARSE;
	}
	if (!eof)
		return -RDS_EPARSE;
	return found ? 0 : -RDS_EKIND;
}

struct rds_view rds_message_peek_id(struct rds_view payload)
{
	const uint8_t *b = payload.data;
	// Two tags, each before a length of one byte.
	bool fits = payload.len >= 4 &&
	            b[0] == (rds_RendezvousMessage_register_peer_tag << 3 | 2) && b[1] < 0x80 &&
	            b[2] == (rds_RegisterPeer_id_tag << 3 | 2) && b[3] < 0x80 &&
	            b[3] <= payload.len - 4;
	return fits ? rds_view_of(b + 4, b[3]) : rds_view_of(NULL, 0);
}

// RegisterPeer as clients write it, which is nearly all that comes. false: it is something else.
static bool decode_register_peer(struct rds_view payload, rds_message *msg)
{
	rds_RegisterPeer *peer = &msg->member.register_peer;
	struct rds_view id = rds_message_peek_id(payload);
	if (id.len == 0 || (size_t)payload.data[1] + 2 != payload.len)
		return false;
	const uint8_t *rest = id.data + id.len;
	size_t left = payload.len - 4 - id.len;
	bool serial = left == 2 && rest[0] == rds_RegisterPeer_serial_tag << 3 && rest[1] < 0x80;
	if (left > 0 && !serial)
		return false;
	msg->which_member = rds_RendezvousMessage_register_peer_tag;
	peer->serial = serial ? rest[1] : 0;
	return rds_set(&peer->id, id);
}

int rds_message_decode(struct rds_view payload, rds_message *msg)
{
	if (decode_register_peer(payload, msg))
		return 0;
	int rc = check_fields(payload);
	if (rc != 0)
		return rc;
	// nanopb would set the defaults of all members, one after the other, which takes longer
	// than the decoding. It zeroes the one that it finds, and that is all there is to it.
	msg->which_member = 0;
	pb_istream_t in = pb_istream_from_buffer(payload.data, payload.len);
	if (!pb_decode_ex(&in, rds_RendezvousMessage_fields, msg, PB_DECODE_NOINIT))
		return -RDS_EPARSE;
	return msg->which_member != 0 ? 0 : -RDS_EKIND;
}

uint32_t rds_message_peek(struct rds_view payload)
{
	pb_istream_t in = pb_istream_from_buffer(payload.data, payload.len);
	pb_wire_type_t type;
	uint32_t tag;
	bool eof;
	return pb_decode_tag(&in, &type, &tag, &eof) && type == PB_WT_STRING ? tag : 0;
}

long rds_message_encode(const rds_message *msg, uint8_t *out, size_t cap)
{
	pb_ostream_t stream = pb_ostream_from_buffer(out, cap);
	pb_field_iter_t at;
	// The one member that is set, without a look at each that could be.
	if (msg->which_member == 0 ||
	    !pb_field_iter_begin_const(&at, rds_RendezvousMessage_fields, msg) ||
	    !pb_field_iter_find(&at, msg->which_member))
		return 0;
	if (!pb_encode_tag_for_field(&stream, &at) ||
	    !pb_encode_submessage(&stream, at.submsg_desc, at.pData))
		return -RDS_ETOOBIG;
	return (long)stream.bytes_written;
}

long rds_message_encode_id_pk(struct rds_view id, struct rds_view pk, uint8_t *out, size_t cap)
{
	rds_IdPk id_pk = rds_IdPk_init_zero;
	pb_ostream_t stream = pb_ostream_from_buffer(out, cap);
	if (!rds_set(&id_pk.id, id) || !rds_set(&id_pk.pk, pk) ||
	    !pb_encode(&stream, rds_IdPk_fields, &id_pk))
		return -RDS_ETOOBIG;
	return (long)stream.bytes_written;
}

int rds_message_decode_id_pk(struct rds_view bytes, rds_IdPk *out)
{
	*out = (rds_IdPk)rds_IdPk_init_zero;
	pb_istream_t stream = pb_istream_from_buffer(bytes.data, bytes.len);
	return pb_decode(&stream, rds_IdPk_fields, out) ? 0 : -RDS_EPARSE;
}

struct rds_cursor rds_cursor_of(struct rds_view payload, uint32_t member_tag, uint32_t field_tag)
{
	return (struct rds_cursor){
	        .payload = payload, .member_tag = member_tag, .field_tag = field_tag};
}

// Takes fields off *from until one is length-delimited with this tag; *value views its bytes.
static bool take_field(struct rds_view *from, uint32_t wanted, struct rds_view *value)
{
	if (from->len == 0)
		return false;
	pb_istream_t in = pb_istream_from_buffer(from->data, from->len);
	pb_wire_type_t type;
	uint32_t tag;
	bool eof;
	bool found = false;
	while (!found && pb_decode_tag(&in, &type, &tag, &eof)) {
		uint32_t len = 0;
		if (tag != wanted || type != PB_WT_STRING) {
			if (!pb_skip_field(&in, type))
				break;
			continue;
		}
		if (!pb_decode_varint32(&in, &len) || len > in.bytes_left)
			break;
		*value = rds_view_of(from->data + (from->len - in.bytes_left), len);
		if (!pb_read(&in, NULL, len))
			break;
		found = true;
	}
	size_t left = found ? in.bytes_left : 0;
	*from = rds_view_of(from->data + (from->len - left), left);
	return found;
}

bool rds_cursor_next(struct rds_cursor *cursor, struct rds_view *value)
{
	while (!take_field(&cursor->member, cursor->field_tag, value))
		if (!take_field(&cursor->payload, cursor->member_tag, &cursor->member))
			return false;
	return true;
}

bool rds_message_keys(struct rds_view payload, struct rds_view *keys, size_t n)
{
	rds_message msg;
	struct rds_view more;
	if (rds_message_decode(payload, &msg) != 0 ||
	    msg.which_member != rds_RendezvousMessage_key_exchange_tag)
		return false;
	struct rds_cursor at = rds_cursor_of(payload, rds_RendezvousMessage_key_exchange_tag,
	                                     rds_KeyExchange_keys_tag);
	for (size_t i = 0; i < n; i++)
		if (!rds_cursor_next(&at, &keys[i]))
			return false;
	return !rds_cursor_next(&at, &more);
}

static bool write_one(pb_ostream_t *stream, const pb_field_t *field, struct rds_view v)
{
	return pb_encode_tag_for_field(stream, field) && pb_encode_string(stream, v.data, v.len);
}

static bool write_list(pb_ostream_t *stream, const pb_field_t *field, void *const *arg)
{
	const struct rds_list *list = *arg;
	for (size_t i = 0; i < list->n; i++)
		if (!write_one(stream, field, list->items[i]))
			return false;
	return true;
}

static bool write_blob(pb_ostream_t *stream, const pb_field_t *field, void *const *arg)
{
	const struct rds_view *bytes = *arg;
	return bytes->len == 0 || write_one(stream, field, *bytes);
}

// nanopb's argument isn't const; the encoder doesn't write to it.
static void *unconst(const void *p)
{
	union {
		const void *in;
		void *out;
	} pun = {.in = p};
	return pun.out;
}

pb_callback_t rds_list_field(const struct rds_list *list)
{
	return (pb_callback_t){.funcs.encode = write_list, .arg = unconst(list)};
}

pb_callback_t rds_blob_field(const struct rds_view *bytes)
{
	return (pb_callback_t){.funcs.encode = write_blob, .arg = unconst(bytes)};
}

bool rds_set_bytes(pb_size_t *size, uint8_t *bytes, size_t cap, struct rds_view value)
{
	*size = 0;
	if (value.len > cap)
		return false;
	if (value.len > 0)
		memcpy(bytes, value.data, value.len);
	*size = (pb_size_t)value.len;
	return true;
}

const char *rds_nanopb_version(void)
{
	return NANOPB_VERSION;
}
