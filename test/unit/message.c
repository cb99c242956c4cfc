// SPDX-License-Identifier: MIT
// Goal: payloads to and from bytes (protocol.md sections 2 and 3), field by field, against known
// answers and against a second, simple encoder. The table of fields is in message_fields.h.
#include "test/unit/testing.h"

#include "core/alloc.h"
#include "core/message.h"
#include "test/unit/message_fields.h"

#include <stdio.h>
#include <stdlib.h>

static const struct field *find_field(int message, int number)
{
	for (size_t i = 0; i < COUNT(fields); i++)
		if (fields[i].message == message && fields[i].number == number)
			return &fields[i];
	return NULL;
}

static bool is_blob(const struct field *field)
{
	return field->kind == TEXT || field->kind == BYTES;
}

static void store_tag(rds_message *msg, size_t at, size_t number)
{
	pb_size_t tag = (pb_size_t)number;
	memcpy((uint8_t *)msg + at, &tag, sizeof tag);
}

static pb_size_t tag_at(const rds_message *msg, size_t at)
{
	pb_size_t tag;
	memcpy(&tag, (const uint8_t *)msg + at, sizeof tag);
	return tag;
}

static void set_field(rds_message *msg, const struct field *field, struct rds_view bytes,
                      int32_t number)
{
	uint8_t *base = (uint8_t *)msg;
	if (is_blob(field)) {
		assert_true(bytes.len <= field->bound);
		if (bytes.len > 0)
			memcpy(base + field->at, bytes.data, bytes.len);
		store_tag(msg, field->size_at, bytes.len);
	} else if (field->kind == INT) {
		memcpy(base + field->at, &number, sizeof number);
	} else {
		*(bool *)(base + field->at) = number != 0;
	}
	if (field->has_at != 0)
		*(bool *)(base + field->has_at) = true;
	if (field->which_at != 0)
		store_tag(msg, field->which_at, (size_t)field->number);
}

static void check_value(const rds_message *msg, const struct field *field, struct rds_view bytes,
                        int32_t number)
{
	const uint8_t *base = (const uint8_t *)msg;
	int32_t got = 0;
	if (is_blob(field)) {
		assert_views_equal(rds_view_of(base + field->at, tag_at(msg, field->size_at)),
		                   bytes);
		return;
	}
	if (field->kind == INT)
		memcpy(&got, base + field->at, sizeof got);
	else
		got = *(const bool *)(base + field->at);
	assert_int_equal(got, number);
}

// Whether msg has that value, or the default where it lacks the field.
static void check_field(const rds_message *msg, const struct field *field, struct rds_view bytes,
                        int32_t number, bool there)
{
	if (field->has_at != 0)
		assert_int_equal(*((const bool *)(const void *)msg + field->has_at), there);
	if (field->which_at != 0 && !there) {
		assert_int_not_equal(tag_at(msg, field->which_at), field->number);
		return;
	}
	if (field->which_at != 0)
		assert_int_equal(tag_at(msg, field->which_at), field->number);
	check_value(msg, field, there ? bytes : rds_view_of(NULL, 0), there ? number : 0);
}

// Known answers.

static struct rds_view answer_bytes(const cJSON *value, enum kind kind, uint8_t *out, size_t cap)
{
	const char *text = cJSON_GetStringValue(value);
	if (text == NULL)
		return rds_view_of(NULL, 0);
	return kind == TEXT ? rds_view_text(text) : from_hex(text, out, cap);
}

static int32_t answer_number(const cJSON *value)
{
	return cJSON_IsNumber(value) ? (int32_t)value->valuedouble : (int32_t)cJSON_IsTrue(value);
}

static int number_of(const cJSON *pair)
{
	return (int)cJSON_GetArrayItem(pair, 0)->valuedouble;
}

// The lists of one message: what to encode, and what a cursor must find.
struct lists {
	struct rds_view peers[8];
	struct rds_list list;
	uint8_t states_bytes[64];
	struct rds_view states;
};

static bool is_list(int message, int number)
{
	return (message == 23 && number == 2) || (message == 24 && number == 1);
}

