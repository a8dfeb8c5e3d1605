/*
 * The dispatch, and what holds for every encoding: limits, inputs that are missing, rows that must
 * agree. What a payload means is each decoder's.
 */
#include "codec/decode.h"

#include <inttypes.h>
#include <stdio.h>

#include "base/check.h"
#include "codec/columns.h"
#include "codec/text.h"

int decode_check_records(const struct decode *decode, uint64_t records, struct error *error)
{
    uint64_t max = decode->plan->options->max_records;
    if (max == 0 || records <= max) {
        return ERR_OK;
    }
    return error_set(error, ERR_INVALID, "too_many_records: %" PRIu64 " > %" PRIu64, records, max);
}

uint64_t decode_rows_bound(const struct decode *decode, uint64_t lines)
{
    uint64_t max = decode->plan->options->max_records;
    return max == 0 || lines < max ? lines : max;
}

int decode_open(struct decode *decode, const struct field *field, const struct row_shape *row,
                uint64_t rows_max, struct error *error)
{
    CHECK(row->elements > 0);
    /* An element takes a byte at least, with its delimiter; the last row may be incomplete. */
    uint64_t fit = (decode->body.len + 1) / row->elements + 1;
    if (row->elements > decode->body.len + 1) {
        return error_set(error, ERR_INVALID,
                         "ragged arrays: the first row has the shape of %zu values, more than the "
                         "payload can hold",
                         row->elements);
    }
    if (field == &decode->plan->matrix) {
        size_t features = row->rank == 0 ? 1 : (size_t)row->dims[0];
        int status = columns_check_count(decode->plan, features, error);
        if (status != ERR_OK) {
            return status;
        }
    }
    return sink_open(&decode->sinks[field->index], &decode->plan->signature->inputs[field->index],
                     field->through, row, (int64_t)(rows_max < fit ? rows_max : fit), decode->arena,
                     error);
}

/* Appends `"name"` where it fits; returns the new length. */
static size_t put_name(char *text, size_t len, struct slice name)
{
    struct slice shown = text_excerpt(name);
    if (len + shown.len + sizeof(", \"\", ...") > NAMES_TEXT_MAX) {
        return len;
    }
    int more = snprintf(text + len, NAMES_TEXT_MAX - len, "%s\"%.*s\"", len > 0 ? ", " : "",
                        SLICE_FMT(shown));
    return len + (size_t)more;
}

const char *decode_list_inputs(const struct decode *decode, char text[NAMES_TEXT_MAX])
{
    size_t len = 0;
    text[0] = '\0';
    for (size_t i = 0; i < decode->plan->signature->input_count; i++) {
        len = put_name(text, len, decode->plan->signature->inputs[i].name);
    }
    return text;
}

int decode_check_matrix(const struct decode *decode, struct error *error)
{
    char names[NAMES_TEXT_MAX];
    const struct codec_plan *plan = decode->plan;
    struct slice name = text_excerpt(plan->matrix.key);
    for (size_t i = 0; i < plan->signature->input_count; i++) {
        if (i != plan->matrix.index && plan_input_required(plan, i)) {
            return error_set(error, ERR_INVALID,
                             "a bare matrix feeds input \"%.*s\" alone; name the values of all "
                             "inputs: %s",
                             SLICE_FMT(name), decode_list_inputs(decode, names));
        }
    }
    return ERR_OK;
}

/* Names the required inputs without a tensor. */
static int check_complete(const struct decode *decode, struct error *error)
{
    char names[NAMES_TEXT_MAX] = "";
    size_t len = 0;
    const struct signature *signature = decode->plan->signature;
    for (size_t i = 0; i < signature->input_count; i++) {
        if (decode->sinks[i].port == NULL && plan_input_required(decode->plan, i)) {
            len = put_name(names, len, signature->inputs[i].name);
        }
    }
    return len == 0 ? ERR_OK
                    : error_set(error, ERR_INVALID, "no values for the model's inputs: %s", names);
}

/* The first dimension of this input counts a request's rows. */
static bool has_rows(const struct sink *sink)
{
    return sink->port != NULL &&
           (!sink->port->rank_known || (sink->port->rank > 0 && sink->port->dims[0] < 0));
}

