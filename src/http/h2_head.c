/*
 * From fields to a request. Names and values are copied to the arena as they come; what takes more
 * than one field to decide waits for the end of the head.
 */
#include "http/h2_head.h"

#include "base/num.h"
#include "http/h1.h"
#include "http/h1_guard.h"

#define FIRST_FIELD_CAPACITY 16
/* RFC 9113 section 6.5.2: what a field counts on top of its name and value. */
#define FIELD_OVERHEAD_BYTES 32

static struct slice copy(struct h2_head *head, struct slice text)
{
    struct slice kept = arena_copy(head->arena, text);
    if (kept.ptr == NULL) {
        head->is_out_of_memory = true;
        return SLICE("");
    }
    return kept;
}

static void push_field(struct h2_head *head, struct slice name, struct slice value)
{
    struct http_request *request = &head->request;
    if (request->field_count == head->field_capacity) {
        size_t capacity =
            head->field_capacity == 0 ? FIRST_FIELD_CAPACITY : head->field_capacity * 2;
        struct http_field *fields =
            arena_realloc(head->arena, request->fields, head->field_capacity * sizeof(*fields),
                          capacity * sizeof(*fields));
        if (fields == NULL) {
            head->is_out_of_memory = true;
            return;
        }
        request->fields = fields;
        head->field_capacity = capacity;
    }
    request->fields[request->field_count++] =
        (struct http_field){copy(head, name), copy(head, value)};
}

/*
 * :authority becomes Host, as in HTTP/1.1; a Host field beside it has to say the same (RFC 9113
 * section 8.3.1) and is not kept.
 */
static void add_host(struct h2_head *head, struct slice value)
{
    if (head->has_host) {
        struct slice host = http_request_field(&head->request, SLICE("host"));
        head->is_malformed = head->is_malformed || !slice_eq_nocase(host, value);
        return;
    }
    head->has_host = true;
    head->is_malformed = head->is_malformed || !h1_guard_is_host(value);
    push_field(head, SLICE("host"), value);
}

static void add_length(struct h2_head *head, struct slice value)
{
    uint64_t length;
    if (head->has_length || value.len == 0 || !num_parse_u64(value, &length)) {
        head->is_malformed = true;
        return;
    }
    head->has_length = true;
    head->request.content_length = length;
}

static void add_pseudo(struct h2_head *head, struct slice name, struct slice value)
{
    struct http_request *request = &head->request;
    if (slice_eq(name, SLICE(":authority"))) {
        add_host(head, value);
    } else if (slice_eq(name, SLICE(":method"))) {
        request->method = copy(head, value);
    } else if (slice_eq(name, SLICE(":path"))) {
        request->target = copy(head, value);
    } else if (slice_eq(name, SLICE(":scheme"))) {
        head->scheme = copy(head, value);
    } else {
        head->is_malformed = true;
    }
}

static void add_regular(struct h2_head *head, struct slice name, struct slice value)
{
    if (slice_eq(name, SLICE("host"))) {
        add_host(head, value);
        return;
    }
    if (slice_eq(name, SLICE("content-length"))) {
        add_length(head, value);
    } else if (slice_eq(name, SLICE("expect"))) {
        head->is_expecting = true;
    }
    push_field(head, name, value);
}

static bool count(struct h2_head *head, const struct h2_head_limits *limits, struct slice name,
                  struct slice value)
{
    head->bytes += name.len + value.len + FIELD_OVERHEAD_BYTES;
    head->field_count += name.len > 0 && name.ptr[0] != ':';
    head->is_too_large = head->is_too_large || head->bytes > limits->max_bytes ||
                         head->field_count > limits->max_fields;
    return head->bytes <= limits->max_bytes * H2_HEAD_FLOOD_FACTOR;
}

bool h2_head_add(struct h2_head *head, const struct h2_head_limits *limits, struct slice name,
                 struct slice value)
{
    bool bearable = count(head, limits, name, value);
    if (head->is_too_large || head->is_out_of_memory) {
        return bearable;
    }
    if (name.len > 0 && name.ptr[0] == ':') {
        add_pseudo(head, name, value);
    } else {
        add_regular(head, name, value);
    }
    return bearable;
}

bool h2_head_add_trailer(struct h2_head *head, const struct h2_head_limits *limits,
                         struct slice name, struct slice value)
{
    return count(head, limits, name, value);
}

/* RFC 9113 section 8.2.3: clients may split the Cookie field; others get to see one. */
static void join_cookies(struct h2_head *head)
{
    if (http_request_join(&head->request, SLICE("cookie"), SLICE("; "), head->arena) != ERR_OK) {
        head->is_out_of_memory = true;
    }
}

/* RFC 9110 section 10.1.1. */
static int judge_expect(struct h2_head *head, struct error *error)
{
    struct slice expect = http_request_field(&head->request, SLICE("expect"));
    if (!slice_eq_nocase(expect, SLICE("100-continue"))) {
        error_set(error, ERR_INVALID, "Expect is other than 100-continue");
        return 417;
    }
    head->request.expect_continue = head->request.content_length > 0;
    return 0;
}

static int judge_line(struct http_request *request, struct slice scheme, struct error *error)
{
    if (!h1_guard_is_token(request->method)) {
        return H2_HEAD_MALFORMED;
    }
    if (slice_eq(request->method, SLICE("CONNECT"))) {
        error_set(error, ERR_INVALID, "CONNECT is not supported, this is no proxy");
        return 501;
    }
    if (!slice_eq_nocase(scheme, SLICE("http")) && !slice_eq_nocase(scheme, SLICE("https"))) {
        error_set(error, ERR_INVALID, "the scheme is neither http nor https");
        return 400;
    }
    struct h1_request_line parts = {.method = request->method, .target = request->target};
    int status = h1_guard_target(&parts, error);
    if (status == 0) {
        request->path = parts.path;
        request->query = parts.query;
    }
    return status;
}

int h2_head_finish(struct h2_head *head, bool ended, struct error *error)
{
    struct http_request *request = &head->request;
    if (head->is_malformed) {
        return H2_HEAD_MALFORMED;
    }
    if (head->is_too_large) {
        error_set(error, ERR_INVALID, "the head has too many fields or is too long");
        return 431;
    }
    join_cookies(head);
    if (head->is_out_of_memory) {
        error_set(error, ERR_NO_MEMORY, "no memory to read it into");
        return error_http_status(ERR_NO_MEMORY);
    }
    if (!head->has_length) {
        request->content_length = ended ? 0 : HTTP_LENGTH_UNKNOWN;
    }
    int status = judge_line(request, head->scheme, error);
    if (status == 0 && head->is_expecting) {
        status = judge_expect(head, error);
    }
    return status;
}
