// SPDX-License-Identifier: MIT
#include "core/message_fields.h"

#include <stdbool.h>
#include <stddef.h>

#define COUNT(array) (sizeof(array) / sizeof(array)[0])

static const char *const members[] = {
        "RegisterPeer",  "RegisterPeerResponse", "PunchHoleRequest",   "PunchHole",
        "PunchHoleSent", "PunchHoleResponse",    "FetchLocalAddr",     "LocalAddr",
        "ConfigUpdate",  "RegisterPk",           "RegisterPkResponse", "SoftwareUpdate",
        "RequestRelay",  "RelayResponse",        "TestNatRequest",     "TestNatResponse",
        "PeerDiscovery", "OnlineRequest",        "OnlineResponse",     "KeyExchange",
        "HealthCheck",   "HttpProxyRequest",     "HttpProxyResponse"};
#define FIRST_MEMBER 6

#define NUMBER  RDS_MESSAGE_FIELD_NUMBER
#define SWITCH  RDS_MESSAGE_FIELD_SWITCH
#define FAILURE RDS_MESSAGE_FIELD_FAILURE
#define RESULT  RDS_MESSAGE_FIELD_RESULT
#define TEXT    RDS_MESSAGE_FIELD_TEXT
#define ADDRESS RDS_MESSAGE_FIELD_ADDRESS
#define BITS    RDS_MESSAGE_FIELD_BITS
#define HIDDEN  RDS_MESSAGE_FIELD_HIDDEN
#define CONFIG  RDS_MESSAGE_FIELD_CONFIG

