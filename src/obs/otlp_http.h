/*
 * Posts one request after the other to a collector, by libcurl. That is loaded when it is first
 * needed and not linked: it brings two dozen libraries, see docs/decisions/0006-libcurl-is-loaded.md.
 * Redirects are not followed; the proxy is the one that the environment names. One thread at a time.
 */
#ifndef OBS_OTLP_HTTP_H
#define OBS_OTLP_HTTP_H

#include <stdatomic.h>
#include <stdint.h>

#include "base/error.h"
#include "base/slice.h"

struct otlp_http;

/* All borrowed until otlp_http_free. */
struct otlp_http_options {
    const char *url;            /* http:// or https:// */
    const char *const *headers; /* "Name: value", ends with NULL; beside the content's own */
    const char *user_agent;
    const char *ca_file; /* whom TLS trusts; NULL: whom the system does */
    bool is_gzip;        /* what bodies are */
    /* When `stop_fd` can be read, *give_up_ns is the time that bounds all. */
    int stop_fd;
    const _Atomic uint64_t *give_up_ns;
    uint64_t (*clock_ns)(void);
};

struct otlp_reply {
    int status; /* of HTTP; OTLP_NO_STATUS: none came, and `problem` says why */
    uint64_t retry_after_ns;
    struct slice body; /* empty where it did not come whole; until the next post */
    char problem[128];
};

/* The longest body of a reply that is read. */
#define OTLP_HTTP_REPLY_MAX_BYTES ((size_t)64 * 1024)

/* ERR_CONFIG: there is no usable libcurl, or it refuses an option; ERR_NO_MEMORY. */
MUST_CHECK int otlp_http_new(const struct otlp_http_options *options, struct otlp_http **ret_http,
                             struct error *error);
void otlp_http_free(struct otlp_http *http); /* NULL is fine */

/* Posts the body and waits for the reply, until `end_ns` at most. `transport` is a struct otlp_http. */
void otlp_http_post(void *transport, struct slice body, uint64_t end_ns,
                    struct otlp_reply *ret_reply);

#endif
