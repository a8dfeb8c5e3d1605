#include "serve/tracing.h"

#include <stdio.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/clock.h"
#include "base/hex.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/sys.h"
#include "obs/otlp.h"

#define ARENA_BLOCK_BYTES ((size_t)4 * 1024)
#define ARENA_MAX_BYTES ((size_t)1024 * 1024)
#define ATTRIBUTES_MAX 128
#define HEADERS_MAX 64
#define TRACES_PATH SLICE("/v1/traces")

struct tracing {
    struct sampler sampler;
    struct arena arena; /* of the texts below */
    struct otlp_http_options http_options;
    struct otlp_http *http;
    struct span_queue *queue;
    struct otlp *otlp; /* NULL: nothing is recorded */
    int wake_fd, stop_fd;
    _Atomic uint64_t give_up_ns;
    const char *headers[HEADERS_MAX + 1];
    struct otlp_attribute attributes[ATTRIBUTES_MAX];
    size_t attribute_count;
};

/* ---- what is set ---- */

static struct sampler sampler_of(const struct settings *settings)
{
    static const struct {
        enum sampler_kind root;
        bool parent_based;
    } samplers[] = {
        [SETTING_SAMPLER_ALWAYS_ON] = {SAMPLER_ALWAYS_ON, false},
        [SETTING_SAMPLER_ALWAYS_OFF] = {SAMPLER_ALWAYS_OFF, false},
        [SETTING_SAMPLER_TRACEIDRATIO] = {SAMPLER_RATIO, false},
        [SETTING_SAMPLER_PARENTBASED_ALWAYS_ON] = {SAMPLER_ALWAYS_ON, true},
        [SETTING_SAMPLER_PARENTBASED_ALWAYS_OFF] = {SAMPLER_ALWAYS_OFF, true},
        [SETTING_SAMPLER_PARENTBASED_TRACEIDRATIO] = {SAMPLER_RATIO, true},
    };
    enum setting_sampler chosen = settings->otel_traces_sampler;
    return sampler_make(samplers[chosen].root, samplers[chosen].parent_based,
                        settings->otel_traces_sampler_arg);
}

static struct slice first_set(struct slice special, struct slice general)
{
    return special.len > 0 ? special : general;
}

static bool is_gzip(const struct settings *settings)
{
    enum setting_compression special = settings->otel_exporter_otlp_traces_compression;
    return (special != SETTING_COMPRESSION_UNSET
                ? special
                : settings->otel_exporter_otlp_compression) == SETTING_COMPRESSION_GZIP;
}

static uint64_t attempt_ns(const struct settings *settings)
{
    uint64_t special_ns = settings->otel_exporter_otlp_traces_timeout_ns;
    return special_ns != 0 ? special_ns : settings->otel_exporter_otlp_timeout_ns;
}

static int no_memory(struct error *error)
{
    return error_set(error, ERR_NO_MEMORY, "no memory for tracing");
}

/* ---- lists of pairs ---- */

/* Values are percent-encoded (W3C Baggage section 3.3.1.3); a percent sign of no code is itself. */
static struct slice decode_percent(struct arena *arena, struct slice text)
{
    char *at = arena_alloc(arena, text.len + 1);
    size_t len = 0;
    for (size_t i = 0; at != NULL && i < text.len; i++) {
        char c = text.ptr[i];
        if (c == '%' && text.len - i > 2) {
            int high = hex_digit((char)(text.ptr[i + 1] | 0x20));
            int low = hex_digit((char)(text.ptr[i + 2] | 0x20));
            if (high >= 0 && low >= 0) {
                c = (char)(high << 4 | low);
                i += 2;
            }
        }
        at[len++] = c;
    }
    if (at == NULL) {
        return (struct slice){NULL, 0};
    }
    at[len] = '\0';
    return slice_make(at, len);
}

/* The next pair of a list that was checked when it was read; false at its end. */
static bool next_pair(struct slice *rest, struct slice *ret_key, struct slice *ret_value)
{
    if (rest->ptr == NULL || rest->len == 0) {
        return false;
    }
    struct slice pair = slice_cut(rest, ',');
    size_t equals = slice_find(pair, '=');
    *ret_key = slice_trim(slice_head(pair, equals));
    *ret_value = slice_trim(slice_tail(pair, equals + 1));
    return true;
}

/* ---- the resource ---- */

static bool has_attribute(const struct tracing *tracing, struct slice key)
{
    for (size_t i = 0; i < tracing->attribute_count; i++) {
        if (slice_eq(tracing->attributes[i].key, key)) {
            return true;
        }
    }
    return false;
}

