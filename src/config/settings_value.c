/*
 * Text to value, one small function a type, and the sentence that says what the type accepts. The
 * table gives the ranges and names. Nothing here knows where a value came from: the caller puts
 * that before the message.
 */
#include "config/settings_value.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/num.h"
#include "config/settings_map.h"

#define SHOWN_BYTES_MAX 80 /* of a refused value, in the message */
#define SECONDS_MAX 1e9    /* far over every range, and safe to turn into nanoseconds */

typedef int parse_fn(const struct setting *setting, struct slice text, struct arena *arena,
                     void *member);

static bool is_space(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

/* Space around a value is no part of it, whatever the shell or the YAML file made of it. */
static struct slice bare(struct slice text)
{
    while (text.len > 0 && is_space(text.ptr[0])) {
        text = slice_tail(text, 1);
    }
    while (text.len > 0 && is_space(text.ptr[text.len - 1])) {
        text.len--;
    }
    return text;
}

static int parse_bool(const struct setting *setting, struct slice text, struct arena *arena,
                      void *member)
{
    static const char *const words[] = {"0", "false", "no",  "n", "off",
                                        "1", "true",  "yes", "y", "on"};
    (void)setting;
    (void)arena;
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
        if (slice_eq_nocase(text, slice_from_str(words[i]))) {
            *(bool *)member = i >= 5;
            return ERR_OK;
        }
    }
    return ERR_CONFIG;
}

static int parse_port(const struct setting *setting, struct slice text, struct arena *arena,
                      void *member)
{
    uint64_t value;
    (void)setting;
    (void)arena;
    if (!num_parse_u64(text, &value) || value > UINT16_MAX) {
        return ERR_CONFIG;
    }
    *(uint16_t *)member = (uint16_t)value;
    return ERR_OK;
}

static int parse_count(const struct setting *setting, struct slice text, struct arena *arena,
                       void *member)
{
    uint64_t value;
    (void)arena;
    if (!num_parse_u64(text, &value) || value < setting->min || value > setting->max) {
        return ERR_CONFIG;
    }
    *(unsigned *)member = (unsigned)value; /* every max of the table fits */
    return ERR_OK;
}

static unsigned take_byte_unit(struct slice *text)
{
    static const struct {
        struct slice suffix;
        unsigned shift;
    } units[] = {{SLICE("kib"), 10}, {SLICE("mib"), 20}, {SLICE("gib"), 30}};
    for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
        if (slice_ends_with_nocase(*text, units[i].suffix)) {
            text->len -= units[i].suffix.len;
            *text = bare(*text);
            return units[i].shift;
        }
    }
    return 0;
}

static int parse_bytes(const struct setting *setting, struct slice text, struct arena *arena,
                       void *member)
{
    uint64_t value;
    (void)arena;
    unsigned shift = take_byte_unit(&text);
    if (!num_parse_u64(text, &value) || value > setting->max >> shift ||
        value << shift < setting->min) {
        return ERR_CONFIG;
    }
    *(uint64_t *)member = value << shift;
    return ERR_OK;
}

/* False for anything but a finite number that is not negative. */
static bool parse_real(struct slice text, double *ret_value)
{
    struct num num = num_parse(text);
    double value;
    switch (num.kind) {
    case NUM_I64:
        value = (double)num.as.i64;
        break;
    case NUM_U64:
        value = (double)num.as.u64;
        break;
    case NUM_F64:
        value = num.as.f64;
        break;
    case NUM_NONE:
    default:
        return false;
    }
    if (!(value >= 0.0 && value <= SECONDS_MAX)) { /* a NaN is neither */
        return false;
    }
    *ret_value = value;
    return true;
}

static int parse_seconds(const struct setting *setting, struct slice text, struct arena *arena,
                         void *member)
{
    double seconds;
    (void)arena;
    if (!parse_real(text, &seconds)) {
        return ERR_CONFIG;
    }
    uint64_t ns = (uint64_t)(seconds * (double)CLOCK_NS_PER_S + 0.5);
    if (ns < setting->min || ns > setting->max) {
        return ERR_CONFIG;
    }
    *(uint64_t *)member = ns;
    return ERR_OK;
}

static int parse_ratio(const struct setting *setting, struct slice text, struct arena *arena,
                       void *member)
{
    double ratio;
    (void)setting;
    (void)arena;
    if (!parse_real(text, &ratio) || ratio > 1.0) {
        return ERR_CONFIG;
    }
    *(double *)member = ratio;
    return ERR_OK;
}

