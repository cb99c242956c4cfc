// SPDX-License-Identifier: MIT
// What a client's licence_key turned out to be; said by keys/, acted on by the rules.
#ifndef RDS_CORE_KEY_VERDICT_H
#define RDS_CORE_KEY_VERDICT_H

enum rds_key_verdict { RDS_KEY_OK, RDS_KEY_ABSENT, RDS_KEY_WRONG };

#endif
