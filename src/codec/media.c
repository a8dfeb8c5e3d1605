/*
 * The registry of media types: what a Content-Type means and what an Accept asks for. Lists are cut
 * as RFC 9110 section 5.6 says, quoted strings included; what cannot be read is not asked for.
 */
#include "base/check.h"
#include "codec/codec.h"

#define QUALITY_MAX 1000 /* q=1; weights are in thousandths */
#define QUALITY_UNREADABLE (-1)

static const struct {
    struct slice type;
    struct slice subtype;
    enum media media;
} media_types[] = {
    {{"application", 11}, {"json", 4}, MEDIA_JSON},
    {{"application", 11}, {"jsonlines", 9}, MEDIA_JSONL},
    {{"application", 11}, {"x-jsonlines", 11}, MEDIA_JSONL},
    {{"application", 11}, {"jsonl", 5}, MEDIA_JSONL},
    {{"application", 11}, {"x-ndjson", 8}, MEDIA_JSONL},
    {{"text", 4}, {"csv", 3}, MEDIA_CSV},
    {{"application", 11}, {"csv", 3}, MEDIA_CSV},
    {{"application", 11}, {"x-npy", 5}, MEDIA_NPY},
};

/* "type/subtype" without parameters. */
static enum media find_media(struct slice name)
{
    struct slice subtype = name;
    struct slice type = slice_cut(&subtype, '/');
    if (subtype.ptr == NULL) {
        return MEDIA_NONE;
    }
    for (size_t i = 0; i < sizeof(media_types) / sizeof(media_types[0]); i++) {
        if (slice_eq_nocase(type, media_types[i].type) &&
            slice_eq_nocase(subtype, media_types[i].subtype)) {
            return media_types[i].media;
        }
    }
    return slice_ends_with_nocase(subtype, SLICE("+json")) ? MEDIA_JSON : MEDIA_NONE;
}

enum media media_parse(struct slice content_type)
{
    if (slice_eq(content_type, SLICE("application/json"))) {
        return MEDIA_JSON; /* as nearly every client writes it */
    }
    return find_media(slice_trim(slice_cut(&content_type, ';')));
}

struct slice media_content_type(enum media media)
{
    switch (media) {
    case MEDIA_JSON:
        return SLICE("application/json");
    case MEDIA_JSONL:
        return SLICE("application/jsonlines");
    case MEDIA_CSV:
        return SLICE("text/csv");
    case MEDIA_NPY:
        return SLICE("application/x-npy");
    case MEDIA_NONE:
        break;
    }
    CHECK(false);
}

/* As slice_cut, but a separator within a quoted string (RFC 9110 section 5.6.4) does not count. */
static struct slice cut_unquoted(struct slice *rest, char separator)
{
    bool quoted = false;
    size_t at = 0;
    for (; at < rest->len && (quoted || rest->ptr[at] != separator); at++) {
        if (rest->ptr[at] == '"') {
            quoted = !quoted;
        } else if (quoted && rest->ptr[at] == '\\' && at + 1 < rest->len) {
            at++;
        }
    }
    struct slice piece = slice_head(*rest, at);
    *rest = at < rest->len ? slice_tail(*rest, at + 1) : (struct slice){NULL, 0};
    return piece;
}

/*
 * A qvalue (RFC 9110 section 12.4.2) in thousandths. As clients send them, ".5" and more than three
 * decimals are read too.
 */
static int parse_quality(struct slice text)
{
    struct slice fraction = text;
    struct slice whole = slice_cut(&fraction, '.');
    bool known = slice_eq(whole, SLICE("0")) || slice_eq(whole, SLICE("1"));
    if (!known && (whole.len > 0 || fraction.len == 0)) {
        return QUALITY_UNREADABLE;
    }
    int quality = known && whole.ptr[0] == '1' ? QUALITY_MAX : 0;
    int place = QUALITY_MAX / 10;
    for (size_t i = 0; i < fraction.len; i++, place /= 10) {
        if (fraction.ptr[i] < '0' || fraction.ptr[i] > '9') {
            return QUALITY_UNREADABLE;
        }
        quality += (fraction.ptr[i] - '0') * place;
    }
    return quality > QUALITY_MAX ? QUALITY_UNREADABLE : quality;
}

/* The weight among the parameters of a range; QUALITY_MAX where there is none. */
static int find_quality(struct slice parameters)
{
    while (parameters.ptr != NULL) {
        struct slice value = cut_unquoted(&parameters, ';');
        struct slice name = slice_trim(slice_cut(&value, '='));
        if (slice_eq_nocase(name, SLICE("q"))) {
            return parse_quality(slice_trim(value));
        }
    }
    return QUALITY_MAX;
}

/* How closely a range names a media type (RFC 9110 section 12.5.1); the closest one counts. */
enum closeness { FITS_NOT, FITS_ANY, FITS_TYPE, FITS_EXACTLY };

/* What an Accept value says of one encoding. */
struct opinion {
    enum closeness closeness;
    int quality;  /* 0: not wanted */
    size_t order; /* of the range that decided, from the left */
};

static void note(struct opinion *opinion, struct opinion other)
{
    if (other.closeness > opinion->closeness ||
        (other.closeness == opinion->closeness && other.quality > opinion->quality)) {
        *opinion = other;
    }
}

/* Notes what one range, a type or a wildcard, says of the encodings it fits. */
static void note_range(struct opinion *opinions, struct slice range, int quality, size_t order)
{
    enum media named = find_media(range);
    if (named != MEDIA_NONE) {
        note(&opinions[named], (struct opinion){FITS_EXACTLY, quality, order});
        return;
    }
    bool any = slice_eq(range, SLICE("*/*")) || slice_eq(range, SLICE("*"));
    struct slice subtype = range;
    struct slice type = slice_cut(&subtype, '/');
    if (!any && !slice_eq(subtype, SLICE("*"))) {
        return;
    }
    for (enum media media = MEDIA_JSON; media <= MEDIA_NPY; media++) {
        struct slice own_type = media_content_type(media);
        own_type = slice_head(own_type, slice_find(own_type, '/'));
        if (any || slice_eq_nocase(type, own_type)) {
            note(&opinions[media], (struct opinion){any ? FITS_ANY : FITS_TYPE, quality, order});
        }
    }
}

enum media media_negotiate(struct slice accept, enum media fallback)
{
    struct opinion opinions[MEDIA_NPY + 1] = {{FITS_NOT, 0, 0}};
    for (size_t order = 0; accept.ptr != NULL; order++) {
        struct slice parameters = cut_unquoted(&accept, ',');
        struct slice range = slice_trim(cut_unquoted(&parameters, ';'));
        int quality = find_quality(parameters);
        if (quality != QUALITY_UNREADABLE) {
            note_range(opinions, range, quality, order);
        }
    }
    /* The fallback has the first word: others must be wanted more, or as much and named earlier. */
    static const enum media answers[] = {MEDIA_JSON, MEDIA_CSV, MEDIA_NPY};
    enum media best = fallback;
    for (size_t i = 0; i < sizeof(answers) / sizeof(answers[0]); i++) {
        const struct opinion *opinion = &opinions[answers[i]];
        const struct opinion *other = &opinions[best];
        if (opinion->quality > other->quality ||
            (opinion->quality == other->quality && opinion->quality > 0 &&
             opinion->order < other->order)) {
            best = answers[i];
        }
    }
    return best;
}
