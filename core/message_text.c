// SPDX-License-Identifier: MIT
// Reads the wire's format by itself, not by nanopb: a decoded message lacks what is out of bounds,
// skipped or unknown, which is just what one looks for here.
#include "core/message_text.h"

#include "core/addr.h"
#include "core/message_fields.h"
#include "core/text.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

#define REGISTER_PEER_RESPONSE 7
#define PUNCH_HOLE_RESPONSE    11
#define CONFIG_UPDATE          14
#define REGISTER_PK_RESPONSE   16

// --- the wire's format

enum wire { VARINT = 0, FIXED64 = 1, BYTES = 2, FIXED32 = 5 };

struct value {
	uint32_t number;
	enum wire wire;
	uint64_t varint;
	struct rds_view bytes; // of all but VARINT
};

static bool take_varint(struct rds_view *from, uint64_t *out)
{
	*out = 0;
	for (unsigned shift = 0; shift < 70 && from->len > 0; shift += 7) {
		uint8_t byte = *from->data++;
		from->len--;
		if (shift == 63 && byte > 1)
			return false;
		*out |= (uint64_t)(byte & 0x7f) << shift;
		if ((byte & 0x80) == 0)
			return true;
	}
	return false;
}

static bool take_bytes(struct rds_view *from, uint64_t len, struct rds_view *out)
{
	if (len > from->len)
		return false;
	*out = rds_view_of(from->data, (size_t)len);
	if (len > 0)
		from->data += len;
	from->len -= (size_t)len;
	return true;
}

// Takes one field off the front; false: there is none that is well-formed.
static bool take(struct rds_view *from, struct value *out)
{
	uint64_t tag = 0;
	uint64_t len = 0;
	if (!take_varint(from, &tag) || tag > UINT32_MAX || tag >> 3 == 0)
		return false;
	*out = (struct value){.number = (uint32_t)(tag >> 3), .wire = (enum wire)(tag & 7)};
	switch (tag & 7) {
	case VARINT:
		return take_varint(from, &out->varint);
	case FIXED64:
		return take_bytes(from, 8, &out->bytes);
	case BYTES:
		return take_varint(from, &len) && take_bytes(from, len, &out->bytes);
	case FIXED32:
		return take_bytes(from, 4, &out->bytes);
	default:
		return false;
	}
}

static bool is_well_formed(struct rds_view fields_of_it)
{
	struct value value;
	while (fields_of_it.len > 0)
		if (!take(&fields_of_it, &value))
			return false;
	return true;
}

// --- writing

struct out {
	char *text;
	size_t cap;
	size_t len;
	bool full;
};

