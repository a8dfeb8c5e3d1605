/*
 * The description that the test double plays: a file of `key = value` lines. Blank lines and lines
 * that start with # are skipped.
 *
 *   input = x float32 [N, 4]           repeated, in order: name, dtype, shape; a number or a symbol
 *   output = y float32 [N, 4] echo x   the input's elements; same dtype, as many a row
 *   output = s float64 [N] sum x       one number a row (float32, float64, int64): its sum
 *   delay_run_us = 500                 a run takes this long ...
 *   delay_row_us = 10                  ... and this much more for each row,
 *   delay_by = sleep                   sleeping, or busy (spin)
 *   poison = 666                       a run fails as the client's fault when the first input holds it
 *   fail = open                        opening fails; `invalid` or `internal`: every run does
 *   extra_rows = -1                    outputs have so many rows more than the inputs
 */
#ifndef BACKEND_FAKE_SCRIPT_H
#define BACKEND_FAKE_SCRIPT_H

#include "base/arena.h"
#include "base/error.h"
#include "tensor/signature.h"

#define FAKE_PORTS_MAX 16

enum fake_operation { FAKE_ECHO, FAKE_SUM };

struct fake_output {
    enum fake_operation operation;
    size_t input;
};

enum fake_failure { FAKE_FAIL_NEVER, FAKE_FAIL_OPEN, FAKE_FAIL_INVALID, FAKE_FAIL_INTERNAL };

struct fake_script {
    struct signature signature; /* its ports are the arrays below: a script is not moved */
    struct port inputs[FAKE_PORTS_MAX];
    struct port outputs[FAKE_PORTS_MAX];
    struct fake_output operations[FAKE_PORTS_MAX]; /* of the outputs */
    uint64_t delay_run_us;
    uint64_t delay_row_us;
    bool spin;
    bool has_poison;
    struct slice poison;
    enum fake_failure failure;
    int64_t extra_rows;
};

/*
 * Reads the file into *script; texts live in the arena. ERR_CONFIG names the line that cannot be
 * used (also for `fail = open`), ERR_NO_MEMORY; *script is of no use then.
 */
MUST_CHECK int fake_script_read(const char *path, struct arena *arena, struct fake_script *script,
                                struct error *error);

#endif
