/*
 * Our options for opening a model as the runtime's session options.
 */
#ifndef BACKEND_ORT_OPTIONS_H
#define BACKEND_ORT_OPTIONS_H

#include "backend/backend.h"
#include "backend/ort_library.h"

/*
 * `shapes_vary`: inputs come in unboundedly many shapes, so nothing may be kept for each. The caller
 * owns *ret_session_options (ReleaseSessionOptions). ERR_CONFIG for a level, a thread count or
 * a provider that cannot be had; for providers the text lists what the library offers.
 */
MUST_CHECK int ort_options_make(const struct ort_library *library,
                                const struct backend_options *options, bool shapes_vary,
                                OrtSessionOptions **ret_session_options, struct error *error);

#endif
