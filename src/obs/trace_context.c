#include "obs/trace_context.h"

#include "base/hex.h"

/* traceparent = version "-" trace-id "-" parent-id "-" trace-flags (section 3.2.2). */
#define VERSION_AT 0
#define TRACE_ID_AT 3
#define SPAN_ID_AT 36
#define FLAGS_AT 53
#define TRACEPARENT_BYTES 55
#define VERSION_INVALID 0xff

/* Section 3.3.1.3: keys. */
#define SIMPLE_KEY_MAX 256
#define TENANT_MAX 241
#define SYSTEM_MAX 14
#define VALUE_MAX 256
#define LONG_MEMBER_BYTES 128

/* ---- traceparent ---- */

/* Two digits a byte; false where one of them is no lower-case digit. */
static bool read_bytes(const char *text, uint8_t *bytes, size_t size)
{
    int bad = 0;
    for (size_t i = 0; i < size; i++) {
        int high = hex_digit(text[2 * i]);
        int low = hex_digit(text[2 * i + 1]);
        bad |= high | low; /* negative when one of them is */
        bytes[i] = (uint8_t)((unsigned)high << 4 | (unsigned)low);
    }
    return bad >= 0;
}

static bool is_zero(const uint8_t *bytes, size_t size)
{
    uint8_t any = 0;
    for (size_t i = 0; i < size; i++) {
        any |= bytes[i];
    }
    return any == 0;
}

static bool has_dashes(const char *text)
{
    return text[TRACE_ID_AT - 1] == '-' && text[SPAN_ID_AT - 1] == '-' && text[FLAGS_AT - 1] == '-';
}

static bool has_right_length(struct slice text, uint8_t version)
{
    return version == 0 ? text.len == TRACEPARENT_BYTES
                        : text.len == TRACEPARENT_BYTES || text.ptr[TRACEPARENT_BYTES] == '-';
}

bool trace_context_parse(struct slice traceparent, struct span_context *ret_context)
{
    struct span_context context = {.is_valid = true};
    uint8_t version;
    uint8_t flags;
    const char *text = traceparent.ptr;
    if (traceparent.len < TRACEPARENT_BYTES || !has_dashes(text) ||
        !read_bytes(text + VERSION_AT, &version, 1) || version == VERSION_INVALID ||
        !has_right_length(traceparent, version) ||
        !read_bytes(text + TRACE_ID_AT, context.trace_id.bytes, TRACE_ID_BYTES) ||
        !read_bytes(text + SPAN_ID_AT, context.span_id.bytes, SPAN_ID_BYTES) ||
        !read_bytes(text + FLAGS_AT, &flags, 1) ||
        is_zero(context.trace_id.bytes, TRACE_ID_BYTES) ||
        is_zero(context.span_id.bytes, SPAN_ID_BYTES)) {
        return false;
    }
    context.is_sampled = (flags & TRACE_FLAG_SAMPLED) != 0;
    *ret_context = context;
    return true;
}

/* ---- tracestate ---- */