/* The first one with a key counts. */
static void add_attribute(struct tracing *tracing, struct slice key, struct slice text,
                          int64_t number)
{
    if (tracing->attribute_count < ATTRIBUTES_MAX && !has_attribute(tracing, key)) {
        tracing->attributes[tracing->attribute_count++] =
            (struct otlp_attribute){key, text, number};
    }
}

static int add_listed_attributes(struct tracing *tracing, struct slice list)
{
    struct slice key;
    struct slice value;
    while (next_pair(&list, &key, &value)) {
        struct slice text = decode_percent(&tracing->arena, value);
        if (text.ptr == NULL) {
            return ERR_NO_MEMORY;
        }
        add_attribute(tracing, key, text, 0);
    }
    return ERR_OK;
}

static bool is_set(const struct settings *settings, const char *name)
{
    return settings_source(settings, name) != SETTING_FROM_DEFAULT;
}

/* A setting of ours is over the general list, and that is over a default. */
static int describe_service(struct tracing *tracing, const struct settings *settings,
                            struct slice version)
{
    const struct {
        const char *name;
        struct slice key, value;
    } ours[] = {
        {"SERVICE_NAME", SLICE("service.name"), settings->service_name},
        {"SERVICE_VERSION", SLICE("service.version"), settings->service_version},
        {"DEPLOYMENT_ENV", SLICE("deployment.environment"), settings->deployment_env},
        {"DEPLOYMENT_ENV", SLICE("deployment.environment.name"), settings->deployment_env},
    };
    const size_t count = sizeof(ours) / sizeof(ours[0]);
    char *host = arena_zalloc(&tracing->arena, 1, 256);
    if (host == NULL) {
        return ERR_NO_MEMORY;
    }
    add_attribute(tracing, SLICE("telemetry.sdk.name"), SLICE("onnxd"), 0);
    add_attribute(tracing, SLICE("telemetry.sdk.language"), SLICE("c"), 0);
    add_attribute(tracing, SLICE("telemetry.sdk.version"), version, 0);
    for (size_t i = 0; i < count; i++) {
        if (is_set(settings, ours[i].name)) {
            add_attribute(tracing, ours[i].key, ours[i].value, 0);
        }
    }
    int status = add_listed_attributes(tracing, settings->otel_resource_attributes);
    for (size_t i = 0; i < count; i++) {
        add_attribute(tracing, ours[i].key, ours[i].value, 0);
    }
    if (gethostname(host, 255) == 0) {
        add_attribute(tracing, SLICE("host.name"), slice_from_str(host), 0);
    }
    add_attribute(tracing, SLICE("process.pid"), (struct slice){NULL, 0}, getpid());
    return status;
}

/* ---- the collector ---- */

static bool is_url(struct slice text)
{
    static const struct slice schemes[] = {{"http://", 7}, {"https://", 8}};
    for (size_t i = 0; i < 2; i++) {
        struct slice scheme = schemes[i];
        if (text.len > scheme.len && slice_eq_nocase(slice_head(text, scheme.len), scheme) &&
            text.ptr[scheme.len] != '/') {
            return true;
        }
    }
    return false;
}

/* A collector's port of gRPC would answer nothing of use: whoever wants that is told what is sent. */
static void warn_of_protocol(const struct settings *settings)
{
    struct slice special = settings->otel_exporter_otlp_traces_protocol;
    struct slice wanted = first_set(special, settings->otel_exporter_otlp_protocol);
    if (wanted.len > 0 && !slice_eq(wanted, SLICE("http/protobuf"))) {
        log_warning("%s=%.*s is not spoken: traces are sent by http/protobuf, usually to port 4318",
                    special.len > 0 ? "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL"
                                    : "OTEL_EXPORTER_OTLP_PROTOCOL",
                    SLICE_FMT(wanted));
    }
}

/* What was set for traces is used as it is; the general address gets their path. */
static int make_url(struct tracing *tracing, const struct settings *settings, struct error *error)
{
    struct slice special = settings->otel_exporter_otlp_traces_endpoint;
    struct slice text = first_set(special, settings->otel_exporter_otlp_endpoint);
    if (!is_url(text)) {
        return error_set(error, ERR_CONFIG, "%s: an http:// or https:// URL is wanted",
                         special.len > 0 ? "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"
                                         : "OTEL_EXPORTER_OTLP_ENDPOINT");
    }
    if (special.len == 0 && slice_find(text, '?') < text.len) {
        return error_set(
            error, ERR_CONFIG,
            "OTEL_EXPORTER_OTLP_ENDPOINT: a URL without a query is wanted; one with it "
            "can be OTEL_EXPORTER_OTLP_TRACES_ENDPOINT");
    }
    while (special.len == 0 && text.ptr[text.len - 1] == '/') {
        text.len--;
    }
    bool appends = special.len == 0 && !slice_ends_with_nocase(text, TRACES_PATH);
    char *url = arena_alloc(&tracing->arena, text.len + TRACES_PATH.len + 1);
    if (url == NULL) {
        return no_memory(error);
    }
    snprintf(url, text.len + TRACES_PATH.len + 1, "%.*s%s", SLICE_FMT(text),
             appends ? TRACES_PATH.ptr : "");
    tracing->http_options.url = url;
    return ERR_OK;
}

