// SPDX-License-Identifier: MIT
// Goal: a client of ours takes whatever a server says without harm: a WebSocket's opening and
// messages, the offer of a secure channel, whom it vouches for. Pieces make no difference.
#include "test/fuzz/fuzzing.h"

#include "core/message.h"
#include "keys/keypair.h"
#include "keys/secure_client.h"
#include "net/websocket.h"

static const uint8_t nonce[16] = "the sample nonce";

// RFC 8032's first test vector: any key will do.
#define KEY "11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo="

static void read_opening(struct rds_view input)
{
	long whole = rds_ws_answer_parse(input, nonce, rds_sha1);
	must(whole <= (long)input.len);
	must(whole < 1 || input.data[whole - 1] == '\n');
	if (whole > 0)
		must(rds_ws_answer_parse(rds_view_of(input.data, (size_t)whole - 1), nonce,
		                         rds_sha1) == 0);
}

static void read_signed(struct rds_view input)
{
	uint8_t answer[RDS_OFFER_ANSWER_BYTES];
	struct rds_view content = {0};
	rds_IdPk id_pk;
	size_t len = 0;
	struct rds_channel *channel = NULL;
	// Nobody can forge it.
	must(rds_offer_answer(input, KEY, answer, &len, &channel) != RDS_OFFER_GOOD);
	must(channel == NULL && !rds_signed_open(KEY, input, &content));
	if (rds_message_decode_id_pk(input, &id_pk) == 0)
		must(id_pk.id.size <= sizeof id_pk.id.bytes);
}

struct effects {
	uint64_t sum;
	size_t messages;
	bool ended;
};

static void on_message(void *ctx, struct rds_view message)
{
	struct effects *effects = ctx;
	for (size_t i = 0; i < message.len; i++)
		effects->sum = effects->sum * 31 + message.data[i];
	effects->messages++;
}

static void on_output(void *ctx, const uint8_t *bytes, size_t len)
{
	(void)ctx;
	(void)bytes;
	(void)len;
}

static struct effects read_messages(struct rds_view input, size_t step)
{
	struct effects effects = {0};
	struct rds_ws_callbacks callbacks = {.ctx = &effects,
	                                     .on_message = on_message,
	                                     .on_output = on_output,
	                                     .random = rds_random};
	struct rds_ws *ws = rds_ws_new(1000, &callbacks);
	while (input.len > 0 && !effects.ended) {
		struct rds_view now = take_bytes(&input, step == 0 ? input.len : step);
		uint8_t *copy = exact_copy(now);
		effects.ended = !rds_ws_receive(ws, copy, now.len);
		free(copy);
	}
	rds_ws_free(ws);
	return effects;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct rds_view input = rds_view_of(data, size);
	size_t step = take_byte(&input) % 16 + 1U;
	read_opening(input);
	read_signed(input);
	struct effects whole = read_messages(input, 0);
	struct effects pieces = read_messages(input, step);
	must(whole.sum == pieces.sum && whole.messages == pieces.messages);
	must(whole.ended == pieces.ended);
	return 0;
}