static int parse_char(const struct setting *setting, struct slice text, struct arena *arena,
                      void *member)
{
    (void)setting;
    (void)arena;
    if (slice_eq(text, SLICE("\\t"))) {
        text = SLICE("\t");
    }
    bool usable =
        text.len == 1 && (text.ptr[0] == '\t' || (text.ptr[0] >= ' ' && text.ptr[0] < 0x7f));
    /* These mean something in a cell already: a number, a quoted one. */
    if (!usable || strchr("\"+-.0123456789", text.ptr[0]) != NULL) {
        return ERR_CONFIG;
    }
    *(char *)member = text.ptr[0];
    return ERR_OK;
}

static int store_text(struct slice text, struct arena *arena, void *member)
{
    struct slice copy = arena_copy(arena, text);
    if (copy.ptr == NULL) {
        return ERR_NO_MEMORY;
    }
    *(struct slice *)member = copy;
    return ERR_OK;
}

/* Length of the UTF-8 sequence `text` starts with (RFC 3629 section 4), 0 when it is none. */
static size_t utf8_sequence(struct slice text)
{
    const unsigned char *at = (const unsigned char *)text.ptr;
    unsigned char low = 0x80, high = 0xbf; /* bounds of the second byte */
    size_t len;
    if (at[0] < 0x80) {
        return 1;
    }
    if (at[0] >= 0xc2 && at[0] <= 0xdf) {
        len = 2;
    } else if (at[0] >= 0xe0 && at[0] <= 0xef) {
        len = 3;
        low = at[0] == 0xe0 ? 0xa0 : low;
        high = at[0] == 0xed ? 0x9f : high;
    } else if (at[0] >= 0xf0 && at[0] <= 0xf4) {
        len = 4;
        low = at[0] == 0xf0 ? 0x90 : low;
        high = at[0] == 0xf4 ? 0x8f : high;
    } else {
        return 0;
    }
    if (text.len < len || at[1] < low || at[1] > high) {
        return 0;
    }
    for (size_t i = 2; i < len; i++) {
        if ((at[i] & 0xc0) != 0x80) {
            return 0;
        }
    }
    return len;
}

/* Keys and names end up in JSON answers and spans, which must stay UTF-8. */
static bool is_utf8(struct slice text)
{
    while (text.len > 0) {
        size_t len = utf8_sequence(text);
        if (len == 0) {
            return false;
        }
        text = slice_tail(text, len);
    }
    return true;
}

/* It cannot come from the environment or a flag, but it can from a manifest's "\u0000". */
static bool has_nul(struct slice text)
{
    return slice_find(text, '\0') != text.len;
}

static int parse_text(const struct setting *setting, struct slice text, struct arena *arena,
                      void *member)
{
    if (text.len < setting->min || has_nul(text) || !is_utf8(text)) {
        return ERR_CONFIG;
    }
    return store_text(text, arena, member);
}

/* As in a URL, an IPv6 address may stand in brackets. */
static int parse_host(const struct setting *setting, struct slice text, struct arena *arena,
                      void *member)
{
    (void)setting;
    if (text.len > 2 && text.ptr[0] == '[' && text.ptr[text.len - 1] == ']') {
        text = slice_make(text.ptr + 1, text.len - 2);
    }
    for (size_t i = 0; i < text.len; i++) {
        unsigned char c = (unsigned char)text.ptr[i];
        if (c <= ' ' || c >= 0x7f || c == '[' || c == ']' || c == '/') {
            return ERR_CONFIG;
        }
    }
    return text.len > 0 ? store_text(text, arena, member) : ERR_CONFIG;
}

static int parse_file(const struct setting *setting, struct slice text, struct arena *arena,
                      void *member)
{
    if (text.len < setting->min || has_nul(text)) {
        return ERR_CONFIG;
    }
    return store_text(text, arena, member);
}

static int parse_route(const struct setting *setting, struct slice text, struct arena *arena,
                       void *member)
{
    (void)setting;
    if (text.len < 2 || text.ptr[0] != '/') {
        return ERR_CONFIG;
    }
    for (size_t i = 0; i < text.len; i++) {
        unsigned char c = (unsigned char)text.ptr[i];
        if (c <= ' ' || c >= 0x7f || c == '?' || c == '#' || c == '%') {
            return ERR_CONFIG;
        }
    }
    return store_text(text, arena, member);
}

static bool parse_column(struct slice text, uint32_t *ret_column)
{
    uint64_t column;
    if (!num_parse_u64(bare(text), &column) || column > UINT32_MAX) {
        return false;
    }
    *ret_column = (uint32_t)column;
    return true;
}