static bool is_lower(char c)
{
    return c >= 'a' && c <= 'z';
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* The characters of a part of a key, at most `max`; its first one was looked at. */
static bool is_key_part(struct slice part, size_t max)
{
    for (size_t i = 0; i < part.len; i++) {
        char c = part.ptr[i];
        if (!is_lower(c) && !is_digit(c) && c != '_' && c != '-' && c != '*' && c != '/') {
            return false;
        }
    }
    return part.len > 0 && part.len <= max;
}

/* key = simple-key / tenant-id "@" system-id */
static bool is_key(struct slice key)
{
    size_t at = slice_find(key, '@');
    if (key.len == 0 || at == key.len) {
        return key.len > 0 && is_lower(key.ptr[0]) && is_key_part(key, SIMPLE_KEY_MAX);
    }
    struct slice system = slice_tail(key, at + 1);
    return system.len > 0 && is_lower(system.ptr[0]) && is_key_part(system, SYSTEM_MAX) && at > 0 &&
           (is_lower(key.ptr[0]) || is_digit(key.ptr[0])) &&
           is_key_part(slice_head(key, at), TENANT_MAX);
}

/* value = 0*255(chr) nblk-chr; a comma cannot be there, and no blank at the end either. */
static bool is_value(struct slice value)
{
    for (size_t i = 0; i < value.len; i++) {
        char c = value.ptr[i];
        if (c < 0x20 || c > 0x7e || c == '=') {
            return false;
        }
    }
    return value.len > 0 && value.len <= VALUE_MAX;
}

static struct slice key_of(struct slice member)
{
    return slice_head(member, slice_find(member, '='));
}

static bool is_known(const struct trace_state *state, struct slice key)
{
    for (unsigned i = 0; i < state->count; i++) {
        if (slice_eq(key_of(state->members[i]), key)) {
            return true;
        }
    }
    return false;
}

/* Empty members are fine, and are none (section 3.3.1.2). */
static void add_member(struct trace_state *state, struct slice member)
{
    if (member.len == 0) {
        return;
    }
    struct slice key = key_of(member);
    if (state->count == TRACE_STATE_MEMBERS_MAX || key.len == member.len || !is_key(key) ||
        !is_value(slice_tail(member, key.len + 1)) || is_known(state, key)) {
        state->is_broken = true;
        return;
    }
    state->members[state->count++] = member;
}

void trace_state_add(struct trace_state *state, struct slice value)
{
    struct slice rest = value;
    while (rest.ptr != NULL && !state->is_broken) {
        add_member(state, slice_trim(slice_cut(&rest, ',')));
    }
}

static size_t total_bytes(const struct trace_state *state)
{
    size_t total = 0;
    for (unsigned i = 0; i < state->count; i++) {
        total += state->members[i].len + (i > 0);
    }
    return total;
}

static void drop_long_members(struct trace_state *state)
{
    unsigned kept = 0;
    for (unsigned i = 0; i < state->count; i++) {
        if (state->members[i].len <= LONG_MEMBER_BYTES) {
            state->members[kept++] = state->members[i];
        }
    }
    state->count = kept;
}

size_t trace_state_write(struct trace_state *state, char text[TRACE_STATE_MAX_BYTES])
{
    if (state->is_broken) {
        return 0;
    }
    if (total_bytes(state) > TRACE_STATE_MAX_BYTES) {
        drop_long_members(state);
    }
    while (total_bytes(state) > TRACE_STATE_MAX_BYTES) {
        state->count--;
    }
    size_t len = 0;
    for (unsigned i = 0; i < state->count; i++) {
        if (i > 0) {
            text[len++] = ',';
        }
        memcpy(text + len, state->members[i].ptr, state->members[i].len);
        len += state->members[i].len;
    }
    return len;
}

/* ---- ids ---- */

static void put_random(struct random *random, uint8_t bytes[8])
{
    uint64_t bits;
    do {
        bits = random_next(random);
    } while (bits == 0);
    memcpy(bytes, &bits, sizeof(bits));
}

struct trace_id trace_id_make(struct random *random)
{
    struct trace_id id;
    put_random(random, id.bytes);
    put_random(random, id.bytes + 8);
    return id;
}

struct span_id span_id_make(struct random *random)
{
    struct span_id id;
    put_random(random, id.bytes);
    return id;
}

void trace_id_print(const struct trace_id *id, char text[TRACE_ID_DIGITS])
{
    hex_put_bytes(text, id->bytes, TRACE_ID_BYTES);
}

void span_id_print(const struct span_id *id, char text[SPAN_ID_DIGITS])
{
    hex_put_bytes(text, id->bytes, SPAN_ID_BYTES);
}

uint64_t trace_id_low(const struct trace_id *id)
{
    uint64_t low = 0;
    for (size_t i = TRACE_ID_BYTES - 8; i < TRACE_ID_BYTES; i++) {
        low = low << 8 | id->bytes[i];
    }
    return low;
}
