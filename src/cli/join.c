/*
 * Each output is encoded by a plan of its own, as if it were the whole answer; what goes around and
 * between is written here. Several outputs of one object come interleaved: all but the first wait in
 * spools.
 */
#include "cli/join.h"

#include <inttypes.h>
#include <string.h>

#include "base/check.h"
#include "base/mem.h"
#include "codec/json_text.h"

#define ANSWER_MAX_BYTES ((size_t)1024 * 1024 * 1024)
#define ANSWER_KEPT_BYTES ((size_t)16 * 1024 * 1024)

/* ---- making ---- */

static int no_memory(struct error *error)
{
    return error_set(error, ERR_NO_MEMORY, "no memory for the answer");
}

/* Which of the wanted values feeds the member. */
static size_t find_value(const struct codec_plan *all, const struct codec_plan *one)
{
    size_t count;
    size_t alone;
    const size_t *wanted = codec_plan_wanted(all, &count);
    const size_t *mine = codec_plan_wanted(one, &alone);
    CHECK(alone == 1);
    size_t at = 0;
    while (at < count && wanted[at] != mine[0]) {
        at++;
    }
    CHECK(at < count);
    return at;
}

static int init_member(struct join *join, size_t i, const struct codec_options *options,
                       const struct codec_plan *all, struct error *error)
{
    struct join_member *member = &join->members[i];
    member->spool.fd = -1;
    member->options = *options;
    member->options.predictions_only = true;
    member->options.output_map = NULL;
    member->options.output_map_count = 0;
    if (options->output_map_count > 0) {
        member->key = options->output_map[i].key;
        member->options.output_name = options->output_map[i].port;
    } else if (!options->predictions_only && join->media == MEDIA_JSON) {
        member->key = options->json_output_key;
    }
    int status = codec_plan_new(&member->options, join->signature, &member->plan, error);
    if (status == ERR_OK) {
        member->value = find_value(all, member->plan);
    }
    return status;
}

static int open_outs(struct join *join, const char *beside, struct error *error)
{
    int status = ERR_OK;
    for (size_t i = 0; i < join->member_count && status == ERR_OK; i++) {
        struct join_member *member = &join->members[i];
        member->out = i == 0 ? join->out : &member->spool;
        status = i == 0 ? ERR_OK : out_file_open_spool(&member->spool, beside, error);
    }
    if (status == ERR_OK && join->media == MEDIA_NPY && !out_file_can_rewrite(join->out)) {
        status = out_file_open_spool(&join->rows, beside, error);
        join->members[0].out = &join->rows;
    }
    return status;
}

int join_init(struct join *join, const struct codec_options *options,
              const struct signature *signature, enum media media, struct out_file *out,
              const char *beside, struct error *error)
{
    struct codec_plan *all;
    bool mapped = options->output_map_count > 0;
    *join = (struct join){
        .signature = signature,
        .media = mapped || (media != MEDIA_CSV && media != MEDIA_NPY) ? MEDIA_JSON : media,
        .out = out,
        .member_count = mapped ? options->output_map_count : 1,
        .rows.fd = -1,
    };
    bytes_init(&join->answer, ANSWER_MAX_BYTES);
    int status = codec_plan_new(options, signature, &all, error);
    if (status != ERR_OK) {
        return status;
    }
    join->members = mem_zalloc(join->member_count, sizeof(join->members[0]));
    if (join->members == NULL) {
        codec_plan_free(all);
        return no_memory(error);
    }
    for (size_t i = 0; status == ERR_OK && i < join->member_count; i++) {
        status = init_member(join, i, options, all, error);
    }
    codec_plan_free(all);
    if (status == ERR_OK) {
        status = open_outs(join, beside, error);
    }
    if (status != ERR_OK) {
        join_done(join);
    }
    return status;
}

