/*
 * The test double's own view: what it counted. Tests only.
 */
#ifndef BACKEND_FAKE_H
#define BACKEND_FAKE_H

#include <stdint.h>

#include "backend/backend.h"

struct fake_counts {
    uint64_t runs; /* calls of run, failed ones too */
    uint64_t rows; /* of their first inputs */
};

/* Of one model that backend_fake opened, or of all since the start when it is NULL. Any thread. */
void fake_read_counts(const struct backend_model *model, struct fake_counts *ret_counts);

#endif
