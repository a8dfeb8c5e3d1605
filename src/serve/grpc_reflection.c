/*
 * Server reflection as a conversation: each message is answered as it comes, and the answers wait
 * until the client takes them, up to a bound.
 */
#include "rpc/reflection.h"

#include "serve/grpc_call.h"

/* Answers that wait; the largest, a descriptor of ours, has a few KiB. */
#define WAITING_MAX_BYTES ((size_t)256 * 1024)
#define WAITING_FULL_BYTES (WAITING_MAX_BYTES / 2)

/* What is being taken must stay where it is, so what comes meanwhile goes elsewhere. */
static enum h2_pull pull_answers(void *source, size_t max, struct h2_piece *ret_piece)
{
    struct grpc_call *call = source;
    if (call->rest.len == 0 && bytes_len(&call->waiting) > 0) {
        struct bytes taken = call->leaving;
        bytes_reset(&taken, taken.capacity);
        call->leaving = call->waiting;
        call->waiting = taken;
        call->rest = bytes_slice(&call->leaving);
    }
    return grpc_pull_rest(call, max, ret_piece);
}

static void open_answer(struct exchange *exchange)
{
    struct grpc_call *call = exchange->call;
    if (call->is_open) {
        exchange->outlet->resume(exchange);
        return;
    }
    grpc_reply_open(exchange, pull_answers);
}

static int put_answer(struct exchange *exchange, struct bytes *out)
{
    size_t at = bytes_len(out);
    if (grpc_message_begin(out) != ERR_OK) {
        return error_set(&exchange->error, ERR_NO_MEMORY, "no memory for a reflection");
    }
    struct arena_mark mark = arena_mark(&exchange->arena);
    int status =
        reflection_answer(bytes_slice(&exchange->body), &exchange->arena, out, &exchange->error);
    arena_rewind(&exchange->arena, mark);
    if (status != ERR_OK) {
        bytes_truncate(out, at);
        return status;
    }
    return grpc_message_end(out, at, false, &exchange->error);
}

int grpc_reflection_on_message(struct exchange *exchange)
{
    struct bytes *waiting = &exchange->call->waiting;
    if (waiting->max == 0) {
        bytes_init(waiting, WAITING_MAX_BYTES);
        bytes_init(&exchange->call->leaving, WAITING_MAX_BYTES);
    }
    if (bytes_len(waiting) > WAITING_FULL_BYTES) {
        return error_set(&exchange->error, ERR_BUSY, "the client does not take its answers");
    }
    int status = put_answer(exchange, waiting);
    if (status == ERR_OK) {
        open_answer(exchange);
    }
    return status;
}

void grpc_reflection_on_end(struct exchange *exchange)
{
    grpc_reply_status(exchange, GRPC_OK, SLICE(""));
}
