/*
 * The worker protocol's bytes (docs/worker-protocol.md): packets, options, signatures and tensor records,
 * written and read. Pure functions. What is read comes from another process: every length and
 * offset is checked against the bytes there are, and anything that breaks a rule is ERR_INTERNAL with
 * one line saying which. Shared memory may change while it is read, so nothing is looked at twice:
 * records are copied out first, and what is returned points only into memory of our own.
 */
#ifndef BACKEND_WORKER_WIRE_H
#define BACKEND_WORKER_WIRE_H

#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/error.h"
#include "base/slice.h"
#include "tensor/signature.h"
#include "tensor/tensor.h"

#define WORKER_VERSION 1
#define WORKER_PACKET_MAX 4096
#define WORKER_RECORD_BYTES ((size_t)88)
#define WORKER_PORTS_MAX 4096
#define WORKER_SIGNATURE_MAX_BYTES ((size_t)16 << 20)
#define WORKER_OUTPUT_MAX_BYTES ((size_t)1 << 30)

enum worker_packet_type {
    WORKER_HELLO = 1,
    WORKER_WELCOME,
    WORKER_READY,
    WORKER_FAILED,
    WORKER_RUN,
    WORKER_RESULT,
    WORKER_ERROR,
    WORKER_END
};

enum worker_failure { WORKER_NO_FRAMEWORK = 1, WORKER_BAD_MODEL, WORKER_OTHER_FAILURE };
enum worker_cause { WORKER_CAUSE_INPUTS = 1, WORKER_CAUSE_OTHER };

/* A packet's head and body. Members that its type does not have are zero. */
struct worker_packet {
    enum worker_packet_type type;
    uint16_t version;
    uint64_t run;
    uint16_t oldest, newest; /* HELLO */
    uint64_t area_bytes;     /* HELLO, READY, RUN, RESULT */
    uint64_t offset;         /* likewise */
    uint64_t size_bytes;     /* HELLO, READY */
    uint32_t input_count;    /* RUN */
    uint32_t output_count;   /* RUN: wanted; RESULT */
    uint32_t reason;         /* FAILED: worker_failure; ERROR: worker_cause */
    struct slice text;       /* FAILED, ERROR; cut at 1024 bytes at a character when written */
};

/* Writes a packet; how long it is. `bytes` has room for WORKER_PACKET_MAX. */
size_t worker_packet_write(const struct worker_packet *packet, char *bytes);
/*
 * Reads a whole packet; the text is borrowed from `bytes`, its UTF-8 valid. What it refers to lies within
 * the area it tells of; how large that really is, worker_area_follow says. ERR_INTERNAL.
 */
MUST_CHECK int worker_packet_read(struct slice bytes, struct worker_packet *ret_packet,
                                  struct error *error);

struct worker_option {
    struct slice key, value;
};

/* Bytes the options take, and the options themselves into so many bytes. */
size_t worker_options_size(const struct worker_option *options, size_t count);
void worker_options_write(const struct worker_option *options, size_t count, char *bytes);

/*
 * Reads a signature out of bytes of our own; everything it refers to is copied into the arena (texts with
 * a NUL behind them). Names must be there and be unique; every port is a PORT_TENSOR; the framework
 * is the producer. ERR_INTERNAL, ERR_NO_MEMORY; the arena may have grown then.
 */
MUST_CHECK int worker_signature_read(struct slice bytes, struct arena *arena,
                                     struct signature *ret_signature, struct error *error);

/*
 * Bytes of a run's records, wanted outputs and data together, from offset 0 of the input area on.
 * Both counts are a signature's; an input of DTYPE_NONE is left out. ERR_INVALID: it cannot be addressed.
 */
MUST_CHECK int worker_run_size(const struct tensor *inputs, size_t input_count, size_t wanted_count,
                               size_t *ret_size, struct error *error);
/* Writes them to an area of at least that size, aligned to 64 bytes. */
void worker_run_write(const struct tensor *inputs, size_t input_count, const size_t *wanted,
                      size_t wanted_count, char *area);

/*
 * Copies the outputs of a RESULT out of the area (shared, `area_bytes` long and mapped, which worker_area_follow
 * has made at least what the packet tells). Each must have the dtype the signature has for it, where
 * that is known; its shape may be any. On success values[0..wanted_count) are tensors whose buffers
 * the caller ends with value_done, string slices in buffers too; on failure there is nothing to end.
 * ERR_INTERNAL, ERR_NO_MEMORY.
 */
MUST_CHECK int worker_result_read(const struct worker_packet *result, const char *area,
                                  size_t area_bytes, const struct signature *signature,
                                  const size_t *wanted, size_t wanted_count, struct value *values,
                                  struct error *error);

#endif
