/*
 * Which handler answers a path. Pure functions of the request line and the settings.
 */
#ifndef SERVE_ROUTER_H
#define SERVE_ROUTER_H

#include <stdbool.h>

#include "base/error.h"
#include "base/slice.h"
#include "config/settings.h"
#include "obs/metrics.h"

enum route_allow { ALLOW_GET = 1, ALLOW_POST = 2 }; /* GET stands for HEAD too */

struct route {
    enum metric_handler handler; /* HANDLER_NONE: there is no such path */
    unsigned allow;
};

/*
 * The path is compared as it came, without decoding; one slash at its end makes no difference, unless
 * PROMETHEUS_PATH says so. Everything below /docs/ and /ui/ is its page's.
 */
struct route router_find(const struct settings *settings, struct slice path);

/* ERR_CONFIG, naming both, where PROMETHEUS_PATH is a path that another handler answers. */
MUST_CHECK int router_check(const struct settings *settings, struct error *error);

enum metric_method router_method(struct slice method);
bool router_allows(struct route route, enum metric_method method);
/* The path that stands for all of a route's in dashboards, "" without one. Lives as the settings. */
struct slice router_pattern(const struct settings *settings, struct route route);
/* The value of an Allow field (RFC 9110 section 10.2.1). */
struct slice router_allow_field(struct route route);

#endif
