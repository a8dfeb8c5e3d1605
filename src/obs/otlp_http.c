#include "obs/otlp_http.h"

#include <curl/curl.h>
#include <dlfcn.h>
#include <stdio.h>
#include <sys/socket.h>

#include "base/bytes.h"
#include "base/check.h"
#include "base/clock.h"
#include "base/mem.h"
#include "obs/otlp_retry.h"

#define POLL_MAX_MS 60000
/* No collector means more than that. */
#define RETRY_AFTER_MAX_S 3600

/* ---- the library ---- */

/* Its two builds, by the TLS library behind them. */
static const char *const library_names[] = {"libcurl.so.4", "libcurl-gnutls.so.4"};

struct library {
    CURLcode (*global_init)(long flags);
    CURL *(*easy_init)(void);
    CURLcode (*easy_setopt)(CURL *easy, CURLoption option, ...);
    CURLcode (*easy_getinfo)(CURL *easy, CURLINFO info, ...);
    void (*easy_cleanup)(CURL *easy);
    const char *(*easy_strerror)(CURLcode code);
    CURLM *(*multi_init)(void);
    CURLMcode (*multi_add_handle)(CURLM *multi, CURL *easy);
    CURLMcode (*multi_remove_handle)(CURLM *multi, CURL *easy);
    CURLMcode (*multi_perform)(CURLM *multi, int *running);
    CURLMcode (*multi_poll)(CURLM *multi, struct curl_waitfd fds[], unsigned count, int timeout_ms,
                            int *ready);
    CURLMsg *(*multi_info_read)(CURLM *multi, int *left);
    CURLMcode (*multi_cleanup)(CURLM *multi);
    struct curl_slist *(*slist_append)(struct curl_slist *list, const char *text);
    void (*slist_free_all)(struct curl_slist *list);
};

static const struct {
    const char *name;
    size_t at;
} symbols[] = {
    {"curl_global_init", offsetof(struct library, global_init)},
    {"curl_easy_init", offsetof(struct library, easy_init)},
    {"curl_easy_setopt", offsetof(struct library, easy_setopt)},
    {"curl_easy_getinfo", offsetof(struct library, easy_getinfo)},
    {"curl_easy_cleanup", offsetof(struct library, easy_cleanup)},
    {"curl_easy_strerror", offsetof(struct library, easy_strerror)},
    {"curl_multi_init", offsetof(struct library, multi_init)},
    {"curl_multi_add_handle", offsetof(struct library, multi_add_handle)},
    {"curl_multi_remove_handle", offsetof(struct library, multi_remove_handle)},
    {"curl_multi_perform", offsetof(struct library, multi_perform)},
    {"curl_multi_poll", offsetof(struct library, multi_poll)},
    {"curl_multi_info_read", offsetof(struct library, multi_info_read)},
    {"curl_multi_cleanup", offsetof(struct library, multi_cleanup)},
    {"curl_slist_append", offsetof(struct library, slist_append)},
    {"curl_slist_free_all", offsetof(struct library, slist_free_all)},
};

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

struct otlp_http {
    struct library curl;
    const struct otlp_http_options *options;
    CURL *easy;
    CURLM *multi;
    struct curl_slist *headers;
    struct bytes reply;
    char problem[CURL_ERROR_SIZE]; /* in more words than a result's own; or empty */
    bool stopping;                 /* stop_fd was seen: give_up_ns holds */
};

/* It stays loaded for the life of the process: it has handlers that run at exit. */
static int load_library(struct library *library, struct error *error)
{
    void *handle = NULL;
    for (size_t i = 0; i < COUNT(library_names) && handle == NULL; i++) {
        handle = dlopen(library_names[i], RTLD_NOW | RTLD_LOCAL);
    }
    if (handle == NULL) {
        return error_set(error, ERR_CONFIG, "traces need libcurl: neither %s nor %s can be loaded",
                         library_names[0], library_names[1]);
    }
    for (size_t i = 0; i < COUNT(symbols); i++) {
        void *symbol = dlsym(handle, symbols[i].name);
        if (symbol == NULL) {
            return error_set(error, ERR_CONFIG, "traces need a libcurl with %s", symbols[i].name);
        }
        memcpy((char *)library + symbols[i].at, &symbol, sizeof(symbol));
    }
    return library->global_init(CURL_GLOBAL_DEFAULT) == CURLE_OK
               ? ERR_OK
               : error_set(error, ERR_CONFIG, "libcurl cannot be used");
}

