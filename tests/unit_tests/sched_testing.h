/* Requests for tests of the scheduler: a job with one input, its arena and its value in one piece. */
#ifndef SCHED_TESTING_H
#define SCHED_TESTING_H

#include <string.h>

#include "sched/job.h"
#include "unit_tests/testing.h"

struct request {
    struct job job; /* first: a job is its request */
    struct tensor input;
    struct value value;
    struct arena arena;
    unsigned done;
};

/* An input [rows, columns] of float32 whose elements count up from `first`. */
static inline void request_init(struct request *request, int64_t rows, int64_t columns, float first)
{
    int64_t dims[2] = {rows, columns};
    memset(request, 0, sizeof(*request));
    assert_int_equal(tensor_new(DTYPE_F32, 2, dims, &request->input, NULL), ERR_OK);
    for (int64_t i = 0; i < rows * columns; i++) {
        ((float *)request->input.at)[i] = first + (float)i;
    }
    arena_init(&request->arena, 1024, 1 << 20);
    request->job.inputs = &request->input;
    request->job.rows = rows;
    request->job.arena = &request->arena;
    request->job.values = &request->value;
}

/* `ran`: it has a value when its status is ERR_OK. */
static inline void request_end(struct request *request, bool ran)
{
    if (ran && request->job.status == ERR_OK) {
        value_done(&request->value);
    }
    tensor_done(&request->input);
    arena_done(&request->arena);
}

#endif
