/* Settings for tests: loaded from lists of texts. */
#ifndef SETTINGS_FIXTURE_H
#define SETTINGS_FIXTURE_H

#include <string.h>

#include "config/settings.h"
#include "unit_tests/testing.h"

#define COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))

/* A NULL-terminated list "NAME=value" as the environment. */
static inline const char *lookup(void *environment, const char *name)
{
    size_t len = strlen(name);
    for (const char *const *entry = environment; *entry != NULL; entry++) {
        if (strncmp(*entry, name, len) == 0 && (*entry)[len] == '=') {
            return *entry + len + 1;
        }
    }
    return NULL;
}

/* Everything a load can be given, NULL-terminated; zero means none. */
struct source {
    const char *argv[8];
    const char *environment[8];
    const char *manifest[8]; /* name, value, name, value */
    const char *overrides[4];
    unsigned groups; /* 0: all */
};

static inline size_t make_pairs(const char *const *texts, struct settings_pair *pairs)
{
    size_t count = 0;
    for (; texts[2 * count] != NULL; count++) {
        pairs[count].name = slice_from_str(texts[2 * count]);
        pairs[count].value = slice_from_str(texts[2 * count + 1]);
    }
    return count;
}

static inline int load_with(struct settings *settings, struct source *source,
                            const struct settings_option *options, size_t option_count,
                            struct error *error)
{
    struct settings_pair manifest[4], overrides[2];
    char *argv[COUNT_OF(source->argv)];
    memcpy(argv, source->argv, sizeof(argv)); /* nothing writes to an argument */
    struct settings_input input = {
        .groups = source->groups == 0 ? SETTINGS_ALL : source->groups,
        .argv = argv,
        .lookup = lookup,
        .environment = source->environment,
        .manifest = manifest,
        .manifest_count = make_pairs(source->manifest, manifest),
        .overrides = overrides,
        .override_count = make_pairs(source->overrides, overrides),
        .options = options,
        .option_count = option_count,
    };
    while (source->argv[input.argc] != NULL) {
        input.argc++;
    }
    return settings_load(settings, &input, error);
}

static inline int load(struct settings *settings, struct source source, struct error *error)
{
    return load_with(settings, &source, NULL, 0, error);
}

#define LOAD(settings, ...) assert_int_equal(load(settings, (struct source){__VA_ARGS__}, NULL), 0)

static inline void assert_text(struct slice text, const char *expected)
{
    assert_int_equal(text.len, strlen(expected));
    assert_memory_equal(text.ptr, expected, text.len);
    assert_int_equal(text.ptr[text.len], '\0');
}

static inline void assert_fails(struct source source, const char *expected)
{
    struct settings settings;
    struct error error = {0};
    assert_int_equal(load(&settings, source, &error), ERR_CONFIG);
    assert_string_equal(error.text, expected);
}

#endif