static bool is_header_text(struct slice text)
{
    for (size_t i = 0; i < text.len; i++) {
        if ((unsigned char)text.ptr[i] < 0x20 || text.ptr[i] == 0x7f) {
            return false;
        }
    }
    return true;
}

/* Values may be secrets: they are in no message. */
static int make_headers(struct tracing *tracing, const struct settings *settings,
                        struct error *error)
{
    struct slice special = settings->otel_exporter_otlp_traces_headers;
    struct slice list = first_set(special, settings->otel_exporter_otlp_headers);
    struct slice key;
    struct slice value;
    size_t count = 0;
    while (next_pair(&list, &key, &value)) {
        struct slice text = decode_percent(&tracing->arena, value);
        size_t size = key.len + text.len + 3;
        char *line = arena_alloc(&tracing->arena, size);
        if (text.ptr == NULL || line == NULL) {
            return no_memory(error);
        }
        if (!is_header_text(key) || !is_header_text(text) || count == HEADERS_MAX) {
            return error_set(error, ERR_CONFIG, "%s: these cannot be sent as headers",
                             special.len > 0 ? "OTEL_EXPORTER_OTLP_TRACES_HEADERS"
                                             : "OTEL_EXPORTER_OTLP_HEADERS");
        }
        /* To libcurl "Name:" takes a header away, "Name;" is one without a value. */
        snprintf(line, size, text.len == 0 ? "%.*s;" : "%.*s: %.*s", SLICE_FMT(key),
                 SLICE_FMT(text));
        tracing->headers[count++] = line;
    }
    return ERR_OK;
}

static const char *user_agent(struct tracing *tracing, struct slice version)
{
    size_t size = version.len + 32;
    char *text = arena_alloc(&tracing->arena, size);
    if (text != NULL) {
        snprintf(text, size, "OTel-OTLP-Exporter-onnxd/%.*s", SLICE_FMT(version));
    }
    return text;
}

static int describe_collector(struct tracing *tracing, const struct settings *settings,
                              struct slice version, struct error *error)
{
    struct slice ca_file = first_set(settings->otel_exporter_otlp_traces_certificate,
                                     settings->otel_exporter_otlp_certificate);
    int status = make_url(tracing, settings, error);
    if (status == ERR_OK) {
        status = make_headers(tracing, settings, error);
    }
    struct otlp_http_options *options = &tracing->http_options;
    options->headers = tracing->headers;
    options->user_agent = user_agent(tracing, version);
    options->ca_file = ca_file.len > 0 ? arena_copy(&tracing->arena, ca_file).ptr : NULL;
    options->is_gzip = is_gzip(settings);
    options->stop_fd = tracing->stop_fd;
    options->give_up_ns = &tracing->give_up_ns;
    options->clock_ns = clock_monotonic_ns;
    bool lacks = options->user_agent == NULL || (ca_file.len > 0 && options->ca_file == NULL);
    return status == ERR_OK && lacks ? no_memory(error) : status;
}

/* ---- the exporter ---- */

static void log_problem(const char *text)
{
    log_warning("%s", text);
}

static int start_exporter(struct tracing *tracing, const struct settings *settings,
                          struct slice version, struct error *error)
{
    unsigned max_spans = settings->otel_bsp_max_queue_size;
    unsigned batch_spans = settings->otel_bsp_max_export_batch_size;
    struct otlp_options options = {
        .queue = tracing->queue,
        .wake_fd = tracing->wake_fd,
        .stop_fd = tracing->stop_fd,
        .give_up_ns = &tracing->give_up_ns,
        .post = otlp_http_post,
        .transport = tracing->http,
        .is_gzip = tracing->http_options.is_gzip,
        .attempt_ns = attempt_ns(settings),
        .batch_ns = settings->otel_bsp_export_timeout * CLOCK_NS_PER_MS,
        .schedule_ns = settings->otel_bsp_schedule_delay * CLOCK_NS_PER_MS,
        .batch_spans = batch_spans < max_spans ? batch_spans : max_spans,
        .attributes = tracing->attributes,
        .attribute_count = tracing->attribute_count,
        .version = version,
        .clock_ns = clock_monotonic_ns,
        .wall_ns = clock_realtime_ns,
        .on_problem = log_problem,
    };
    return otlp_start(&options, &tracing->otlp, error);
}