static void put(struct out *out, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

static void put(struct out *out, const char *fmt, ...)
{
	va_list ap;
	if (out->full)
		return;
	va_start(ap, fmt);
	int n = vsnprintf(out->text + out->len, out->cap - out->len, fmt, ap);
	va_end(ap);
	out->full = n < 0 || (size_t)n >= out->cap - out->len;
	out->len = out->full ? out->cap - 1 : out->len + (size_t)n;
}

// Cuts what was too long, between two characters.
static void cut(struct out *out)
{
	static const char more[] = "...";
	size_t at = out->cap > sizeof more ? out->cap - sizeof more : 0;
	while (at > 0 && ((uint8_t)out->text[at] & 0xc0) == 0x80)
		at--;
	out->len = (size_t)snprintf(out->text + at, out->cap - at, "%s", more) + at;
	if (out->len >= out->cap)
		out->len = out->cap - 1;
}

static void put_length(struct out *out, size_t n)
{
	put(out, "(%zu byte%s)", n, n == 1 ? "" : "s");
}

static void put_text(struct out *out, struct rds_view text)
{
	char escaped[256];
	put(out, "\"%s\"", rds_text_escape(text, escaped, sizeof escaped));
}

static void put_address(struct out *out, struct rds_view bytes)
{
	struct rds_addr addr;
	char text[RDS_ADDR_TEXT];
	if (bytes.len == 0 || rds_addr_unmangle(bytes, &addr) != 0) {
		put_length(out, bytes.len);
		return;
	}
	rds_addr_format(&addr, text);
	put(out, "%s", text);
}

static void put_bits(struct out *out, struct rds_view bytes)
{
	if (bytes.len == 0 || bytes.len > 16) {
		put_length(out, bytes.len);
		return;
	}
	put(out, "0x");
	for (size_t i = 0; i < bytes.len; i++)
		put(out, "%02x", bytes.data[i]);
}

static void put_name(struct out *out, const char *name, int32_t value)
{
	if (name != NULL)
		put(out, "%s", name);
	else
		put(out, "%" PRId32, value);
}

static void put_varint(struct out *out, enum rds_message_field_kind kind, uint64_t varint)
{
	int32_t number = (int32_t)(uint32_t)varint; // all numbers are int32, written as 64 bits
	if (kind == RDS_MESSAGE_FIELD_SWITCH)
		put(out, "%s", varint != 0 ? "true" : "false");
	else if (kind == RDS_MESSAGE_FIELD_FAILURE)
		put_name(out, rds_failure_name(number), number);
	else if (kind == RDS_MESSAGE_FIELD_RESULT)
		put_name(out, rds_result_name(number), number);
	else
		put(out, "%" PRId32, number);
}

static void put_bytes(struct out *out, enum rds_message_field_kind kind, struct rds_view bytes)
{
	if (kind == RDS_MESSAGE_FIELD_TEXT)
		put_text(out, bytes);
	else if (kind == RDS_MESSAGE_FIELD_ADDRESS)
		put_address(out, bytes);
	else if (kind == RDS_MESSAGE_FIELD_BITS)
		put_bits(out, bytes);
	else
		put_length(out, bytes.len);
}

// The field that a value stands for; NULL: one of a newer client, or nonsense.
static const struct rds_message_field *field_of(uint32_t member, const struct value *value)
{
	const struct rds_message_field *field = rds_message_field_of(member, value->number);
	if (field == NULL ||
	    value->wire != (field->kind <= RDS_MESSAGE_FIELD_RESULT ? VARINT : BYTES))
		return NULL;
	return field;
}

static void put_field(struct out *out, const struct rds_message_field *field,
                      const struct value *value)
{
	if (field == NULL)
		put(out, "unknown_%" PRIu32 "=", value->number);
	else
		put(out, "%s=", field->name);
	if (value->wire == VARINT)
		put_varint(out, field == NULL ? RDS_MESSAGE_FIELD_NUMBER : field->kind,
		           value->varint);
	else
		put_bytes(out, field == NULL ? RDS_MESSAGE_FIELD_HIDDEN : field->kind,
		          value->bytes);
}

// The one message that stands in another.
static void put_config(struct out *out, const char *name, struct rds_view body)
{
	struct value value;
	const char *between = "";
	put(out, "%s={", name);
	while (body.len > 0 && !out->full && take(&body, &value)) {
		put(out, "%s", between);
		put_field(out, field_of(CONFIG_UPDATE, &value), &value);
		between = ", ";
	}
	put(out, "}");
}

// Defaults that are an answer all the same, though nothing of them is on the wire.
static const char *unsaid(uint32_t number, struct rds_view body)
{
	if (number == REGISTER_PEER_RESPONSE && body.len == 0)
		return "request_pk=false";
	if (number == PUNCH_HOLE_RESPONSE && body.len == 0)
		return "failure=ID_NOT_EXIST";
	struct value first = {0};
	if (number == REGISTER_PK_RESPONSE &&
	    (body.len == 0 || (take(&body, &first) && first.number != 1)))
		return "result=OK";
	return "";
}

static void put_member(struct out *out, uint32_t number, struct rds_view body)
{
	struct value value;
	const char *said = unsaid(number, body);
	const char *between = said[0] != '\0' ? ", " : "";
	put(out, "%s{%s", rds_member_name(number), said);
	while (body.len > 0 && !out->full && take(&body, &value)) {
		put(out, "%s", between);
		const struct rds_message_field *field = field_of(number, &value);
		if (field != NULL && field->kind == RDS_MESSAGE_FIELD_CONFIG &&
		    is_well_formed(value.bytes))
			put_config(out, field->name, value.bytes);
		else
			put_field(out, field, &value);
		between = ", ";
	}
	put(out, "}");
}

// --- whole payloads

// How many of our members are in it; -1: it is no message.
static int count_members(struct rds_view payload)
{
	struct value value;
	int n = 0;
	while (payload.len > 0) {
		if (!take(&payload, &value))
			return -1;
		if (value.wire != BYTES || rds_member_name(value.number) == NULL)
			continue;
		if (!is_well_formed(value.bytes))
			return -1;
		n++;
	}
	return n;
}

static void put_members(struct out *out, struct rds_view payload)
{
	struct value value;
	const char *between = "";
	while (payload.len > 0 && !out->full && take(&payload, &value)) {
		if (value.wire != BYTES || rds_member_name(value.number) == NULL)
			continue;
		put(out, "%s", between);
		put_member(out, value.number, value.bytes);
		between = " ";
	}
}

size_t rds_message_describe(struct rds_view payload, char *out, size_t cap)
{
	struct out line = {.text = out, .cap = cap};
	if (cap == 0)
		return 0;
	out[0] = '\0';
	int n = count_members(payload);
	const char *s = payload.len == 1 ? "" : "s";
	if (payload.len == 0)
		put(&line, "heartbeat (nothing)");
	else if (n < 0)
		put(&line, "%zu byte%s that %s no message", payload.len, s,
		    payload.len == 1 ? "is" : "are");
	else if (n == 0)
		put(&line, "%zu byte%s of an unknown message", payload.len, s);
	else
		put_members(&line, payload);
	if (line.full)
		cut(&line);
	return line.len;
}