/* Rows of the first input that has rows of its own to count, else of the first there is. */
static const struct sink *find_leader(const struct decode *decode)
{
    const struct sink *first = NULL;
    for (size_t i = 0; i < decode->plan->signature->input_count; i++) {
        const struct sink *sink = &decode->sinks[i];
        if (has_rows(sink)) {
            return sink;
        }
        if (first == NULL && sink->port != NULL) {
            first = sink;
        }
    }
    return first;
}

static int check_agreement(const struct decode *decode, const struct sink *leader,
                           struct error *error)
{
    struct slice first = text_excerpt(leader->port->name);
    if (!decode->plan->options->dynamic_batch) {
        return ERR_OK;
    }
    for (size_t i = 0; i < decode->plan->signature->input_count; i++) {
        const struct sink *sink = &decode->sinks[i];
        if (has_rows(sink) && sink->rows != leader->rows) {
            struct slice other = text_excerpt(sink->port->name);
            return error_set(error, ERR_INVALID,
                             "the inputs' rows disagree: \"%.*s\" has %" PRId64
                             ", \"%.*s\" has %" PRId64,
                             SLICE_FMT(first), leader->rows, SLICE_FMT(other), sink->rows);
        }
    }
    return ERR_OK;
}

static int take_inputs(struct decode *decode, struct codec_inputs *inputs, struct error *error)
{
    int status = check_complete(decode, error);
    if (status != ERR_OK) {
        return status;
    }
    const struct sink *leader = find_leader(decode);
    CHECK(leader != NULL);
    int64_t skipped = decode->origin->skipped_rows;
    CHECK(leader->rows >= skipped);
    inputs->rows = leader->rows - skipped;
    status = check_agreement(decode, leader, error);
    for (size_t i = 0; i < inputs->count && status == ERR_OK; i++) {
        if (decode->sinks[i].port != NULL) {
            status = decode_check_records(decode, (uint64_t)decode->sinks[i].rows, error);
        }
        if (status == ERR_OK && decode->sinks[i].port != NULL) {
            status = sink_take(&decode->sinks[i], skipped, &inputs->tensors[i], error);
        }
    }
    return status;
}

static int run_decoder(struct decode *decode, enum media media, struct error *error)
{
    switch (media) {
    case MEDIA_JSON:
        return decode_json(decode, error);
    case MEDIA_JSONL:
        return decode_jsonl(decode, error);
    case MEDIA_CSV:
        return decode_csv(decode, error);
    case MEDIA_NPY:
        return decode_npy(decode, error);
    case MEDIA_NONE:
        break;
    }
    return error_set(error, ERR_INVALID, "the payload's encoding is not supported");
}

int codec_decode(const struct codec_plan *plan, enum media media, struct slice body,
                 struct arena *arena, struct codec_inputs *ret_inputs, struct error *error)
{
    const struct codec_origin origin = {.rows = 0};
    return codec_decode_piece(plan, media, body, &origin, arena, ret_inputs, error);
}

int codec_decode_piece(const struct codec_plan *plan, enum media media, struct slice body,
                       const struct codec_origin *origin, struct arena *arena,
                       struct codec_inputs *ret_inputs, struct error *error)
{
    size_t count = plan->signature->input_count;
    struct decode decode = {
        .plan = plan, .body = body.len > 0 ? body : SLICE(""), .origin = origin, .arena = arena};
    struct codec_inputs inputs = {.count = count};
    struct error own_error;
    error = error != NULL ? error : &own_error; /* decoders put places before messages */
    decode.sinks = arena_zalloc(arena, count, sizeof(decode.sinks[0]));
    inputs.tensors = arena_zalloc(arena, count, sizeof(inputs.tensors[0]));
    if (decode.sinks == NULL || inputs.tensors == NULL) {
        return error_set(error, ERR_NO_MEMORY, "no memory for %zu inputs", count);
    }
    int status = run_decoder(&decode, media, error);
    if (status == ERR_OK) {
        status = take_inputs(&decode, &inputs, error);
    }
    if (status != ERR_OK) {
        for (size_t i = 0; i < count; i++) {
            sink_drop(&decode.sinks[i]);
        }
        codec_inputs_done(&inputs);
        return status;
    }
    *ret_inputs = inputs;
    return ERR_OK;
}

void codec_inputs_done(struct codec_inputs *inputs)
{
    for (size_t i = 0; i < inputs->count; i++) {
        tensor_done(&inputs->tensors[i]);
    }
    *inputs = (struct codec_inputs){.count = 0};
}
