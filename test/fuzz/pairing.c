// SPDX-License-Identifier: MIT
// Goal: whatever relay connections do, two and only two of one uuid meet, and nobody waits too
// long. Compared with a plain list.
#include "test/fuzz/fuzzing.h"

#include "core/limits.h"
#include "core/pairing.h"

#define MOST 200

struct waiting {
	uint64_t conn;
	uint64_t since_ms;
	struct rds_view uuid;
};

struct list {
	struct waiting items[MOST];
	size_t n;
};

static void drop(struct list *list, size_t i)
{
	list->n--;
	memmove(&list->items[i], &list->items[i + 1], (list->n - i) * sizeof list->items[0]);
}

static void offer(struct rds_pairing *pairing, struct list *list, uint64_t now_ms, uint64_t conn,
                  struct rds_view uuid)
{
	uint64_t other = 0;
	enum rds_reason why = RDS_WHY_NONE;
	size_t i = 0;
	while (i < list->n && !rds_view_equal(list->items[i].uuid, uuid))
		i++;
	enum rds_pairing_result result =
	        rds_pairing_offer(pairing, now_ms, conn, uuid, &other, &why);
	if (uuid.len == 0 || uuid.len > RDS_RELAY_UUID_MAX_BYTES) {
		must(result == RDS_PAIRING_REFUSED && why != RDS_WHY_NONE);
	} else if (i < list->n) {
		must(result == RDS_PAIRING_PAIRED && other == list->items[i].conn);
		drop(list, i);
	} else {
		must(result == RDS_PAIRING_WAIT);
		list->items[list->n++] =
		        (struct waiting){.conn = conn, .since_ms = now_ms, .uuid = uuid};
	}
}

static void cancel(struct rds_pairing *pairing, struct list *list, uint64_t conn)
{
	rds_pairing_cancel(pairing, conn);
	for (size_t i = 0; i < list->n; i++) {
		if (list->items[i].conn == conn) {
			drop(list, i);
			return;
		}
	}
}

static void expire(struct rds_pairing *pairing, struct list *list, uint64_t now_ms)
{
	uint64_t conn = 0;
	while (rds_pairing_expire(pairing, now_ms, &conn)) {
		must(list->n > 0 && list->items[0].conn == conn);
		must(now_ms - list->items[0].since_ms >= RDS_RELAY_WAIT_MS);
		drop(list, 0);
	}
	must(list->n == 0 || now_ms - list->items[0].since_ms < RDS_RELAY_WAIT_MS);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct rds_seed seed = {{1, 2}};
	struct rds_view input = rds_view_of(data, size);
	struct rds_pairing *pairing = rds_pairing_new(&seed);
	static struct list list;
	uint64_t now_ms = 1000;
	uint64_t next_conn = 1;
	list.n = 0;
	while (input.len > 0 && list.n < MOST) {
		switch (take_byte(&input) % 4) {
		case 0:
		case 1:
			offer(pairing, &list, now_ms, next_conn++,
			      take_bytes(&input, take_byte(&input) % 8));
			break;
		case 2:
			cancel(pairing, &list, take_byte(&input));
			break;
		default: {
			// The edge of the time that a side may wait, and its neighbours.
			static const uint64_t steps_ms[] = {0, 1, 100, 5000, 29999, 30000};
			uint8_t much = take_byte(&input);
			now_ms += steps_ms[much % 6];
			if (much == 255) // a giant
				offer(pairing, &list, now_ms, next_conn++, take_bytes(&input, 140));
			expire(pairing, &list, now_ms);
			break;
		}
		}
		must(rds_pairing_waiting(pairing) == list.n);
	}
	rds_pairing_free(pairing);
	return 0;
}
