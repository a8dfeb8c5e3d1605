#include "cli/prediction.h"

#include <inttypes.h>

#define PIECE_TARGET_BYTES ((size_t)1024 * 1024)
#define PIECE_MAX_BYTES ((size_t)64 * 1024 * 1024)
#define ARENA_BLOCK_BYTES ((size_t)1024 * 1024)
/* A tree of JSON takes up to 13 bytes for each byte of its text (codec/json_document.h). */
#define ARENA_MAX_BYTES (PIECE_MAX_BYTES * 2 * 16)

/* Rows a run must have; 0 where the model takes any number. */
static uint64_t fixed_rows(const struct signature *signature)
{
    for (size_t i = 0; i < signature->input_count; i++) {
        const struct port *port = &signature->inputs[i];
        if (port->kind == PORT_TENSOR && port->rank_known && port->rank > 0 && port->dims[0] > 0) {
            return (uint64_t)port->dims[0];
        }
    }
    return 0;
}

/* The model's trial run has shown nothing, but rows that it takes may. */
static bool can_be_tried(const struct deployment *deployment)
{
    return deployment->trial == PROBE_REFUSED && signature_is_batchable(deployment->signature) &&
           deployment->settings.batching != SETTING_BATCHING_OFF;
}

/*
 * A model with a fixed batch runs as often as its batches come. Of any other the rows must be
 * independent, which the deployment has tried out: else the answer would change with the cuts.
 */
static void set_rules(struct prediction *prediction, enum media input)
{
    const struct deployment *deployment = prediction->deployment;
    uint64_t fixed = fixed_rows(deployment->signature);
    bool unknown = fixed == 0 && !deployment->target.batchable;
    prediction->untried = unknown && can_be_tried(deployment);
    int64_t batch = deployment->target.max_rows;
    prediction->rules = (struct piece_rules){
        .media = input,
        .plan = prediction->plan,
        .options = &prediction->options,
        .whole = unknown && !prediction->untried,
        .exact = fixed > 0,
        .rows = fixed > 0   ? fixed
                : batch > 0 ? (uint64_t)batch
                            : 1,
        .target_bytes = PIECE_TARGET_BYTES,
        .max_bytes = PIECE_MAX_BYTES,
    };
}

int prediction_init(struct prediction *prediction, const struct deployment *deployment,
                    enum media input, struct source source, enum media output, struct out_file *out,
                    const char *beside, struct error *error)
{
    *prediction =
        (struct prediction){.deployment = deployment, .options = deployment->codec_options};
    prediction->options.max_records = 0;
    int status =
        codec_plan_new(&prediction->options, deployment->signature, &prediction->plan, error);
    if (status != ERR_OK) {
        return status;
    }
    status = join_init(&prediction->join, &prediction->options, deployment->signature, output, out,
                       beside, error);
    if (status != ERR_OK) {
        codec_plan_free(prediction->plan);
        return status;
    }
    arena_init(&prediction->arena, ARENA_BLOCK_BYTES, ARENA_MAX_BYTES);
    set_rules(prediction, input);
    pieces_init(&prediction->pieces, &prediction->rules, source);
    return ERR_OK;
}

void prediction_done(struct prediction *prediction)
{
    pieces_done(&prediction->pieces);
    join_done(&prediction->join);
    arena_done(&prediction->arena);
    codec_plan_free(prediction->plan);
}

uint64_t prediction_consumed_bytes(const struct prediction *prediction)
{
    return pieces_consumed_bytes(&prediction->pieces);
}

/* Whether the first piece's rows show that it was rightly cut off. */
static bool is_rightly_cut(struct prediction *prediction, const struct codec_inputs *inputs)
{
    return pieces_are_whole(&prediction->pieces) ||
           probe_given_rows(&prediction->deployment->target, inputs->tensors, inputs->rows,
                            &prediction->arena) == PROBE_INDEPENDENT;
}

/* The model and the encoder know rows of the piece alone. */
static int name_rows(const struct prediction *prediction, int64_t rows, struct error *error)
{
    if (prediction->rows == 0) {
        return (int)error->code;
    }
    return error_prefix(error, "rows %" PRIu64 " to %" PRIu64, prediction->rows,
                        prediction->rows + (uint64_t)rows - 1);
}

static int run(struct prediction *prediction, const struct codec_inputs *inputs,
               struct error *error)
{
    const struct batch_target *target = &prediction->deployment->target;
    struct value *values =
        arena_zalloc(&prediction->arena, target->wanted_count, sizeof(values[0]));
    if (values == NULL) {
        return error_set(error, ERR_NO_MEMORY, "no memory for the answer");
    }
    int status = batch_run_inputs(target, inputs->tensors, &prediction->arena, values, error);
    if (status != ERR_OK) {
        return name_rows(prediction, inputs->rows, error);
    }
    status = join_put(&prediction->join, values, inputs->rows, error);
    for (size_t i = 0; i < target->wanted_count; i++) {
        value_done(&values[i]);
    }
    return status == ERR_INVALID ? name_rows(prediction, inputs->rows, error) : status;
}

static int answer(struct prediction *prediction, const struct piece *piece, struct error *error)
{
    struct codec_inputs inputs;
    arena_reset(&prediction->arena);
    int status = codec_decode_piece(prediction->plan, prediction->rules.media, piece->body,
                                    &piece->origin, &prediction->arena, &inputs, error);
    if (status != ERR_OK) {
        return status;
    }
    if (piece->rows != 0 && (uint64_t)inputs.rows != piece->rows) {
        status = error_set(error, ERR_INTERNAL,
                           "%" PRIu64 " rows were cut off, %" PRId64 " were decoded", piece->rows,
                           inputs.rows);
    } else if (prediction->untried && !is_rightly_cut(prediction, &inputs)) {
        pieces_take_back(&prediction->pieces);
    } else {
        status = run(prediction, &inputs, error);
        prediction->rows += (uint64_t)inputs.rows;
    }
    prediction->untried = false;
    codec_inputs_done(&inputs);
    return status;
}

int prediction_step(struct prediction *prediction, bool *ret_more, struct error *error)
{
    struct piece piece;
    int status = pieces_next(&prediction->pieces, &piece, ret_more, error);
    if (status != ERR_OK) {
        return status;
    }
    return *ret_more ? answer(prediction, &piece, error) : join_finish(&prediction->join, error);
}
