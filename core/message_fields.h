// SPDX-License-Identifier: MIT
// The names of messages, their fields and what decides in them (protocol.md section 3), for
// core/message_text.c.
#ifndef RDS_CORE_MESSAGE_FIELDS_H
#define RDS_CORE_MESSAGE_FIELDS_H

#include <stdint.h>

enum rds_message_field_kind {
	// Varints.
	RDS_MESSAGE_FIELD_NUMBER,
	RDS_MESSAGE_FIELD_SWITCH,
	RDS_MESSAGE_FIELD_FAILURE,
	RDS_MESSAGE_FIELD_RESULT,
	// Bytes.
	RDS_MESSAGE_FIELD_TEXT,
	RDS_MESSAGE_FIELD_ADDRESS,
	RDS_MESSAGE_FIELD_BITS,
	RDS_MESSAGE_FIELD_HIDDEN, // keys, tokens, and what only its length is worth
	RDS_MESSAGE_FIELD_CONFIG, // a ConfigUpdate
};

struct rds_message_field {
	uint8_t message;
	uint8_t number;
	uint8_t kind; // enum rds_message_field_kind
	const char *name;
};

// NULL: none of ours.
const char *rds_member_name(uint32_t member);
const struct rds_message_field *rds_message_field_of(uint32_t member, uint32_t number);

// NULL: the number has no name.
const char *rds_failure_name(int32_t failure);
const char *rds_result_name(int32_t result);

#endif
