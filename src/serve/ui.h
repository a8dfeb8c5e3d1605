/*
 * What the page at /ui is told of the service and its model: /ui/model.json. The page itself is an
 * asset (serve/assets.h). Pure; any thread.
 */
#ifndef SERVE_UI_H
#define SERVE_UI_H

#include <stdbool.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/error.h"
#include "base/slice.h"
#include "codec/codec.h"
#include "config/manifest.h"
#include "config/settings.h"
#include "tensor/signature.h"

/* The model in service. Everything is borrowed for the call. */
struct ui_model {
    struct slice name; /* of the manifest, else of the file */
    const char *kind;  /* "onnx" */
    const struct manifest *manifest;
    const struct signature *signature;
    const struct codec_options *options; /* how bodies are read */
    const size_t *wanted;                /* outputs that stand in an answer (codec_plan_wanted) */
    size_t wanted_count;
    enum media answer; /* where a request asks for nothing */
    enum setting_execution execution;
    bool pooled;    /* where it runs now: on runner threads, else on I/O threads */
    bool batchable; /* requests may share a run */
    int64_t max_rows;
};

/*
 * Appends one JSON object (RFC 8259), whatever the names and bodies of the model hold:
 *
 *   ready       true or false
 *   metrics     the path of the metrics, null where they are off
 *   docs        the path of the API's page, null where it is off
 *   model       null while there is none, else
 *     name, version, description, kind: texts
 *     batching  {shared, max_rows}
 *     execution {setting, runs_on}: "auto", "inline" or "pooled"; "io_threads" or "runners"
 *     inputs, outputs: [{name, kind, type, dtype, shape, description, units, feature_names,
 *               class_labels, answered}]; dtype and shape of tensors alone, -1 is a free
 *               dimension; what nobody has said is left out; answered: true for an output that
 *               stands in an answer
 *     requests  [{content_type, example, source}], the one to offer first before the others; example
 *               is null where there is none, source "manifest" or "signature"
 *     answers   {types, preferred}: what Accept may name; types is [preferred] where an output map
 *               leaves no choice
 *
 * `model` NULL: none is loaded. ERR_NO_MEMORY, and then `out` holds a part of it.
 */
MUST_CHECK int ui_write_model(const struct settings *settings, bool ready,
                              const struct ui_model *model, struct bytes *out, struct error *error);

#endif
