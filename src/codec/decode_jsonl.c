/*
 * JSON Lines bodies: one row a line. The first line says what the lines are, rows of the matrix or
 * records of inputs. Only one line's tree exists at a time.
 */
#include "codec/decode.h"

#include "codec/json_document.h"
#include "codec/json_plain.h"
#include "codec/json_rows.h"

struct lines {
    struct decode *decode;
    struct json_reader reader;
    struct json_rows matrix;
    struct json_records records;
    bool by_record; /* lines are records */
    bool started;
    uint64_t count; /* lines that are not blank, so far */
};

/* RFC 8259 white space without the line feed. */
static bool is_blank(struct slice line)
{
    for (size_t i = 0; i < line.len; i++) {
        if (line.ptr[i] != ' ' && line.ptr[i] != '\t' && line.ptr[i] != '\r') {
            return false;
        }
    }
    return true;
}

/* The first line decides. */
static int start(struct lines *lines, const struct json_value *line, struct error *error)
{
    struct decode *decode = lines->decode;
    const struct codec_plan *plan = decode->plan;
    uint64_t bound = decode_rows_bound(decode, text_count(decode->body, '\n') + 1);
    bool mapped = plan->mapped.count > 0;
    lines->started = true;
    lines->by_record = mapped || (json_value_kind(line) == JSON_OBJECT &&
                                  json_find_features(decode, line) == NULL);
    if (!lines->by_record) {
        json_rows_init(&lines->matrix, decode, &plan->matrix, bound);
        return decode_check_matrix(decode, error);
    }
    if (!mapped && !json_has_field(line, &plan->inputs)) {
        return json_refuse_object(decode, error);
    }
    return json_records_init(&lines->records, decode, mapped ? &plan->mapped : &plan->inputs, bound,
                             error);
}

static int put_matrix_line(struct lines *lines, const struct json_value *line, struct place place,
                           struct error *error)
{
    const struct json_value *row = line;
    if (json_value_kind(line) == JSON_OBJECT) {
        row = json_find_features(lines->decode, line);
        if (row == NULL) {
            struct slice key = text_excerpt(lines->decode->plan->options->jsonl_features_key);
            error_set(error, ERR_INVALID, "the object has no key \"%.*s\"", SLICE_FMT(key));
            return place_prefix(error, &place);
        }
    }
    int status = json_rows_put(&lines->matrix, row, place, error);
    if (status == ERR_OK) {
        sink_end_row(json_rows_sink(&lines->matrix));
    }
    return status;
}

static int put_line(struct lines *lines, struct slice text, struct place place, struct error *error)
{
    struct decode *decode = lines->decode;
    const struct json_value *line;
    size_t base = (size_t)(text.ptr - decode->body.ptr);
    if (lines->started && !lines->by_record && !lines->matrix.selects &&
        json_plain_put_row(text, json_rows_sink(&lines->matrix))) {
        return ERR_OK;
    }
    int status = json_reader_read(&lines->reader, text, base, &line, error);
    if (status != ERR_OK) {
        return status == ERR_INVALID ? place_prefix(error, &place) : status;
    }
    if (!lines->started) {
        status = start(lines, line, error);
    }
    if (status != ERR_OK) {
        return status;
    }
    return lines->by_record ? json_records_put(&lines->records, line, place, error)
                            : put_matrix_line(lines, line, place, error);
}

static int put_lines(struct lines *lines, struct error *error)
{
    struct decode *decode = lines->decode;
    uint64_t max = decode_rows_bound(decode, UINT64_MAX);
    struct place place = {.line = decode->origin->lines, .column = -1};
    struct slice rest = slice_tail(decode->body, text_mark_bytes(decode->body));
    while (rest.ptr != NULL) {
        struct slice line = slice_cut(&rest, '\n');
        place.line++;
        if (is_blank(line)) {
            continue;
        }
        place.row = (int64_t)lines->count++ + decode->origin->rows;
        if (lines->count > max) {
            continue; /* counted only */
        }
        int status = put_line(lines, line, place, error);
        if (status != ERR_OK) {
            return status;
        }
    }
    return ERR_OK;
}

int decode_jsonl(struct decode *decode, struct error *error)
{
    struct lines lines = {.decode = decode};
    decode->copies_text = true; /* a line's tree takes the place of the line's before */
    json_reader_init(&lines.reader, decode->arena, decode->origin->bytes);
    int status = put_lines(&lines, error);
    if (status == ERR_OK) {
        status = decode_check_records(decode, lines.count, error);
    }
    if (status == ERR_OK && lines.count == 0) {
        status = error_set(error, ERR_INVALID, "the payload has no rows");
    }
    return status;
}