static void take_list(struct lists *lists, int message, const cJSON *value)
{
	if (message == 23)
		lists->peers[lists->list.n++] = rds_view_text(cJSON_GetStringValue(value));
	else
		lists->states =
		        answer_bytes(value, BYTES, lists->states_bytes, sizeof lists->states_bytes);
	lists->list.items = lists->peers;
}

static void build(rds_message *msg, struct lists *lists, const cJSON *one)
{
	int number = (int)member_number(one, "number");
	const cJSON *pair = NULL;
	msg->which_member = (pb_size_t)number;
	cJSON_ArrayForEach(pair, member(one, "fields"))
	{
		const struct field *field = find_field(number, number_of(pair));
		const cJSON *value = cJSON_GetArrayItem(pair, 1);
		uint8_t hex[512];
		if (is_list(number, number_of(pair)))
			take_list(lists, number, value);
		else if (field == NULL)
			fail_msg("field %d of message %d is not in the table", number_of(pair),
			         number);
		else
			set_field(msg, field, answer_bytes(value, field->kind, hex, sizeof hex),
			          answer_number(value));
	}
	if (number == 23)
		msg->member.online_request.peers = rds_list_field(&lists->list);
	if (number == 24)
		msg->member.online_response.states = rds_blob_field(&lists->states);
}

static void messages_encode_as_known(void **state)
{
	(void)state;
	cJSON *file = vectors_open("messages.json");
	const cJSON *one = NULL;
	size_t n = 0;
	cJSON_ArrayForEach(one, member(file, "cases"))
	{
		uint8_t hex[1024];
		uint8_t out[1024];
		rds_message msg = {0};
		struct lists lists = {0};
		build(&msg, &lists, one);
		long len = rds_message_encode(&msg, out, sizeof out);
		assert_true(len > 0);
		assert_views_equal(rds_view_of(out, (size_t)len),
		                   member_hex(one, "bytes", hex, sizeof hex));
		n++;
	}
	assert_int_equal(n, 26);
	cJSON_Delete(file);
}

static const cJSON *value_of(const cJSON *one, int number)
{
	const cJSON *pair = NULL;
	cJSON_ArrayForEach(pair, member(one, "fields"))
	{
		if (number_of(pair) == number)
			return cJSON_GetArrayItem(pair, 1);
	}
	return NULL;
}

static void check_lists(const cJSON *one, int number, struct rds_view payload)
{
	const cJSON *pair = NULL;
	struct rds_cursor at = rds_cursor_of(payload, (uint32_t)number, number == 23 ? 2 : 1);
	struct rds_view found = {0};
	cJSON_ArrayForEach(pair, member(one, "fields"))
	{
		uint8_t hex[64];
		if (!is_list(number, number_of(pair)))
			continue;
		assert_true(rds_cursor_next(&at, &found));
		assert_views_equal(found,
		                   answer_bytes(cJSON_GetArrayItem(pair, 1),
		                                number == 23 ? TEXT : BYTES, hex, sizeof hex));
	}
	assert_false(rds_cursor_next(&at, &found));
}

static void messages_decode_as_known(void **state)
{
	(void)state;
	cJSON *file = vectors_open("messages.json");
	const cJSON *one = NULL;
	cJSON_ArrayForEach(one, member(file, "cases"))
	{
		uint8_t hex[1024];
		int number = (int)member_number(one, "number");
		struct rds_view payload = member_hex(one, "bytes", hex, sizeof hex);
		rds_message msg;
		assert_int_equal(rds_message_decode(payload, &msg), 0);
		assert_int_equal(msg.which_member, number);
		for (size_t i = 0; i < COUNT(fields); i++) {
			uint8_t bytes[512];
			const cJSON *value = value_of(one, fields[i].number);
			if (fields[i].message == number)
				check_field(
				        &msg, &fields[i],
				        answer_bytes(value, fields[i].kind, bytes, sizeof bytes),
				        answer_number(value), value != NULL);
		}
		if (number == 23 || number == 24)
			check_lists(one, number, payload);
	}
	cJSON_Delete(file);
}