/* ---- its callbacks ---- */

static size_t on_reply(char *bytes, size_t size, size_t count, void *user)
{
    struct otlp_http *http = user;
    size_t len = size * count; /* size is 1 */
    return bytes_put(&http->reply, slice_make(bytes, len)) == ERR_OK ? len : 0;
}

/* As libcurl does it, but no process that is started later inherits the socket. */
static curl_socket_t open_socket(void *user, curlsocktype purpose, struct curl_sockaddr *address)
{
    (void)user;
    (void)purpose;
    return socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol);
}

/* ---- life ---- */

static int append_header(struct otlp_http *http, const char *text)
{
    struct curl_slist *list = http->curl.slist_append(http->headers, text);
    http->headers = list == NULL ? http->headers : list;
    return list == NULL ? ERR_NO_MEMORY : ERR_OK;
}

static int make_headers(struct otlp_http *http)
{
    int status = append_header(http, "Content-Type: application/x-protobuf");
    if (status == ERR_OK && http->options->is_gzip) {
        status = append_header(http, "Content-Encoding: gzip");
    }
    if (status == ERR_OK) {
        status = append_header(http, "Expect:"); /* no waiting for 100 */
    }
    for (const char *const *at = http->options->headers; status == ERR_OK && *at != NULL; at++) {
        status = append_header(http, *at);
    }
    return status;
}

static int set_options(struct otlp_http *http, struct error *error)
{
    const struct otlp_http_options *options = http->options;
    CURL *easy = http->easy;
    const CURLcode codes[] = {
        http->curl.easy_setopt(easy, CURLOPT_URL, options->url),
        http->curl.easy_setopt(easy, CURLOPT_FOLLOWLOCATION, 0L),
        http->curl.easy_setopt(easy, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1),
        http->curl.easy_setopt(easy, CURLOPT_HTTPHEADER, http->headers),
        http->curl.easy_setopt(easy, CURLOPT_USERAGENT, options->user_agent),
        http->curl.easy_setopt(easy, CURLOPT_POST, 1L),
        http->curl.easy_setopt(easy, CURLOPT_NOSIGNAL, 1L),
        http->curl.easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_reply),
        http->curl.easy_setopt(easy, CURLOPT_WRITEDATA, http),
        http->curl.easy_setopt(easy, CURLOPT_OPENSOCKETFUNCTION, open_socket),
        http->curl.easy_setopt(easy, CURLOPT_ERRORBUFFER, http->problem),
        options->ca_file == NULL ? CURLE_OK
                                 : http->curl.easy_setopt(easy, CURLOPT_CAINFO, options->ca_file),
    };
    for (size_t i = 0; i < COUNT(codes); i++) {
        if (codes[i] != CURLE_OK) {
            return error_set(error, ERR_CONFIG, "libcurl refuses a setting of traces: %s",
                             http->curl.easy_strerror(codes[i]));
        }
    }
    /* Wishes. Before 7.85 libcurl lacks this one; no other protocol is in the URL, and redirects are none. */
    (void)http->curl.easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
    /* Not to wait for a resolver that hangs when the process ends. */
    (void)http->curl.easy_setopt(easy, CURLOPT_QUICK_EXIT, 1L);
    return ERR_OK;
}

static int set_up(struct otlp_http *http, struct error *error)
{
    int status = load_library(&http->curl, error);
    if (status != ERR_OK) {
        return status;
    }
    http->easy = http->curl.easy_init();
    http->multi = http->curl.multi_init();
    if (http->easy == NULL || http->multi == NULL || make_headers(http) != ERR_OK) {
        return error_set(error, ERR_NO_MEMORY, "no memory for a connection to the collector");
    }
    return set_options(http, error);
}

int otlp_http_new(const struct otlp_http_options *options, struct otlp_http **ret_http,
                  struct error *error)
{
    struct otlp_http *http = mem_zalloc(1, sizeof(*http));
    if (http == NULL) {
        return error_set(error, ERR_NO_MEMORY, "no memory for a connection to the collector");
    }
    http->options = options;
    bytes_init(&http->reply, OTLP_HTTP_REPLY_MAX_BYTES);
    int status = set_up(http, error);
    if (status != ERR_OK) {
        otlp_http_free(http);
        return status;
    }
    *ret_http = http;
    return ERR_OK;
}

