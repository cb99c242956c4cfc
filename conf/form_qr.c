// SPDX-License-Identifier: MIT
// QR codes for the mobile client, whose text is "config=" and the JSON: drawn in a terminal, as PNG
// and as SVG. The text stands in them a second time, to be read back; a drawing that isn't that
// text's is refused.
#include "conf/form_private.h"

#include "conf/png.h"
#include "core/alloc.h"

#include <qrencode.h>
#include <stdlib.h>

#define QUIET 4 // modules of white around a code, by the standard

// Black on white whatever the terminal's own colours are.
#define COLOURS "\x1b[38;5;16;48;5;231m"
#define RESET   "\x1b[0m"

static char *text_of(const struct rds_client_conf *conf)
{
	char *json = form_json_text(conf);
	char *text = rds_asprintf("config=%s", json);
	free(json);
	return text;
}

static QRcode *encode(const char *text, struct rds_error *err)
{
	QRcode *code = QRcode_encodeString8bit(text, 0, QR_ECLEVEL_M);
	if (code == NULL)
		(void)rds_fail(err, RDS_EINVAL, "that doesn't fit into a QR code");
	return code;
}

static size_t width_of(const QRcode *code)
{
	return (size_t)code->width + 2 * QUIET;
}

// With the quiet zone, and white beyond it.
static bool is_dark(const QRcode *code, size_t x, size_t y)
{
	size_t width = (size_t)code->width;
	return x >= QUIET && y >= QUIET && x - QUIET < width && y - QUIET < width &&
	       (code->data[(y - QUIET) * width + x - QUIET] & 1) != 0;
}

// --- in a terminal: two modules above each other are one character

static void draw(const QRcode *code, const char *text, struct rds_bytes *out)
{
	static const char *const halves[] = {" ", "\u2584", "\u2580", "\u2588"};
	for (size_t y = 0; y < width_of(code); y += 2) {
		rds_bytes_text(out, COLOURS);
		for (size_t x = 0; x < width_of(code); x++)
			rds_bytes_text(out, halves[(is_dark(code, x, y) ? 2 : 0) +
			                           (is_dark(code, x, y + 1) ? 1 : 0)]);
		rds_bytes_text(out, RESET "\n");
	}
	rds_bytes_format(out, "%s\n", text);
}

// --- PNG: eight pixels, which is one byte, for each module

static void draw_png(const QRcode *code, const char *text, struct rds_bytes *out)
{
	size_t width = width_of(code);
	uint8_t *rows = rds_calloc(width * width * 8, 1);
	for (size_t y = 0; y < width * 8; y++)
		for (size_t x = 0; x < width; x++)
			rows[y * width + x] = is_dark(code, x, y / 8) ? 0 : 0xff;
	rds_png_write(rows, width, width * 8, text, out);
	free(rows);
}

// --- SVG: a path of runs of dark modules

static const struct {
	char plain;
	const char *escaped;
} entities[] = {{'&', "&amp;"}, {'<', "&lt;"}, {'>', "&gt;"}};
#define ENTITIES (sizeof entities / sizeof entities[0])

static void add_escaped(struct rds_bytes *out, const char *text)
{
	for (; *text != '\0'; text++) {
		size_t i = 0;
		while (i < ENTITIES && entities[i].plain != *text)
			i++;
		if (i < ENTITIES)
			rds_bytes_text(out, entities[i].escaped);
		else
			rds_bytes_add(out, text, 1);
	}
}

static struct rds_bytes unescaped(struct rds_view text)
{
	struct rds_bytes out = {0};
	while (text.len > 0) {
		size_t i = 0;
		while (i < ENTITIES && !form_begins(text, entities[i].escaped))
			i++;
		rds_bytes_add(&out, i < ENTITIES ? &entities[i].plain : (const char *)text.data, 1);
		size_t n = i < ENTITIES ? strlen(entities[i].escaped) : 1;
		text = rds_view_of(text.data + n, text.len - n);
	}
	return out;
}

