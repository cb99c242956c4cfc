// SPDX-License-Identifier: MIT
// Goal: protocol.md section 3 as a table: which number each field has and where our structs
// hold it. Left out: token and switch_code, which are skipped, and the lists.
#ifndef RDS_TEST_UNIT_MESSAGE_FIELDS_H
#define RDS_TEST_UNIT_MESSAGE_FIELDS_H

#include "core/message.h"

#include <stddef.h>

enum kind { TEXT, BYTES, INT, FLAG };

struct field {
	int message;
	int number;
	enum kind kind;
	size_t at;       // the value; of texts and bytes the first of them
	size_t size_at;  // how many there are
	size_t bound;    // how many there may be
	size_t has_at;   // 0, or a bool that says that the field is there
	size_t which_at; // 0, or a tag that says which of several is there
};

#define IN(path)   offsetof(rds_message, member.path)
#define ROOM(path) sizeof(((rds_message *)0)->member.path.bytes)
#define AS_TEXT(m, n, path)                                                 \
	{                                                                   \
		m, n, TEXT, IN(path.bytes), IN(path.size), ROOM(path), 0, 0 \
	}
#define AS_BYTES(m, n, path)                                                 \
	{                                                                    \
		m, n, BYTES, IN(path.bytes), IN(path.size), ROOM(path), 0, 0 \
	}
#define AS_INT(m, n, path)                      \
	{                                       \
		m, n, INT, IN(path), 0, 0, 0, 0 \
	}
#define AS_FLAG(m, n, path)                      \
	{                                        \
		m, n, FLAG, IN(path), 0, 0, 0, 0 \
	}
