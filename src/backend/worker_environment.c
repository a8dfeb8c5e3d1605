/*
 * A list of what passes, never of what does not: an unknown variable may be a password. Names that
 * pass by their beginning alone must not look like one either.
 */
#include "backend/worker_environment.h"

#include <stdbool.h>
#include <stdio.h>

#define NAME(literal)                                                                              \
    {                                                                                              \
        (literal), sizeof(literal) - 1                                                             \
    }

static const struct slice names[] = {
    NAME("PATH"),
    NAME("HOME"),
    NAME("LANG"),
    NAME("LANGUAGE"),
    NAME("TZ"),
    NAME("TMPDIR"),
    NAME("LD_LIBRARY_PATH"),
    NAME("VIRTUAL_ENV"),
    NAME("XDG_CACHE_HOME"),
    NAME("NUMEXPR_NUM_THREADS"),
    NAME("NVIDIA_VISIBLE_DEVICES"),
    NAME("ROCR_VISIBLE_DEVICES"),
    NAME("HIP_VISIBLE_DEVICES"),
};

static const struct slice beginnings[] = {
    NAME("LC_"), NAME("OMP_"),   NAME("KMP_"),     NAME("OPENBLAS_"), NAME("MKL_"),
    NAME("TF_"), NAME("TORCH_"), NAME("PYTORCH_"), NAME("XLA_"),      NAME("CUDA_"),
};

static const struct slice secrets[] = {
    NAME("TOKEN"), NAME("SECRET"), NAME("PASSWORD"), NAME("KEY"), NAME("CREDENTIAL"),
};

static const struct slice thread_counts[] = {
    NAME("OMP_NUM_THREADS"),
    NAME("OPENBLAS_NUM_THREADS"),
    NAME("MKL_NUM_THREADS"),
};

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static struct slice name_of(const char *variable)
{
    struct slice all = slice_from_str(variable);
    return slice_head(all, slice_find(all, '='));
}

static bool contains(struct slice text, struct slice part)
{
    for (; text.len >= part.len; text = slice_tail(text, 1)) {
        if (slice_starts_with(text, part)) {
            return true;
        }
    }
    return false;
}

static bool looks_secret(struct slice name)
{
    for (size_t i = 0; i < COUNT(secrets); i++) {
        if (contains(name, secrets[i])) {
            return true;
        }
    }
    return false;
}

static bool is_asked_for(struct slice name, struct slice more)
{
    while (more.ptr != NULL) {
        if (slice_eq(slice_trim(slice_cut(&more, ',')), name)) {
            return true;
        }
    }
    return false;
}

static bool passes(struct slice name, struct slice more)
{
    for (size_t i = 0; i < COUNT(names); i++) {
        if (slice_eq(name, names[i])) {
            return true;
        }
    }
    for (size_t i = 0; i < COUNT(beginnings); i++) {
        if (slice_starts_with(name, beginnings[i]) && !looks_secret(name)) {
            return true;
        }
    }
    return name.len > 0 && is_asked_for(name, more);
}

static bool holds(char *const *variables, size_t count, struct slice name)
{
    for (size_t i = 0; i < count; i++) {
        if (slice_eq(name_of(variables[i]), name)) {
            return true;
        }
    }
    return false;
}

static char *copy(struct arena *arena, struct slice text)
{
    char *at = arena_alloc(arena, text.len + 1);
    if (at != NULL) {
        memcpy(at, text.ptr, text.len);
        at[text.len] = '\0';
    }
    return at;
}

char *const *worker_environment(char *const *ours, struct slice more, unsigned threads,
                                struct arena *arena)
{
    size_t all = 0;
    while (ours[all] != NULL) {
        all++;
    }
    char **passed = arena_zalloc(arena, all + COUNT(thread_counts) + 1, sizeof(passed[0]));
    size_t count = 0;
    for (size_t i = 0; passed != NULL && i < all; i++) {
        if (!passes(name_of(ours[i]), more)) {
            continue;
        }
        passed[count] = copy(arena, slice_from_str(ours[i]));
        if (passed[count++] == NULL) {
            return NULL;
        }
    }
    for (size_t i = 0; passed != NULL && i < COUNT(thread_counts); i++) {
        if (holds(passed, count, thread_counts[i])) {
            continue;
        }
        char text[64];
        int len = snprintf(text, sizeof(text), "%s=%u", thread_counts[i].ptr, threads);
        passed[count] = copy(arena, slice_make(text, (size_t)len));
        if (passed[count++] == NULL) {
            return NULL;
        }
    }
    return passed;
}
