// SPDX-License-Identifier: MIT
// The log: one line an event, an event being a short phrase and named fields. Formatting is
// here and pure; where lines go (and the clock) is the sink's business, which cmd/ sets. Without
// a sink, as in tests and fuzzers, nothing is written.
#ifndef RDS_CORE_LOG_H
#define RDS_CORE_LOG_H

#include "core/addr.h"
#include "core/reason.h"
#include "core/view.h"

enum rds_log_level {
	RDS_LOG_ERROR,
	RDS_LOG_WARN,
	RDS_LOG_INFO,
	RDS_LOG_DEBUG,
	RDS_LOG_TRACE,
};

enum rds_log_format {
	RDS_LOG_TEXT,     // 2026-01-02T03:04:05.678Z info  ready role="id"
	RDS_LOG_JSON,     // {"time":"...","level":"info","event":"ready","role":"id"}
	RDS_LOG_JOURNALD, // <6>ready role="id": the journal adds the time
};

enum rds_field_kind { RDS_FIELD_BYTES, RDS_FIELD_UINT, RDS_FIELD_ADDR };

// A named value; borrows whatever it points to, for the length of the call.
struct rds_field {
	const char *name;
	enum rds_field_kind kind;
	struct rds_view bytes;
	uint64_t number;
	const struct rds_addr *address;
};

static inline struct rds_field rds_field_bytes(const char *name, struct rds_view v)
{
	return (struct rds_field){.name = name, .kind = RDS_FIELD_BYTES, .bytes = v};
}

static inline struct rds_field rds_field_text(const char *name, const char *text)
{
	return rds_field_bytes(name, rds_view_text(text));
}

static inline struct rds_field rds_field_uint(const char *name, uint64_t number)
{
	return (struct rds_field){.name = name, .kind = RDS_FIELD_UINT, .number = number};
}

static inline struct rds_field rds_field_addr(const char *name, const struct rds_addr *addr)
{
	return (struct rds_field){.name = name, .kind = RDS_FIELD_ADDR, .address = addr};
}

static inline struct rds_field rds_field_reason(enum rds_reason why)
{
	return rds_field_text("reason", rds_reason_name(why));
}

typedef void (*rds_log_sink_fn)(void *ctx, enum rds_log_level level, const char *event,
                                const struct rds_field *fields, size_t n);

// Sets the sink, which must be safe to call from several threads, and the level above which
// nothing reaches it. Call before threads start.
void rds_log_to(rds_log_sink_fn sink, void *ctx, enum rds_log_level most);

// Another level from now on.
void rds_log_set_level(enum rds_log_level most);

bool rds_log_wants(enum rds_log_level level);

// Hands an event to the sink; the macro appends a placeholder, which n does not count.
void rds_log_fields(enum rds_log_level level, const char *event, const struct rds_field *fields,
                    size_t n);

// rds_log(RDS_LOG_INFO, "ready", rds_field_text("role", role));
#define rds_log(level, ...) rds_log_(level, __VA_ARGS__, {0})
#define rds_log_(level, event, ...)                                                     \
	do {                                                                            \
		if (rds_log_wants(level)) {                                             \
			const struct rds_field rds_fields_[] = {__VA_ARGS__};           \
			rds_log_fields(level, event, rds_fields_,                       \
			               sizeof rds_fields_ / sizeof rds_fields_[0] - 1); \
		}                                                                       \
	} while (0)

// Writes one line, newline and NUL included, into out; what doesn't fit is cut and marked so.
// unix_ms: wall clock in ms. Returns the length without NUL.
size_t rds_log_format_line(enum rds_log_format format, uint64_t unix_ms, enum rds_log_level level,
                           const char *event, const struct rds_field *fields, size_t n, char *out,
                           size_t cap);

const char *rds_log_level_name(enum rds_log_level level);

// Bounds how many lines of one kind a second there are. Zero it to start.
struct rds_log_limit {
	uint64_t second;
	unsigned used;
	uint64_t held_back;
};

// Whether another line may be written at now_ms; *held_back gets how many were not since the
// last that was.
bool rds_log_limit_pass(struct rds_log_limit *limit, uint64_t now_ms, uint64_t *held_back);

#endif