static void check_all(const char *name, int code)
{
	cJSON *file = vectors_open("messages.json");
	const cJSON *one = NULL;
	size_t n = 0;
	cJSON_ArrayForEach(one, member(file, name))
	{
		uint8_t hex[256];
		rds_message msg;
		struct rds_view payload = from_hex(cJSON_GetStringValue(one), hex, sizeof hex);
		if (rds_message_decode(payload, &msg) != code)
			fail_msg("%s %s: wrong result", name, cJSON_GetStringValue(one));
		n++;
	}
	assert_true(n >= 3);
	cJSON_Delete(file);
}

static void bad_ones_are_refused(void **state)
{
	(void)state;
	check_all("bad", -RDS_EPARSE);
}

static void ones_of_no_kind_are_told_apart(void **state)
{
	(void)state;
	check_all("of_no_kind", -RDS_EKIND);
}

// Only whole messages parse: no prefix of one says the same.
static void prefixes_are_no_messages(void **state)
{
	(void)state;
	cJSON *file = vectors_open("messages.json");
	const cJSON *one = NULL;
	cJSON_ArrayForEach(one, member(file, "cases"))
	{
		uint8_t hex[1024];
		struct rds_view payload = member_hex(one, "bytes", hex, sizeof hex);
		for (size_t len = 0; len < payload.len; len++) {
			rds_message msg;
			int rc = rds_message_decode(rds_view_of(payload.data, len), &msg);
			assert_int_equal(rc, len == 0 ? -RDS_EKIND : -RDS_EPARSE);
		}
	}
	cJSON_Delete(file);
}

// A second encoder, as simple as can be.

static size_t put_varint(uint8_t *out, uint64_t value)
{
	size_t n = 0;
	for (; value > 0x7f; value >>= 7)
		out[n++] = (uint8_t)(value | 0x80);
	out[n++] = (uint8_t)value;
	return n;
}

static size_t put_blob(uint8_t *out, int number, struct rds_view bytes)
{
	size_t n = put_varint(out, (uint64_t)number << 3 | 2);
	n += put_varint(out + n, bytes.len);
	if (bytes.len > 0)
		memcpy(out + n, bytes.data, bytes.len);
	return n + bytes.len;
}

static size_t put_number(uint8_t *out, int number, uint64_t value)
{
	size_t n = put_varint(out, (uint64_t)number << 3);
	return n + put_varint(out + n, value);
}

static struct rds_view one_blob(int message, int number, struct rds_view bytes, uint8_t *out)
{
	uint8_t body[600];
	assert_true(bytes.len < 512);
	size_t len = put_blob(body, number, bytes);
	return rds_view_of(out, put_blob(out, message, rds_view_of(body, len)));
}

static struct rds_view one_number(int message, int number, uint64_t value, uint8_t *out)
{
	uint8_t body[32];
	size_t len = put_number(body, number, value);
	return rds_view_of(out, put_blob(out, message, rds_view_of(body, len)));
}

// Every field alone, as far as it may go, both ways.
static void each_field_goes_both_ways(void **state)
{
	(void)state;
	uint8_t text[512];
	memset(text, 'x', sizeof text);
	for (size_t i = 0; i < COUNT(fields); i++) {
		const struct field *field = &fields[i];
		uint8_t wire[1024];
		uint8_t out[1024];
		rds_message built = {.which_member = (pb_size_t)field->message};
		rds_message msg;
		struct rds_view bytes = rds_view_of(text, field->bound);
		int32_t number = field->kind == FLAG ? 1 : INT32_MAX;
		struct rds_view payload =
		        is_blob(field)
		                ? one_blob(field->message, field->number, bytes, wire)
		                : one_number(field->message, field->number, (uint64_t)number, wire);
		assert_int_equal(rds_message_decode(payload, &msg), 0);
		check_field(&msg, field, bytes, number, true);
		set_field(&built, field, bytes, number);
		long len = rds_message_encode(&built, out, sizeof out);
		assert_true(len > 0);
		assert_views_equal(rds_view_of(out, (size_t)len), payload);
	}
}