/* "a:b", either of which may be left out; there is at least one column in it. */
static bool is_range(struct slice text)
{
    struct slice end_text = text;
    struct slice first_text = bare(slice_cut(&end_text, ':'));
    uint32_t first = 0;
    uint32_t end = 0;
    if (first_text.len > 0 && !parse_column(first_text, &first)) {
        return false;
    }
    return bare(end_text).len == 0 || (parse_column(end_text, &end) && first < end);
}

static int compare_columns(const void *a, const void *b)
{
    uint32_t left = *(const uint32_t *)a;
    uint32_t right = *(const uint32_t *)b;
    return (left > right) - (left < right);
}

/* "i,j,k", each once. */
static int check_list(struct slice text, struct arena *arena)
{
    size_t count = 0;
    uint32_t *columns = arena_zalloc(arena, text.len / 2 + 1, sizeof(columns[0]));
    if (columns == NULL) {
        return ERR_NO_MEMORY;
    }
    for (struct slice rest = text; rest.ptr != NULL; count++) {
        if (!parse_column(slice_cut(&rest, ','), &columns[count])) {
            return ERR_CONFIG;
        }
    }
    qsort(columns, count, sizeof(columns[0]), compare_columns);
    for (size_t i = 1; i < count; i++) {
        if (columns[i] == columns[i - 1]) {
            return ERR_CONFIG;
        }
    }
    return ERR_OK;
}

static int parse_columns(const struct setting *setting, struct slice text, struct arena *arena,
                         void *member)
{
    (void)setting;
    int status = ERR_OK;
    if (slice_find(text, ':') < text.len) {
        status = is_range(text) ? ERR_OK : ERR_CONFIG;
    } else if (text.len > 0) {
        status = check_list(text, arena);
    }
    return status == ERR_OK ? store_text(text, arena, member) : status;
}

static int parse_pairs(const struct setting *setting, struct slice text, struct arena *arena,
                       void *member)
{
    (void)setting;
    struct slice rest = text;
    for (bool more = text.len > 0; more; more = rest.ptr != NULL) {
        struct slice pair = slice_trim(slice_cut(&rest, ','));
        size_t equals = slice_find(pair, '=');
        if (equals == pair.len || slice_trim(slice_head(pair, equals)).len == 0) {
            return ERR_CONFIG;
        }
    }
    return is_utf8(text) ? store_text(text, arena, member) : ERR_CONFIG;
}

static void store_enum(int value, void *member)
{
    _Static_assert(sizeof(enum setting_execution) == sizeof(int), "enums are as wide as int");
    memcpy(member, &value, sizeof(value));
}

static int parse_enum(const struct setting *setting, struct slice text, struct arena *arena,
                      void *member)
{
    (void)arena;
    for (const struct setting_choice *choice = setting->choices; choice->name != NULL; choice++) {
        if (slice_eq_nocase(text, slice_from_str(choice->name))) {
            store_enum(choice->value, member);
            return ERR_OK;
        }
    }
    return ERR_CONFIG;
}

static int parse_dtype(const struct setting *setting, struct slice text, struct arena *arena,
                       void *member)
{
    (void)setting;
    (void)arena;
    enum dtype dtype = dtype_parse(text);
    if (dtype == DTYPE_NONE) {
        return ERR_CONFIG;
    }
    *(enum dtype *)member = dtype;
    return ERR_OK;
}

static const struct {
    parse_fn *parse;
    size_t size;          /* of the member */
    bool exact;           /* space around the text is part of the value */
    const char *accepted; /* NULL: depends on the row */
} types[SETTING_TYPES] = {
    [SETTING_BOOL] = {parse_bool, sizeof(bool), false,
                      "1, true, yes, y, on or 0, false, no, n, off"},
    [SETTING_PORT] = {parse_port, sizeof(uint16_t), false, "a whole number from 0 to 65535"},
    [SETTING_COUNT] = {parse_count, sizeof(unsigned), false, NULL},
    [SETTING_BYTES] = {parse_bytes, sizeof(uint64_t), false, NULL},
    [SETTING_SECONDS] = {parse_seconds, sizeof(uint64_t), false, NULL},
    [SETTING_RATIO] = {parse_ratio, sizeof(double), false, "a number from 0 to 1"},
    [SETTING_CHAR] =
        {parse_char, sizeof(char), true,
         "one ASCII character that is no digit, sign, point or quote, or \\t for a tab"},
    [SETTING_TEXT] = {parse_text, sizeof(struct slice), true, NULL},
    [SETTING_HOST] = {parse_host, sizeof(struct slice), false,
                      "an IPv4 or IPv6 address or the name of one, without a port"},
    [SETTING_FILE] = {parse_file, sizeof(struct slice), true, NULL},
    [SETTING_ROUTE] = {parse_route, sizeof(struct slice), true,
                       "a path that starts with / and is longer, without spaces, %, ? and #"},
    [SETTING_COLUMNS] = {parse_columns, sizeof(struct slice), false,
                         "columns counted from 0: a range a:b with a below b, or a list i,j,k "
                         "with each once"},
    [SETTING_PAIRS] = {parse_pairs, sizeof(struct slice), true,
                       "key=value pairs with commas between them"},
    [SETTING_ENUM] = {parse_enum, sizeof(int), false, NULL},
    [SETTING_DTYPE] = {parse_dtype, sizeof(enum dtype), false,
                       "a type: bool, float16, bfloat16, float32, float64, int8 to int64, uint8 to "
                       "uint64 (or f32, i64, ...) or string"},
    [SETTING_MAP] = {NULL, sizeof(struct settings_map), false, SETTINGS_MAP_ACCEPTED},
    [SETTING_DTYPE_MAP] = {NULL, sizeof(struct settings_map), false, SETTINGS_DTYPE_MAP_ACCEPTED},
};

