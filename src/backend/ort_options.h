/*
 * Our options for opening a model as the runtime's session options.
 */
#ifndef BACKEND_ORT_OPTIONS_H
#define BACKEND_ORT_OPTIONS_H

#include <stdbool.h>

#include "backend/backend.h"
#include "backend/ort_library.h"

/* What is known of a model before its session is made. */
struct ort_traits {
    bool shapes_vary; /* inputs come in unboundedly many shapes, so nothing may be kept for each */
    bool is_small;    /* its runs take little memory of the runtime */
};

/*
 * The caller owns *ret_session_options (ReleaseSessionOptions). ERR_CONFIG for a level, a thread count or
 * a provider that cannot be had; for providers the text lists what the library offers.
 */
MUST_CHECK int ort_options_make(const struct ort_library *library,
                                const struct backend_options *options,
                                const struct ort_traits *traits,
                                OrtSessionOptions **ret_session_options, struct error *error);

#endif
