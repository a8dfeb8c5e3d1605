/*
 * Settings, manifest and signature as the layers below want them. Pure functions, but for the CPU quota.
 */
#ifndef SERVE_DEPLOYMENT_OPTIONS_H
#define SERVE_DEPLOYMENT_OPTIONS_H

#include "backend/artifact.h"
#include "backend/backend.h"
#include "base/arena.h"
#include "codec/codec.h"
#include "config/manifest.h"
#include "config/settings.h"

/* ERR_CONFIG where the media type of DEFAULT_CONTENT_TYPE or DEFAULT_ACCEPT is none we know. */
MUST_CHECK int deployment_check_media(const struct settings *settings, struct error *error);
/* The codec's options of these settings; names of features come from the manifest, else the model. */
MUST_CHECK int deployment_codec_options(const struct settings *settings,
                                        const struct manifest *manifest,
                                        const struct signature *signature, struct arena *arena,
                                        struct codec_options *ret_options);
/* The runtime's options of these settings for the model at `path`. */
struct backend_options deployment_backend_options(const struct settings *settings, const char *path,
                                                  unsigned io_threads);
/* For a model that worker processes run; `manifest` is the path of one, or NULL. */
struct backend_worker_options deployment_worker_options(const struct settings *settings,
                                                        enum model_kind kind, const char *manifest);
/* Threads of the runtime a run may use, so that loops x intra-op threads stay within the quota. */
unsigned deployment_run_threads(const struct settings *settings, unsigned io_threads);

#endif