// One byte more than a field may have makes the message malformed; nothing is cut.
static void nothing_is_cut(void **state)
{
	(void)state;
	uint8_t text[512] = {0};
	for (size_t i = 0; i < COUNT(fields); i++) {
		uint8_t wire[1024];
		rds_message msg;
		if (!is_blob(&fields[i]))
			continue;
		struct rds_view payload = one_blob(fields[i].message, fields[i].number,
		                                   rds_view_of(text, fields[i].bound + 1), wire);
		if (rds_message_decode(payload, &msg) != -RDS_EPARSE)
			fail_msg("field %d of message %d took %zu bytes", fields[i].number,
			         fields[i].message, fields[i].bound + 1);
	}
}

// Section 3, "Real sizes"; a signed IdPk is a signature, an id, a pk and some tags.
static void bounds_hold_real_sizes(void **state)
{
	(void)state;
	static const struct {
		int message;
		int number;
		size_t bytes;
	} real[] = {
	        {6, 1, 101},  {8, 1, 100},  {10, 2, 100}, {13, 4, 100}, {15, 1, 101}, {15, 4, 100},
	        {18, 1, 100}, {19, 4, 100}, {15, 2, 64},  {15, 3, 32},  {8, 3, 44},   {18, 6, 44},
	        {8, 6, 16},   {10, 5, 16},  {13, 5, 16},  {19, 7, 16},  {10, 3, 255}, {13, 3, 255},
	        {18, 4, 255}, {19, 3, 255}, {9, 2, 255},  {12, 2, 255}, {11, 4, 255}, {18, 2, 36},
	        {19, 2, 36},  {11, 2, 210}, {19, 5, 210}, {8, 10, 18},  {9, 1, 18},   {11, 1, 18},
	};
	for (size_t i = 0; i < COUNT(real); i++)
		assert_true(find_field(real[i].message, real[i].number)->bound >= real[i].bytes);
}

static void negative_numbers_survive(void **state)
{
	(void)state;
	uint8_t wire[64];
	rds_message msg;
	struct rds_view payload = one_number(6, 2, (uint64_t)-5, wire);
	assert_int_equal(rds_message_decode(payload, &msg), 0);
	assert_int_equal(msg.member.register_peer.serial, -5);
}

static void check_skipped(int message, int number, struct rds_view huge)
{
	rds_message msg;
	uint8_t *body = rds_calloc(huge.len + 100, 1);
	uint8_t *wire = rds_calloc(2 * huge.len + 200, 1);
	size_t len = put_blob(body, number, huge);
	if (message != 26)
		len += put_blob(body + len, 1, rds_view_text("ridge-042"));
	len += put_number(body + len, 77, 5);
	size_t n = put_number(wire, 3, 1);
	n += put_blob(wire + n, 99, huge);
	n += put_blob(wire + n, message, rds_view_of(body, len));
	assert_int_equal(rds_message_decode(rds_view_of(wire, n), &msg), 0);
	assert_int_equal(msg.which_member, message);
	if (message != 26)
		check_field(&msg, find_field(message, 1), rds_view_text("ridge-042"), 0, true);
	free(body);
	free(wire);
}

// token and switch_code of logged-in users run to kilobytes, and there may be fields that we
// don't know: skipped, wherever they stand.
static void long_and_unknown_fields_are_skipped(void **state)
{
	(void)state;
	uint8_t *huge = rds_calloc(90000, 1);
	struct rds_view view = rds_view_of(huge, 90000);
	check_skipped(8, 5, view);
	check_skipped(8, 11, view);
	check_skipped(18, 8, view);
	check_skipped(18, 11, view);
	check_skipped(26, 1, view);
	check_skipped(8, 99, view);
	check_skipped(8, 20000, view);
	check_skipped(6, 5000, view);
	free(huge);
}