#define AS_PASSED(m, n, base, name)                                                    \
	{                                                                              \
		m, n, BYTES, IN(base.name.bytes), IN(base.name.size), ROOM(base.name), \
		        IN(base.has_##name), 0                                         \
	}
#define AS_KIND(n, kind_of, name)                                           \
	{                                                                   \
		11, n, kind_of, IN(punch_hole_response.kind.name), 0, 0, 0, \
		        IN(punch_hole_response.which_kind)                  \
	}
#define AS_WHO(n, kind_of, name)                                                            \
	{                                                                                   \
		19, n, kind_of, IN(relay_response.who.name.bytes),                          \
		        IN(relay_response.who.name.size), ROOM(relay_response.who.name), 0, \
		        IN(relay_response.which_who)                                        \
	}

static const struct field fields[] = {
        AS_TEXT(6, 1, register_peer.id),
        AS_INT(6, 2, register_peer.serial),
        AS_FLAG(7, 2, register_peer_response.request_pk),
        AS_TEXT(8, 1, punch_hole_request.id),
        AS_INT(8, 2, punch_hole_request.nat_type),
        AS_TEXT(8, 3, punch_hole_request.licence_key),
        AS_INT(8, 4, punch_hole_request.conn_type),
        AS_TEXT(8, 6, punch_hole_request.version),
        AS_INT(8, 7, punch_hole_request.udp_port),
        AS_FLAG(8, 8, punch_hole_request.force_relay),
        AS_INT(8, 9, punch_hole_request.upnp_port),
        AS_BYTES(8, 10, punch_hole_request.socket_addr_v6),
        AS_BYTES(9, 1, punch_hole.socket_addr),
        AS_TEXT(9, 2, punch_hole.relay_server),
        AS_INT(9, 3, punch_hole.nat_type),
        AS_INT(9, 4, punch_hole.udp_port),
        AS_FLAG(9, 5, punch_hole.force_relay),
        AS_INT(9, 6, punch_hole.upnp_port),
        AS_BYTES(9, 7, punch_hole.socket_addr_v6),
        AS_PASSED(9, 8, punch_hole, control_permissions),
        AS_PASSED(9, 9, punch_hole, controlled_context),
        AS_BYTES(10, 1, punch_hole_sent.socket_addr),
        AS_TEXT(10, 2, punch_hole_sent.id),
        AS_TEXT(10, 3, punch_hole_sent.relay_server),
        AS_INT(10, 4, punch_hole_sent.nat_type),
        AS_TEXT(10, 5, punch_hole_sent.version),
        AS_INT(10, 6, punch_hole_sent.upnp_port),
        AS_BYTES(10, 7, punch_hole_sent.socket_addr_v6),
        AS_BYTES(11, 1, punch_hole_response.socket_addr),
        AS_BYTES(11, 2, punch_hole_response.pk),
        AS_INT(11, 3, punch_hole_response.failure),
        AS_TEXT(11, 4, punch_hole_response.relay_server),
        AS_KIND(5, INT, nat_type),
        AS_KIND(6, FLAG, is_local),
        AS_TEXT(11, 7, punch_hole_response.other_failure),
        AS_INT(11, 8, punch_hole_response.feedback),
        AS_FLAG(11, 9, punch_hole_response.is_udp),
        AS_INT(11, 10, punch_hole_response.upnp_port),
        AS_BYTES(11, 11, punch_hole_response.socket_addr_v6),
        AS_BYTES(12, 1, fetch_local_addr.socket_addr),
        AS_TEXT(12, 2, fetch_local_addr.relay_server),
        AS_BYTES(12, 3, fetch_local_addr.socket_addr_v6),
        AS_PASSED(12, 4, fetch_local_addr, control_permissions),
        AS_PASSED(12, 5, fetch_local_addr, controlled_context),
        AS_BYTES(13, 1, local_addr.socket_addr),
        AS_BYTES(13, 2, local_addr.local_addr),
        AS_TEXT(13, 3, local_addr.relay_server),
        AS_TEXT(13, 4, local_addr.id),
        AS_TEXT(13, 5, local_addr.version),
        AS_BYTES(13, 6, local_addr.socket_addr_v6),
        AS_INT(14, 1, configure_update.serial),
        AS_TEXT(15, 1, register_pk.id),
        AS_BYTES(15, 2, register_pk.uuid),
        AS_BYTES(15, 3, register_pk.pk),
        AS_TEXT(15, 4, register_pk.old_id),
        AS_FLAG(15, 5, register_pk.no_register_device),
        AS_INT(16, 1, register_pk_response.result),
        AS_INT(16, 2, register_pk_response.keep_alive),
        AS_TEXT(17, 1, software_update.url),
        AS_TEXT(18, 1, request_relay.id),
        AS_TEXT(18, 2, request_relay.uuid),
        AS_BYTES(18, 3, request_relay.socket_addr),
        AS_TEXT(18, 4, request_relay.relay_server),
        AS_FLAG(18, 5, request_relay.secure),
        AS_TEXT(18, 6, request_relay.licence_key),
        AS_INT(18, 7, request_relay.conn_type),
        AS_PASSED(18, 9, request_relay, control_permissions),
        AS_PASSED(18, 10, request_relay, controlled_context),
        AS_BYTES(19, 1, relay_response.socket_addr),
        AS_TEXT(19, 2, relay_response.uuid),
        AS_TEXT(19, 3, relay_response.relay_server),
        AS_WHO(4, TEXT, id),
        AS_WHO(5, BYTES, pk),
        AS_TEXT(19, 6, relay_response.refuse_reason),
        AS_TEXT(19, 7, relay_response.version),
        AS_INT(19, 9, relay_response.feedback),
        AS_BYTES(19, 10, relay_response.socket_addr_v6),
        AS_INT(19, 11, relay_response.upnp_port),
        AS_INT(20, 1, test_nat_request.serial),
        AS_INT(21, 1, test_nat_response.port),
        AS_TEXT(23, 1, online_request.id),
        AS_TEXT(27, 1, http_proxy_request.method),
        AS_INT(28, 1, http_proxy_response.status),
        AS_TEXT(28, 4, http_proxy_response.error),
};

#endif