/* Without what may be secret: user and query. */
static void log_address(const struct tracing *tracing, const struct settings *settings)
{
    struct slice url = slice_from_str(tracing->http_options.url);
    url = slice_head(url, slice_find(url, '?'));
    size_t scheme = slice_find(url, ':') + 3;
    struct slice rest = slice_tail(url, scheme);
    struct slice authority = slice_head(rest, slice_find(rest, '/'));
    size_t at = slice_find(authority, '@');
    log_info("traces go to %.*s%.*s (%s)", (int)scheme, url.ptr,
             SLICE_FMT(slice_tail(rest, at < authority.len ? at + 1 : 0)),
             settings_enum_name(settings, "OTEL_TRACES_SAMPLER"));
}

static int open_files(struct tracing *tracing, struct error *error)
{
    tracing->wake_fd = sys_eventfd();
    tracing->stop_fd = sys_eventfd();
    return tracing->wake_fd < 0 || tracing->stop_fd < 0
               ? error_set(error, ERR_INTERNAL, "no descriptors for tracing")
               : ERR_OK;
}

/* Without libcurl the service does its work all the same. */
static int export_spans(struct tracing *tracing, const struct settings *settings,
                        struct slice version, unsigned threads, struct error *error)
{
    int status = open_files(tracing, error);
    if (status == ERR_OK) {
        status = describe_collector(tracing, settings, version, error);
    }
    if (status != ERR_OK) {
        return status;
    }
    if (otlp_http_new(&tracing->http_options, &tracing->http, error) != ERR_OK) {
        log_error("%s; no traces are sent", error->text);
        return ERR_OK;
    }
    if (describe_service(tracing, settings, version) != ERR_OK) {
        return no_memory(error);
    }
    unsigned batch_spans = settings->otel_bsp_max_export_batch_size;
    unsigned max_spans = settings->otel_bsp_max_queue_size;
    status = span_queue_new(threads, max_spans, batch_spans < max_spans ? batch_spans : max_spans,
                            tracing->wake_fd, &tracing->queue, error);
    if (status == ERR_OK) {
        status = start_exporter(tracing, settings, version, error);
    }
    if (status == ERR_OK) {
        warn_of_protocol(settings);
        log_address(tracing, settings);
    }
    return status;
}

/* ---- life ---- */

int tracing_new(const struct settings *settings, struct slice version, unsigned threads,
                struct tracing **ret_tracing, struct error *error)
{
    *ret_tracing = NULL;
    if (!settings->otel_enabled || settings->otel_sdk_disabled) {
        return ERR_OK;
    }
    struct tracing *tracing = mem_zalloc(1, sizeof(*tracing));
    if (tracing == NULL) {
        return no_memory(error);
    }
    arena_init(&tracing->arena, ARENA_BLOCK_BYTES, ARENA_MAX_BYTES);
    tracing->wake_fd = tracing->stop_fd = -1;
    tracing->sampler = sampler_of(settings);
    int status = ERR_OK;
    if (first_set(settings->otel_exporter_otlp_traces_endpoint,
                  settings->otel_exporter_otlp_endpoint)
            .len > 0) {
        status = export_spans(tracing, settings, version, threads, error);
    }
    if (status != ERR_OK) {
        tracing_free(tracing, 0);
        return status;
    }
    *ret_tracing = tracing;
    return ERR_OK;
}

static void close_file(int fd)
{
    if (fd >= 0) {
        sys_close(fd);
    }
}

void tracing_free(struct tracing *tracing, uint64_t end_ns)
{
    if (tracing == NULL) {
        return;
    }
    otlp_stop(tracing->otlp, end_ns);
    span_queue_free(tracing->queue);
    otlp_http_free(tracing->http);
    close_file(tracing->wake_fd);
    close_file(tracing->stop_fd);
    arena_done(&tracing->arena);
    mem_free(tracing);
}

struct span_ring *tracing_ring(struct tracing *tracing, unsigned thread)
{
    return tracing == NULL || tracing->otlp == NULL ? NULL
                                                    : span_queue_ring(tracing->queue, thread);
}

const struct sampler *tracing_sampler(const struct tracing *tracing)
{
    return &tracing->sampler;
}

void tracing_measure(const struct tracing *tracing, struct metrics *metrics)
{
    if (tracing != NULL && tracing->otlp != NULL) {
        metrics_set(metrics, METRIC_SPANS_EXPORTED, otlp_exported(tracing->otlp));
        metrics_set(metrics, METRIC_SPANS_DROPPED,
                    span_queue_dropped(tracing->queue) + otlp_given_up(tracing->otlp));
    }
}