static void room_for_encoding_is_respected(void **state)
{
	(void)state;
	rds_message msg = {.which_member = rds_RendezvousMessage_register_peer_tag};
	uint8_t out[16];
	assert_true(rds_set(&msg.member.register_peer.id, rds_view_text("ridge-042")));
	assert_int_equal(rds_message_encode(&msg, out, 13), 13);
	for (size_t cap = 0; cap < 13; cap++) {
		memset(out, 0x55, sizeof out);
		assert_int_equal(rds_message_encode(&msg, out, cap), -RDS_ETOOBIG);
		for (size_t i = cap; i < sizeof out; i++)
			assert_int_equal(out[i], 0x55);
	}
}

// A client's list of ids to ask for is long, and comes in order and untouched.
static void cursor_walks_long_lists(void **state)
{
	(void)state;
	enum { PEERS = 3000 };
	static struct rds_view peers[PEERS];
	static char ids[PEERS][12];
	static uint8_t wire[PEERS * 16];
	for (int i = 0; i < PEERS; i++) {
		(void)snprintf(ids[i], sizeof ids[i], "%d", 100000000 + i);
		peers[i] = i % 100 == 7 ? rds_view_of("", 0) : rds_view_text(ids[i]);
	}
	struct rds_list list = {.items = peers, .n = PEERS};
	rds_message msg = {.which_member = rds_RendezvousMessage_online_request_tag};
	msg.member.online_request.peers = rds_list_field(&list);
	long len = rds_message_encode(&msg, wire, sizeof wire);
	assert_true(len > PEERS * 10);
	struct rds_view payload = rds_view_of(wire, (size_t)len);
	assert_int_equal(rds_message_decode(payload, &msg), 0);
	struct rds_cursor at = rds_cursor_of(payload, 23, 2);
	struct rds_view id = {0};
	for (int i = 0; i < PEERS; i++) {
		assert_true(rds_cursor_next(&at, &id));
		assert_views_equal(id, peers[i]);
	}
	assert_false(rds_cursor_next(&at, &id));
	assert_false(rds_cursor_next(&at, &id));
}

// Only length-delimited values of that number, in that member.
static void cursor_looks_at_its_field_only(void **state)
{
	(void)state;
	uint8_t body[64];
	uint8_t wire[128];
	size_t len = put_blob(body, 1, rds_view_text("me"));
	len += put_number(body + len, 9, 7);
	len += put_blob(body + len, 2, rds_view_text("first"));
	len += put_blob(body + len, 3, rds_view_text("third"));
	len += put_blob(body + len, 2, rds_view_text("second"));
	size_t n = put_number(wire, 2, 5);
	n += put_blob(wire + n, 23, rds_view_of(body, len));
	struct rds_view payload = rds_view_of(wire, n);
	rds_message msg;
	struct rds_view id = {0};
	assert_int_equal(rds_message_decode(payload, &msg), 0);
	struct rds_cursor at = rds_cursor_of(payload, 23, 2);
	assert_true(rds_cursor_next(&at, &id));
	assert_view_text(id, "first");
	assert_true(rds_cursor_next(&at, &id));
	assert_view_text(id, "second");
	assert_false(rds_cursor_next(&at, &id));
	at = rds_cursor_of(payload, 22, 2);
	assert_false(rds_cursor_next(&at, &id));
}

static void lists_and_nested_ones_encode(void **state)
{
	(void)state;
	const struct rds_view servers[] = {rds_view_text("a.example"), rds_view_text("b")};
	const struct rds_list list = {.items = servers, .n = 2};
	uint8_t out[64];
	rds_message msg = {.which_member = rds_RendezvousMessage_configure_update_tag};
	msg.member.configure_update.serial = 5;
	msg.member.configure_update.rendezvous_servers = rds_list_field(&list);
	long len = rds_message_encode(&msg, out, sizeof out);
	assert_view_text(rds_view_of(out, (size_t)len), "\x72\x10\x08\x05\x12\x09"
	                                                "a.example\x12\x01"
	                                                "b");
	msg = (rds_message){.which_member = rds_RendezvousMessage_test_nat_response_tag};
	msg.member.test_nat_response.port = 40123;
	msg.member.test_nat_response.has_cu = true;
	msg.member.test_nat_response.cu.serial = 5;
	msg.member.test_nat_response.cu.rendezvous_servers = rds_list_field(&list);
	len = rds_message_encode(&msg, out, sizeof out);
	assert_view_text(rds_view_of(out, (size_t)len), "\xaa\x01\x16\x08\xbb\xb9\x02\x12\x10\x08"
	                                                "\x05\x12\x09"
	                                                "a.example\x12\x01"
	                                                "b");
}

