/*
 * The files the binary serves itself, embedded at build time (cmake/assets.cmake): the page below
 * /docs with the script and the style of Swagger UI, the OpenAPI document it shows, and the page at
 * /ui. Static, read-only, any thread.
 */
#ifndef SERVE_ASSETS_H
#define SERVE_ASSETS_H

#include <stdbool.h>

#include "base/slice.h"

struct asset {
    struct slice path; /* "/docs/swagger-ui.css" */
    struct slice content_type;
    struct slice policy; /* Content-Security-Policy; empty where it is no page */
    const char *begin, *end;
    bool gzip; /* a gzip member: Content-Encoding: gzip, or inflate it */
};

static inline struct slice asset_bytes(const struct asset *asset)
{
    return slice_make(asset->begin, (size_t)(asset->end - asset->begin));
}

/* No asset inflates to more. */
#define ASSET_MAX_BYTES (4 * 1024 * 1024)

/*
 * NULL where nothing is embedded under that path. /openapi.yaml and /ui/model.json are
 * no assets: they are written.
 */
const struct asset *asset_find(struct slice path);

/* docs/openapi.yaml as it stands in the source. */
struct slice asset_openapi(void);

#endif
