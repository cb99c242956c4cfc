// SPDX-License-Identifier: MIT
// Payloads (protocol.md sections 2 and 3): RendezvousMessage to and from bytes, by nanopb.
#ifndef RDS_CORE_MESSAGE_H
#define RDS_CORE_MESSAGE_H

#include "core/view.h"
#include "rendezvous.pb.h"

// For large variables on hot paths that are written before they are read: no zeros first, which the
// compiler's hardening would put there.
#if defined(__has_attribute) && __has_attribute(uninitialized)
#define RDS_UNSET __attribute__((uninitialized))
#else
#define RDS_UNSET
#endif

// A decoded message, without allocation; which_member is one of rds_RendezvousMessage_*_tag.
typedef rds_RendezvousMessage rds_message;

// Decodes one payload. 0; -RDS_EPARSE if it is malformed or a field is over its bound
// (rendezvous.options); -RDS_EKIND if it parses but holds no member that we know.
// Repeated fields are not in *msg: read them with a cursor.
int rds_message_decode(struct rds_view payload, rds_message *msg)
        __attribute__((warn_unused_result));

// The number of the member that payload begins with, without a look at the rest; 0: none.
uint32_t rds_message_peek(struct rds_view payload);

// The id in a RegisterPeer that is written as clients do, without a look at the rest; else empty.
struct rds_view rds_message_peek_id(struct rds_view payload);

// Encodes msg. Returns the length, or -RDS_ETOOBIG if cap is too small.
long rds_message_encode(const rds_message *msg, uint8_t *out, size_t cap)
        __attribute__((warn_unused_result));

// Encodes IdPk{id, pk}, the bytes that are signed for A. Returns the length or -RDS_ETOOBIG.
long rds_message_encode_id_pk(struct rds_view id, struct rds_view pk, uint8_t *out, size_t cap)
        __attribute__((warn_unused_result));

// Decodes it. 0 or -RDS_EPARSE.
int rds_message_decode_id_pk(struct rds_view bytes, rds_IdPk *out)
        __attribute__((warn_unused_result));

// Walks over the values of one length-delimited field of a member, in order, without copying.
struct rds_cursor {
	struct rds_view payload; // what is left of the whole message
	struct rds_view member;  // what is left of the current occurrence of the member
	uint32_t member_tag;
	uint32_t field_tag;
};

// For example (payload, rds_RendezvousMessage_online_request_tag, rds_OnlineRequest_peers_tag).
// payload must have been decoded successfully before.
struct rds_cursor rds_cursor_of(struct rds_view payload, uint32_t member_tag, uint32_t field_tag);

// The next value; false at the end.
bool rds_cursor_next(struct rds_cursor *cursor, struct rds_view *value);

// The keys of a KeyExchange (protocol.md section 6), of which there have to be n. false: they are
// not, or it is another message, or none.
bool rds_message_keys(struct rds_view payload, struct rds_view *keys, size_t n);

// A list of byte strings to be written as a repeated field, and how to set it:
// msg.member.configure_update.rendezvous_servers = rds_list_field(&list);
struct rds_list {
	const struct rds_view *items; // borrows until the message is encoded
	size_t n;
};
pb_callback_t rds_list_field(const struct rds_list *list);

// A single byte string of any length, for fields that are callbacks.
pb_callback_t rds_blob_field(const struct rds_view *bytes);

// A view of a bounded bytes field, and setting one; rds_set is false (and the field empty)
// where the bytes don't fit. Both are macros because nanopb makes a type for each field.
#define rds_get(field) rds_view_of((field).bytes, (field).size)
#define rds_set(field, view) \
	rds_set_bytes(&(field)->size, (field)->bytes, sizeof(field)->bytes, (view))
bool rds_set_bytes(pb_size_t *size, uint8_t *bytes, size_t cap, struct rds_view value);

// Of nanopb, which is built in.
const char *rds_nanopb_version(void);

#endif