static void draw_svg(const QRcode *code, const char *text, struct rds_bytes *out)
{
	size_t width = width_of(code);
	rds_bytes_format(out,
	                 "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 %zu %zu\" "
	                 "width=\"%zu\" height=\"%zu\" shape-rendering=\"crispEdges\">\n<desc>",
	                 width, width, width * 8, width * 8);
	add_escaped(out, text);
	rds_bytes_text(out, "</desc>\n<path fill=\"#fff\" d=\"");
	rds_bytes_format(out, "M0 0h%zuv%zuh-%zuz\"/>\n<path fill=\"#000\" d=\"", width, width,
	                 width);
	for (size_t y = 0; y < width; y++) {
		for (size_t x = 0; x < width; x++) {
			size_t run = 0;
			while (is_dark(code, x + run, y))
				run++;
			if (run > 0)
				rds_bytes_format(out, "M%zu %zuh%zuv1h-%zuz", x, y, run, run);
			x += run;
		}
	}
	rds_bytes_text(out, "\"/>\n</svg>\n");
}

// --- what they have in common

typedef void draw_fn(const QRcode *code, const char *text, struct rds_bytes *out);

static int write_drawing(const struct rds_client_conf *conf, draw_fn *how, struct rds_bytes *out,
                         struct rds_error *err)
{
	char *text = text_of(conf);
	QRcode *code = encode(text, err);
	if (code != NULL)
		how(code, text, out);
	QRcode_free(code);
	free(text);
	return code != NULL ? 0 : -RDS_EINVAL;
}

// Reads the text that was found beside a drawing, and draws it again.
static int read_drawing(struct rds_view file, struct rds_view text, draw_fn *how,
                        struct rds_client_conf *out, struct rds_error *err)
{
	if (!form_begins(text, "config=") || form_json_read(text, out, NULL) != 0)
		return rds_fail(err, RDS_EPARSE, "the text beside the QR code is damaged");
	struct rds_bytes again = {0};
	char *copy = rds_strndup(text.data, text.len);
	QRcode *code = encode(copy, NULL);
	if (code != NULL)
		how(code, copy, &again);
	QRcode_free(code);
	free(copy);
	bool same = rds_view_equal(rds_bytes_view(&again), file);
	rds_bytes_clear(&again);
	return same ? 0
	            : rds_fail(err, RDS_EPARSE,
	                       "the QR code isn't drawn as this version draws its text: write it "
	                       "anew");
}

int form_qr_write(const struct rds_client_conf *conf, struct rds_form_options options,
                  struct rds_bytes *out, struct rds_error *err)
{
	(void)options;
	return write_drawing(conf, draw, out, err);
}

bool form_qr_looks(struct rds_view text)
{
	return form_begins(text, COLOURS);
}

int form_qr_read(struct rds_view file, struct rds_client_conf *out, struct rds_error *err)
{
	struct rds_view rest = file;
	struct rds_view line = {0};
	while (form_next_line(&rest, &line))
		;
	return read_drawing(file, line, draw, out, err);
}

int form_png_write(const struct rds_client_conf *conf, struct rds_form_options options,
                   struct rds_bytes *out, struct rds_error *err)
{
	(void)options;
	return write_drawing(conf, draw_png, out, err);
}

bool form_png_looks(struct rds_view text)
{
	return rds_png_looks(text);
}

int form_png_read(struct rds_view file, struct rds_client_conf *out, struct rds_error *err)
{
	struct rds_view description = {0};
	if (!rds_png_text(file, &description))
		return rds_fail(err, RDS_EPARSE, "a PNG without a client's configuration in it");
	return read_drawing(file, description, draw_png, out, err);
}

int form_svg_write(const struct rds_client_conf *conf, struct rds_form_options options,
                   struct rds_bytes *out, struct rds_error *err)
{
	(void)options;
	return write_drawing(conf, draw_svg, out, err);
}

bool form_svg_looks(struct rds_view text)
{
	return form_begins(text, "<svg ");
}

int form_svg_read(struct rds_view file, struct rds_client_conf *out, struct rds_error *err)
{
	struct rds_view description;
	if (!form_between(file, "<desc>", "</desc>", &description))
		return rds_fail(err, RDS_EPARSE, "an SVG without a client's configuration in it");
	struct rds_bytes plain = unescaped(description);
	int rc = read_drawing(file, rds_bytes_view(&plain), draw_svg, out, err);
	rds_bytes_clear(&plain);
	return rc;
}

const char *rds_qrencode_version(void)
{
	return QRcode_APIVersionString();
}