static const struct rds_message_field fields[] = {
        {6, 1, TEXT, "id"},
        {6, 2, NUMBER, "serial"},
        {7, 2, SWITCH, "request_pk"},
        {8, 1, TEXT, "id"},
        {8, 2, NUMBER, "nat_type"},
        {8, 3, HIDDEN, "licence_key"},
        {8, 4, NUMBER, "conn_type"},
        {8, 5, HIDDEN, "token"},
        {8, 6, TEXT, "version"},
        {8, 7, NUMBER, "udp_port"},
        {8, 8, SWITCH, "force_relay"},
        {8, 9, NUMBER, "upnp_port"},
        {8, 10, ADDRESS, "socket_addr_v6"},
        {8, 11, HIDDEN, "switch_code"},
        {9, 1, ADDRESS, "socket_addr"},
        {9, 2, TEXT, "relay_server"},
        {9, 3, NUMBER, "nat_type"},
        {9, 4, NUMBER, "udp_port"},
        {9, 5, SWITCH, "force_relay"},
        {9, 6, NUMBER, "upnp_port"},
        {9, 7, ADDRESS, "socket_addr_v6"},
        {9, 8, HIDDEN, "control_permissions"},
        {9, 9, HIDDEN, "controlled_context"},
        {10, 1, ADDRESS, "socket_addr"},
        {10, 2, TEXT, "id"},
        {10, 3, TEXT, "relay_server"},
        {10, 4, NUMBER, "nat_type"},
        {10, 5, TEXT, "version"},
        {10, 6, NUMBER, "upnp_port"},
        {10, 7, ADDRESS, "socket_addr_v6"},
        {11, 1, ADDRESS, "socket_addr"},
        {11, 2, HIDDEN, "pk"},
        {11, 3, FAILURE, "failure"},
        {11, 4, TEXT, "relay_server"},
        {11, 5, NUMBER, "nat_type"},
        {11, 6, SWITCH, "is_local"},
        {11, 7, TEXT, "other_failure"},
        {11, 8, NUMBER, "feedback"},
        {11, 9, SWITCH, "is_udp"},
        {11, 10, NUMBER, "upnp_port"},
        {11, 11, ADDRESS, "socket_addr_v6"},
        {12, 1, ADDRESS, "socket_addr"},
        {12, 2, TEXT, "relay_server"},
        {12, 3, ADDRESS, "socket_addr_v6"},
        {12, 4, HIDDEN, "control_permissions"},
        {12, 5, HIDDEN, "controlled_context"},
        {13, 1, ADDRESS, "socket_addr"},
        {13, 2, ADDRESS, "local_addr"},
        {13, 3, TEXT, "relay_server"},
        {13, 4, TEXT, "id"},
        {13, 5, TEXT, "version"},
        {13, 6, ADDRESS, "socket_addr_v6"},
        {14, 1, NUMBER, "serial"},
        {14, 2, TEXT, "rendezvous_servers"},
        {15, 1, TEXT, "id"},
        {15, 2, HIDDEN, "uuid"}, // who has it may change the device's key
        {15, 3, HIDDEN, "pk"},
        {15, 4, TEXT, "old_id"},
        {15, 5, SWITCH, "no_register_device"},
        {16, 1, RESULT, "result"},
        {16, 2, NUMBER, "keep_alive"},
        {17, 1, TEXT, "url"},
        {18, 1, TEXT, "id"},
        {18, 2, TEXT, "uuid"}, // of the session
        {18, 3, ADDRESS, "socket_addr"},
        {18, 4, TEXT, "relay_server"},
        {18, 5, SWITCH, "secure"},
        {18, 6, HIDDEN, "licence_key"},
        {18, 7, NUMBER, "conn_type"},
        {18, 8, HIDDEN, "token"},
        {18, 9, HIDDEN, "control_permissions"},
        {18, 10, HIDDEN, "controlled_context"},
        {18, 11, HIDDEN, "switch_code"},
        {19, 1, ADDRESS, "socket_addr"},
        {19, 2, TEXT, "uuid"},
        {19, 3, TEXT, "relay_server"},
        {19, 4, TEXT, "id"},
        {19, 5, HIDDEN, "pk"},
        {19, 6, TEXT, "refuse_reason"},
        {19, 7, TEXT, "version"},
        {19, 9, NUMBER, "feedback"},
        {19, 10, ADDRESS, "socket_addr_v6"},
        {19, 11, NUMBER, "upnp_port"},
        {20, 1, NUMBER, "serial"},
        {21, 1, NUMBER, "port"},
        {21, 2, CONFIG, "cu"},
        {23, 1, TEXT, "id"},
        {23, 2, TEXT, "peers"},
        {24, 1, BITS, "states"},
        {25, 1, HIDDEN, "keys"},
        {26, 1, HIDDEN, "token"},
        {27, 1, TEXT, "method"},
        {27, 2, TEXT, "path"},
        {27, 3, HIDDEN, "headers"}, // a logged-in user's token is in them
        {27, 4, HIDDEN, "body"},
        {28, 1, NUMBER, "status"},
        {28, 2, HIDDEN, "headers"},
        {28, 3, HIDDEN, "body"},
        {28, 4, TEXT, "error"},
};

static const char *const failures[] = {"ID_NOT_EXIST", NULL, "OFFLINE", "LICENSE_MISMATCH",
                                       "LICENSE_OVERUSE"};
static const char *const results[] = {"OK",          NULL,           "UUID_MISMATCH",
                                      "ID_EXISTS",   "TOO_FREQUENT", "INVALID_ID_FORMAT",
                                      "NOT_SUPPORT", "SERVER_ERROR", "NOT_DEPLOYED"};

const char *rds_member_name(uint32_t member)
{
	bool is_one = member >= FIRST_MEMBER && member < FIRST_MEMBER + COUNT(members);
	return is_one ? members[member - FIRST_MEMBER] : NULL;
}

const struct rds_message_field *rds_message_field_of(uint32_t member, uint32_t number)
{
	for (size_t i = 0; i < COUNT(fields); i++)
		if (fields[i].message == member && fields[i].number == number)
			return &fields[i];
	return NULL;
}

const char *rds_failure_name(int32_t failure)
{
	return failure >= 0 && (size_t)failure < COUNT(failures) ? failures[failure] : NULL;
}

const char *rds_result_name(int32_t result)
{
	return result >= 0 && (size_t)result < COUNT(results) ? results[result] : NULL;
}
