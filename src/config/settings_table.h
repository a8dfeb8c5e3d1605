/*
 * The table of settings, for the files of this layer only: what each setting is called, what it
 * accepts and where in struct settings its value goes. Read-only: any thread.
 */
#ifndef CONFIG_SETTINGS_TABLE_H
#define CONFIG_SETTINGS_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/slice.h"
#include "config/settings.h"

enum setting_type {
    SETTING_BOOL,      /* bool */
    SETTING_PORT,      /* uint16_t */
    SETTING_COUNT,     /* unsigned; min to max */
    SETTING_BYTES,     /* uint64_t; min to max; KiB, MiB and GiB may follow the number */
    SETTING_SECONDS,   /* uint64_t nanoseconds; min to max, in nanoseconds */
    SETTING_RATIO,     /* double, 0 to 1 */
    SETTING_CHAR,      /* char: one ASCII byte that can separate CSV cells, or \t */
    SETTING_TEXT,      /* struct slice, UTF-8; at least min bytes */
    SETTING_HOST,      /* struct slice: an address or a name; brackets around it are left out */
    SETTING_FILE,      /* struct slice, any bytes: a path; at least min bytes */
    SETTING_ROUTE,     /* struct slice: the path of a URL */
    SETTING_COLUMNS,   /* struct slice: "a:b" or "i,j,k"; the codec reads it again */
    SETTING_PAIRS,     /* struct slice, "k=v,k=v"; never shown: may hold secrets */
    SETTING_ENUM,      /* an enum; choices */
    SETTING_DTYPE,     /* enum dtype */
    SETTING_MAP,       /* struct settings_map: a JSON object, key to name of an input or output */
    SETTING_DTYPE_MAP, /* struct settings_map: a JSON object, key or input name to dtype */
    SETTING_TYPES      /* how many there are */
};

/* An accepted name of an enum's value. */
struct setting_choice {
    const char *name; /* NULL ends the list */
    int value;
    bool synonym; /* accepted from flags and the environment, shown nowhere */
};

struct setting {
    const char *name; /* the environment variable */
    enum settings_group group;
    enum setting_type type;
    size_t offset;       /* in struct settings */
    size_t size;         /* of the member there */
    const char *initial; /* the default, as text; NULL: unset, the member is zero */
    const char *unset;   /* what a default of NULL or "0" means, for people; or NULL */
    uint64_t min, max;
    const struct setting_choice *choices;
    bool manifest;      /* a manifest may set it */
    const char *alias;  /* another variable for it, or NULL */
    bool alias_is_over; /* the alias wins where both are set */
    const char *help;   /* one line, no full stop */
};

extern const struct setting settings_table[SETTINGS_COUNT];

/* The longest flag or variable name there is room for, with its NUL. */
#define SETTING_NAME_MAX 64

/* By environment name; NULL when there is none. */
const struct setting *setting_find(struct slice name);
/* By flag without dashes: "max-body-bytes". */
const struct setting *setting_find_flag(struct slice flag);
/* "max-body-bytes" into text[SETTING_NAME_MAX]; returns text. */
const char *setting_flag(const struct setting *setting, char *text);
/* The row's index: for settings.sources. */
size_t setting_index(const struct setting *setting);
/* "Service", "ONNX Runtime". */
const char *settings_group_title(enum settings_group group);

#endif