static int refuse(const struct setting *setting, struct slice text, struct error *error)
{
    char accepted[SETTING_TEXT_MAX];
    setting_accepted(setting, accepted);
    if (setting->type == SETTING_PAIRS) {
        return error_set(error, ERR_CONFIG, "the value (not shown) is not accepted: give %s",
                         accepted);
    }
    struct slice shown = slice_head(text, SHOWN_BYTES_MAX);
    return error_set(error, ERR_CONFIG, "\"%.*s%s\" is not accepted: give %s", SLICE_FMT(shown),
                     shown.len < text.len ? "..." : "", accepted);
}

int setting_parse(const struct setting *setting, struct slice text, struct arena *arena,
                  void *member, struct error *error)
{
    CHECK(setting->size == types[setting->type].size);
    if (!types[setting->type].exact) {
        text = bare(text);
    }
    if (types[setting->type].parse == NULL) {
        return settings_map_parse(text, setting->type == SETTING_DTYPE_MAP, arena, member, error);
    }
    int status = types[setting->type].parse(setting, text, arena, member);
    if (status == ERR_CONFIG) {
        return refuse(setting, text, error);
    }
    return status == ERR_OK ? ERR_OK : error_set(error, ERR_NO_MEMORY, "out of memory");
}

static void put_choices(const struct setting_choice *choices, char *text)
{
    size_t len = (size_t)snprintf(text, SETTING_TEXT_MAX, "one of");
    const char *before = ": ";
    for (const struct setting_choice *choice = choices; choice->name != NULL; choice++) {
        if (!choice->synonym) {
            len +=
                (size_t)snprintf(text + len, SETTING_TEXT_MAX - len, "%s%s", before, choice->name);
            CHECK(len < SETTING_TEXT_MAX);
            before = ", ";
        }
    }
}

const char *setting_accepted(const struct setting *setting, char *text)
{
    unsigned long long min = setting->min, max = setting->max;
    const char *not_empty = min > 0 ? " that is not empty" : "";
    switch (setting->type) {
    case SETTING_COUNT:
        snprintf(text, SETTING_TEXT_MAX, "a whole number from %llu to %llu", min, max);
        break;
    case SETTING_BYTES:
        snprintf(text, SETTING_TEXT_MAX,
                 "a whole number from %llu to %llu, or one followed by KiB, MiB or GiB", min, max);
        break;
    case SETTING_SECONDS:
        snprintf(text, SETTING_TEXT_MAX, "a number of seconds from %g to %g",
                 (double)min / (double)CLOCK_NS_PER_S, (double)max / (double)CLOCK_NS_PER_S);
        break;
    case SETTING_TEXT:
        snprintf(text, SETTING_TEXT_MAX, "a text in UTF-8%s", not_empty);
        break;
    case SETTING_FILE:
        snprintf(text, SETTING_TEXT_MAX, "a path%s", not_empty);
        break;
    case SETTING_ENUM:
        put_choices(setting->choices, text);
        break;
    default:
        CHECK(types[setting->type].accepted != NULL);
        snprintf(text, SETTING_TEXT_MAX, "%s", types[setting->type].accepted);
        break;
    }
    return text;
}

const char *setting_default(const struct setting *setting, char *text)
{
    bool both = setting->initial != NULL && setting->unset != NULL; /* "0: from the CPU quota" */
    snprintf(text, SETTING_TEXT_MAX, "%s%s%s", setting->initial == NULL ? "" : setting->initial,
             both ? ": " : "", setting->unset == NULL ? "" : setting->unset);
    return text;
}