void otlp_http_free(struct otlp_http *http)
{
    if (http == NULL) {
        return;
    }
    if (http->multi != NULL) {
        (void)http->curl.multi_cleanup(http->multi);
    }
    if (http->easy != NULL) {
        http->curl.easy_cleanup(http->easy);
    }
    if (http->headers != NULL) {
        http->curl.slist_free_all(http->headers);
    }
    bytes_done(&http->reply);
    mem_free(http);
}

/* ---- one request ---- */

static uint64_t end_now(const struct otlp_http *http, uint64_t end_ns)
{
    uint64_t give_up_ns = http->stopping ? atomic_load(http->options->give_up_ns) : UINT64_MAX;
    return end_ns < give_up_ns ? end_ns : give_up_ns;
}

static int poll_ms(uint64_t left_ns)
{
    uint64_t ms = left_ns / CLOCK_NS_PER_MS + 1;
    return ms < POLL_MAX_MS ? (int)ms : POLL_MAX_MS;
}

/* What libcurl said of the transfer, once it is over. */
static bool is_over(struct otlp_http *http, CURLcode *ret_result)
{
    int left;
    CURLMsg *message = http->curl.multi_info_read(http->multi, &left);
    if (message == NULL || message->msg != CURLMSG_DONE) {
        return false;
    }
    *ret_result = message->data.result;
    return true;
}

static CURLcode transfer(struct otlp_http *http, uint64_t end_ns)
{
    CURLcode result = CURLE_FAILED_INIT;
    for (;;) {
        int running = 0;
        if (http->curl.multi_perform(http->multi, &running) != CURLM_OK) {
            return CURLE_FAILED_INIT;
        }
        if (is_over(http, &result)) {
            return result;
        }
        uint64_t now_ns = http->options->clock_ns();
        uint64_t until_ns = end_now(http, end_ns);
        if (now_ns >= until_ns) {
            return CURLE_OPERATION_TIMEDOUT;
        }
        struct curl_waitfd stop = {.fd = http->options->stop_fd, .events = CURL_WAIT_POLLIN};
        if (http->curl.multi_poll(http->multi, &stop, http->stopping ? 0 : 1,
                                  poll_ms(until_ns - now_ns), NULL) != CURLM_OK) {
            return CURLE_FAILED_INIT;
        }
        http->stopping = http->stopping || (stop.revents & CURL_WAIT_POLLIN) != 0;
    }
}

static void read_reply(struct otlp_http *http, CURLcode result, struct otlp_reply *reply)
{
    long status = 0;
    curl_off_t retry_after_s = 0;
    (void)http->curl.easy_getinfo(http->easy, CURLINFO_RESPONSE_CODE, &status);
    (void)http->curl.easy_getinfo(http->easy, CURLINFO_RETRY_AFTER, &retry_after_s);
    if (status >= 200) { /* the collector has judged, even if the rest was lost */
        reply->status = (int)status;
        reply->body = result == CURLE_OK ? bytes_slice(&http->reply) : SLICE("");
    }
    if (retry_after_s > 0) {
        retry_after_s = retry_after_s < RETRY_AFTER_MAX_S ? retry_after_s : RETRY_AFTER_MAX_S;
        reply->retry_after_ns = (uint64_t)retry_after_s * CLOCK_NS_PER_S;
    }
    snprintf(reply->problem, sizeof(reply->problem), "%.*s", (int)sizeof(reply->problem) - 1,
             http->problem[0] != '\0' ? http->problem : http->curl.easy_strerror(result));
}

void otlp_http_post(void *transport, struct slice body, uint64_t end_ns,
                    struct otlp_reply *ret_reply)
{
    struct otlp_http *http = transport;
    *ret_reply = (struct otlp_reply){.status = OTLP_NO_STATUS, .body = SLICE("")};
    bytes_reset(&http->reply, http->reply.capacity);
    http->problem[0] = '\0';
    CURLcode result =
        http->curl.easy_setopt(http->easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)body.len);
    if (result == CURLE_OK) {
        result = http->curl.easy_setopt(http->easy, CURLOPT_POSTFIELDS, body.ptr);
    }
    if (result == CURLE_OK && http->curl.multi_add_handle(http->multi, http->easy) == CURLM_OK) {
        result = transfer(http, end_ns);
        read_reply(http, result, ret_reply);
        (void)http->curl.multi_remove_handle(http->multi, http->easy);
    }
    if (ret_reply->status == OTLP_NO_STATUS && ret_reply->problem[0] == '\0') {
        snprintf(ret_reply->problem, sizeof(ret_reply->problem), "libcurl cannot send");
    }
}