static void id_pk_encodes_as_known(void **state)
{
	(void)state;
	cJSON *file = vectors_open("signed_id.json");
	uint8_t pk[64];
	uint8_t want[128];
	uint8_t out[128];
	struct rds_view expected = member_hex(file, "id_pk_message", want, sizeof want);
	struct rds_view device = member_hex(file, "device_public", pk, sizeof pk);
	struct rds_view id = rds_view_text(member_text(file, "id"));
	long len = rds_message_encode_id_pk(id, device, out, sizeof out);
	assert_true(len > 0);
	assert_views_equal(rds_view_of(out, (size_t)len), expected);
	assert_int_equal(rds_message_encode_id_pk(id, device, out, expected.len), expected.len);
	assert_int_equal(rds_message_encode_id_pk(id, device, out, expected.len - 1), -RDS_ETOOBIG);
	uint8_t odd[300] = {0};
	assert_int_equal(rds_message_encode_id_pk(id, rds_view_of(odd, 300), out, sizeof out),
	                 -RDS_ETOOBIG);
	cJSON_Delete(file);
}

static void set_takes_what_fits(void **state)
{
	(void)state;
	rds_RegisterPk pk = rds_RegisterPk_init_zero;
	uint8_t bytes[65] = {[0] = 1, [63] = 2};
	assert_true(rds_set(&pk.pk, rds_view_of(bytes, 64)));
	assert_views_equal(rds_get(pk.pk), rds_view_of(bytes, 64));
	assert_false(rds_set(&pk.pk, rds_view_of(bytes, 65)));
	assert_int_equal(pk.pk.size, 0);
	assert_true(rds_set(&pk.pk, rds_view_of(NULL, 0)));
}

static void peeking_finds_the_id(void **state)
{
	(void)state;
	static const struct {
		const char *hex;
		const char *id; // NULL: none is seen
	} known[] = {
	        {"32050a03616263", "abc"}, {"32070a036162631003", "abc"}, {"", NULL},
	        {"32050a", NULL},          {"32050a036162", NULL},        {"32020a00", NULL},
	        {"7a050a03616263", NULL},  {"320710030a03616263", NULL},  {"32050aff616263", NULL},
	};
	uint8_t bytes[32];
	for (size_t i = 0; i < COUNT(known); i++) {
		struct rds_view id =
		        rds_message_peek_id(from_hex(known[i].hex, bytes, sizeof bytes));
		if (known[i].id == NULL)
			assert_int_equal(id.len, 0);
		else
			assert_view_text(id, known[i].id);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(messages_encode_as_known),
	        cmocka_unit_test(messages_decode_as_known),
	        cmocka_unit_test(bad_ones_are_refused),
	        cmocka_unit_test(ones_of_no_kind_are_told_apart),
	        cmocka_unit_test(prefixes_are_no_messages),
	        cmocka_unit_test(each_field_goes_both_ways),
	        cmocka_unit_test(nothing_is_cut),
	        cmocka_unit_test(bounds_hold_real_sizes),
	        cmocka_unit_test(negative_numbers_survive),
	        cmocka_unit_test(long_and_unknown_fields_are_skipped),
	        cmocka_unit_test(room_for_encoding_is_respected),
	        cmocka_unit_test(cursor_walks_long_lists),
	        cmocka_unit_test(cursor_looks_at_its_field_only),
	        cmocka_unit_test(lists_and_nested_ones_encode),
	        cmocka_unit_test(id_pk_encodes_as_known),
	        cmocka_unit_test(set_takes_what_fits),
	        cmocka_unit_test(peeking_finds_the_id),
	};
	return cmocka_run_group_tests_name("message", tests, NULL, NULL);
}