void join_done(struct join *join)
{
    for (size_t i = 0; join->members != NULL && i < join->member_count; i++) {
        codec_plan_free(join->members[i].plan);
        if (join->members[i].out == &join->members[i].spool) {
            out_file_drop(&join->members[i].spool);
        }
    }
    if (join->rows.fd >= 0) {
        out_file_drop(&join->rows);
    }
    mem_free(join->members);
    bytes_done(&join->answer);
    *join = (struct join){.rows.fd = -1};
}

/* ---- piece by piece ---- */

static struct slice name_of(const struct join *join, const struct join_member *member)
{
    size_t count;
    const size_t *wanted = codec_plan_wanted(member->plan, &count);
    return slice_head(join->signature->outputs[wanted[0]].name, 100);
}

/* Remembers what later pieces must agree with. */
static void begin_member(struct join_member *member, const struct value *value, int64_t rows)
{
    const struct tensor *tensor = &value->tensor;
    bool divides =
        value->kind == VALUE_SEQUENCE || (value->kind == VALUE_TENSOR && tensor->rank > 0);
    member->divides = divides && value_rows(value) == rows;
    if (value->kind == VALUE_TENSOR) {
        member->dtype = tensor->dtype;
        member->rank = tensor->rank;
        memcpy(member->dims, tensor->dims, sizeof(member->dims));
    }
}

/* Whether the rows of this piece look like those of the first. */
static bool agrees(const struct join_member *member, const struct value *value)
{
    const struct tensor *tensor = &value->tensor;
    if (value->kind != VALUE_TENSOR) {
        return member->dtype == DTYPE_NONE;
    }
    return tensor->dtype == member->dtype && tensor->rank == member->rank &&
           memcmp(tensor->dims + 1, member->dims + 1,
                  (tensor->rank - 1) * sizeof(tensor->dims[0])) == 0;
}

static int check_member(const struct join *join, const struct join_member *member,
                        const struct value *value, int64_t rows, struct error *error)
{
    struct slice name = name_of(join, member);
    if (!member->divides || value_rows(value) != rows) {
        return error_set(error, ERR_INVALID,
                         "output \"%.*s\" has not one row for each row of the input: the input "
                         "would have to be one run, and is too large for that",
                         SLICE_FMT(name));
    }
    if (!agrees(member, value)) {
        return error_set(
            error, ERR_INVALID,
            "output \"%.*s\" changes the shape of its rows: the input would have to be "
            "one run, and is too large for that",
            SLICE_FMT(name));
    }
    return ERR_OK;
}

/* `"key":` with what stands before it in the object. */
static int put_key(struct join *join, struct slice key, bool first, struct error *error)
{
    struct bytes text;
    bytes_init(&text, key.len * JSON_TEXT_MAX_GROWTH + 8);
    int status = bytes_put_byte(&text, first ? '{' : ',');
    if (status == ERR_OK) {
        status = json_text_put(&text, key);
    }
    if (status == ERR_OK) {
        status = bytes_put_byte(&text, ':');
    }
    status =
        status == ERR_OK ? out_file_put(join->out, bytes_slice(&text), error) : no_memory(error);
    bytes_done(&text);
    return status;
}

/* All but the last byte, which is held back: a bracket gives way to a comma when more comes. */
static int put_json(const struct join *join, struct join_member *member, struct error *error)
{
    struct slice text = bytes_slice(&join->answer);
    CHECK(text.len > 0);
    char last = text.ptr[text.len - 1];
    text.len--;
    int status = ERR_OK;
    if (join->started) {
        CHECK(member->held == ']' && last == ']' && text.len > 0 && text.ptr[0] == '[');
        status = out_file_put(member->out, SLICE(","), error);
        text = slice_tail(text, 1);
    }
    member->held = last;
    return status == ERR_OK ? out_file_put(member->out, text, error) : status;
}

static int put_csv(const struct join *join, const struct join_member *member, struct error *error)
{
    int status = join->started ? out_file_put(member->out, SLICE("\n"), error) : ERR_OK;
    return status == ERR_OK ? out_file_put(member->out, bytes_slice(&join->answer), error) : status;
}

