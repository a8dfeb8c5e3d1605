#include "serve/router.h"

static const struct route none = {HANDLER_NONE, 0};

/* All but the metrics, whose path is a setting. */
static struct route find_fixed(const struct settings *settings, struct slice path)
{
    static const struct {
        struct slice path;
        struct route route;
    } routes[] = {
        {{"/invocations", 12}, {HANDLER_INVOCATIONS, ALLOW_POST}},
        {{"/ping", 5}, {HANDLER_PING, ALLOW_GET}},
        {{"/live", 5}, {HANDLER_LIVE, ALLOW_GET}},
        {{"/healthz", 8}, {HANDLER_HEALTHZ, ALLOW_GET}},
        {{"/ready", 6}, {HANDLER_READY, ALLOW_GET}},
        {{"/readyz", 7}, {HANDLER_READYZ, ALLOW_GET}},
    };
    static const struct route openapi = {HANDLER_OPENAPI, ALLOW_GET};
    static const struct route docs = {HANDLER_DOCS, ALLOW_GET};
    static const struct route page = {HANDLER_UI, ALLOW_GET};

    for (size_t i = 0; i < sizeof(routes) / sizeof(routes[0]); i++) {
        if (slice_eq(path, routes[i].path)) {
            return routes[i].route;
        }
    }
    if (settings->swagger_enabled && slice_eq(path, SLICE("/openapi.yaml"))) {
        return openapi;
    }
    if (settings->swagger_enabled &&
        (slice_eq(path, SLICE("/docs")) || slice_starts_with(path, SLICE("/docs/")))) {
        return docs;
    }
    if (settings->ui_enabled &&
        (slice_eq(path, SLICE("/ui")) || slice_starts_with(path, SLICE("/ui/")))) {
        return page;
    }
    return none;
}

static struct route find_exact(const struct settings *settings, struct slice path)
{
    static const struct route metrics = {HANDLER_METRICS, ALLOW_GET};
    struct route route = find_fixed(settings, path);
    bool asked = route.handler == HANDLER_NONE && settings->prometheus_enabled &&
                 slice_eq(path, settings->prometheus_path);
    return asked ? metrics : route;
}

struct route router_find(const struct settings *settings, struct slice path)
{
    struct route route = find_exact(settings, path);
    bool ends_in_slash = path.len > 1 && path.ptr[path.len - 1] == '/';
    return route.handler == HANDLER_NONE && ends_in_slash
               ? find_exact(settings, slice_head(path, path.len - 1))
               : route;
}

int router_check(const struct settings *settings, struct error *error)
{
    struct slice path = settings->prometheus_path;
    struct route route = find_fixed(settings, path);
    if (!settings->prometheus_enabled || route.handler == HANDLER_NONE) {
        return ERR_OK;
    }
    struct slice taken_by = router_pattern(settings, route);
    struct slice shown = slice_head(path, 80);
    return error_set(error, ERR_CONFIG,
                     "PROMETHEUS_PATH: \"%.*s\" belongs to %.*s, so nobody could read the metrics",
                     SLICE_FMT(shown), SLICE_FMT(taken_by));
}

struct slice router_pattern(const struct settings *settings, struct route route)
{
    switch (route.handler) {
    case HANDLER_INVOCATIONS:
        return SLICE("/invocations");
    case HANDLER_PING:
        return SLICE("/ping");
    case HANDLER_LIVE:
        return SLICE("/live");
    case HANDLER_HEALTHZ:
        return SLICE("/healthz");
    case HANDLER_READY:
        return SLICE("/ready");
    case HANDLER_READYZ:
        return SLICE("/readyz");
    case HANDLER_METRICS:
        return settings->prometheus_path;
    case HANDLER_OPENAPI:
        return SLICE("/openapi.yaml");
    case HANDLER_DOCS:
        return SLICE("/docs");
    case HANDLER_UI:
        return SLICE("/ui");
    case HANDLER_NONE:
    case HANDLER_COUNT:
        break;
    }
    return SLICE("");
}

enum metric_method router_method(struct slice method)
{
    if (slice_eq(method, SLICE("POST"))) {
        return METHOD_POST;
    }
    if (slice_eq(method, SLICE("GET"))) {
        return METHOD_GET;
    }
    return slice_eq(method, SLICE("HEAD")) ? METHOD_HEAD : METHOD_OTHER;
}

bool router_allows(struct route route, enum metric_method method)
{
    switch (method) {
    case METHOD_GET:
    case METHOD_HEAD:
        return (route.allow & ALLOW_GET) != 0;
    case METHOD_POST:
        return (route.allow & ALLOW_POST) != 0;
    case METHOD_OTHER:
    case METHOD_COUNT:
        break;
    }
    return false;
}

struct slice router_allow_field(struct route route)
{
    return (route.allow & ALLOW_POST) != 0 ? SLICE("POST") : SLICE("GET, HEAD");
}
