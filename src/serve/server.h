/*
 * The service as a whole: start, serve, reload, drain, stop.
 */
#ifndef SERVE_SERVER_H
#define SERVE_SERVER_H

#include "backend/backend.h"
#include "base/error.h"
#include "config/settings.h"

struct server_options {
    const struct settings_input *input; /* flags and environment, kept for reloads */
    const char *version;
    const struct backend *test_backend; /* NULL but in the test server */
};

/*
 * Serves until SIGTERM or SIGINT, and reloads the model on SIGHUP. The caller's thread handles the
 * signals; call it from main, before other threads exist. Returns ERR_OK after a clean drain (or
 * when the drain's time was over), ERR_CONFIG for settings or an address that cannot be used, else
 * what failed. Takes over the process's signal mask.
 */
MUST_CHECK int server_run(const struct server_options *options, struct error *error);

#endif