/* The header of all rows; `rows` of them. */
static size_t print_header(const struct join *join, int64_t rows, char text[NPY_HEADER_MAX])
{
    const struct join_member *member = &join->members[0];
    struct npy_header header = {.dtype = member->dtype, .rank = member->rank};
    memcpy(header.dims, member->dims, sizeof(header.dims));
    if (member->divides) {
        header.dims[0] = rows;
    }
    return npy_header_print(&header, join->header_len, text);
}

static int put_npy(struct join *join, const struct join_member *member, struct error *error)
{
    char text[NPY_HEADER_MAX];
    struct npy_header header;
    struct slice answer = bytes_slice(&join->answer);
    int status = npy_header_parse(answer, &header, error);
    if (status == ERR_OK && !join->started && member->out == join->out) {
        /* Room for the header of any number of rows. */
        join->header_len = print_header(join, INT64_MAX, text);
        status = out_file_put(join->out, slice_make(text, join->header_len), error);
    }
    return status == ERR_OK
               ? out_file_put(member->out, slice_tail(answer, header.bytes_before), error)
               : status;
}

static int put_member(struct join *join, struct join_member *member, const struct value *value,
                      struct error *error)
{
    enum media media;
    bytes_reset(&join->answer, ANSWER_KEPT_BYTES);
    int status = codec_encode(member->plan, join->media, value, &join->answer, &media, error);
    if (status != ERR_OK) {
        return status;
    }
    CHECK(media == join->media);
    switch (media) {
    case MEDIA_CSV:
        return put_csv(join, member, error);
    case MEDIA_NPY:
        return put_npy(join, member, error);
    default:
        return put_json(join, member, error);
    }
}

int join_put(struct join *join, const struct value *values, int64_t rows, struct error *error)
{
    int status = ERR_OK;
    if (!join->started && join->members[0].key.ptr != NULL) {
        status = put_key(join, join->members[0].key, true, error);
    }
    for (size_t i = 0; status == ERR_OK && i < join->member_count; i++) {
        struct join_member *member = &join->members[i];
        const struct value *value = &values[member->value];
        if (join->started) {
            status = check_member(join, member, value, rows, error);
        } else {
            begin_member(member, value, rows);
        }
        if (status == ERR_OK) {
            status = put_member(join, member, value, error);
        }
    }
    join->started = true;
    join->rows_joined += (uint64_t)rows;
    return status;
}

/* ---- the end ---- */

static int finish_json(struct join *join, struct error *error)
{
    int status = ERR_OK;
    for (size_t i = 0; status == ERR_OK && i < join->member_count; i++) {
        struct join_member *member = &join->members[i];
        status = out_file_put(member->out, slice_make(&member->held, 1), error);
        if (status == ERR_OK && i > 0) {
            status = put_key(join, member->key, false, error);
        }
        if (status == ERR_OK && i > 0) {
            status = out_file_put_spool(join->out, &member->spool, error);
        }
    }
    if (status == ERR_OK && join->members[0].key.ptr != NULL) {
        status = out_file_put(join->out, SLICE("}"), error);
    }
    return status;
}

static int finish_npy(struct join *join, struct error *error)
{
    char text[NPY_HEADER_MAX];
    struct slice header = {text, print_header(join, (int64_t)join->rows_joined, text)};
    if (join->members[0].out == join->out) {
        CHECK(header.len == join->header_len);
        return out_file_rewrite(join->out, header, error);
    }
    int status = out_file_put(join->out, header, error);
    return status == ERR_OK ? out_file_put_spool(join->out, &join->rows, error) : status;
}

int join_finish(struct join *join, struct error *error)
{
    CHECK(join->started);
    switch (join->media) {
    case MEDIA_NPY:
        return finish_npy(join, error);
    case MEDIA_CSV:
        return ERR_OK;
    default:
        return finish_json(join, error);
    }
}
