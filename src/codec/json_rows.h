/*
 * Rows of JSON values into sinks: of a matrix, and of records whose members feed inputs by name.
 * Shared by JSON, which knows all its rows before it starts, and JSON Lines, which does not.
 */
#ifndef CODEC_JSON_ROWS_H
#define CODEC_JSON_ROWS_H

#include <stdint.h>

#include "base/error.h"
#include "codec/columns.h"
#include "codec/decode.h"
#include "codec/json_document.h"
#include "codec/text.h"

/* The rows of one input. */
struct json_rows {
    struct decode *decode;
    const struct field *field;
    uint64_t rows_max;
    bool selects; /* through `columns`: the matrix with selectors set */
    struct columns columns;
};

void json_rows_init(struct json_rows *rows, struct decode *decode, const struct field *field,
                    uint64_t rows_max);
/* The sink the rows go to. */
struct sink *json_rows_sink(const struct json_rows *rows);
/*
 * Puts a row and leaves it open (sink_end_row ends it; until then it may be put again). The first
 * opens the sink. ERR_INVALID naming `place`, or as decode_open.
 */
MUST_CHECK int json_rows_put(struct json_rows *rows, const struct json_value *value,
                             struct place place, struct error *error);

/* Rows of several inputs, each from a member of a record (an object). */
struct json_records {
    struct decode *decode;
    const struct fields *fields;
    struct json_rows *rows; /* one a field, in their order */
};

MUST_CHECK int json_records_init(struct json_records *records, struct decode *decode,
                                 const struct fields *fields, uint64_t rows_max,
                                 struct error *error);
/*
 * A record is one row of each field's input. Unknown keys are ignored. ERR_INVALID for what is no
 * object or lacks a key: in multi-input mode `Missing key '<k>' in one of the records for ONNX
 * multi-input`.
 */
MUST_CHECK int json_records_put(struct json_records *records, const struct json_value *record,
                                struct place place, struct error *error);

/*
 * The row of the matrix under the features key; NULL where `value` is no object with that key, and
 * where the model calls an input so (then the key is that input's).
 */
const struct json_value *json_find_features(const struct decode *decode,
                                            const struct json_value *value);
/* Whether an object has at least one of the keys. */
bool json_has_field(const struct json_value *object, const struct fields *fields);
/* "null", "a number", "an object": what came, for messages. Static. */
const char *json_describe(const struct json_value *value);
/* ERR_INVALID for an object without a known key: names the keys that were looked for. */
int json_refuse_object(const struct decode *decode, struct error *error);

#endif
