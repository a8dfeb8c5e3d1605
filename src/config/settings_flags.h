/*
 * The command line: which arguments are settings, which are a command's own flags and which are
 * none. For the files of this layer only; allocates nothing.
 */
#ifndef CONFIG_SETTINGS_FLAGS_H
#define CONFIG_SETTINGS_FLAGS_H

#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"
#include "config/settings.h"
#include "config/settings_table.h"

enum settings_argument_kind {
    SETTINGS_ARGUMENT_END,
    SETTINGS_ARGUMENT_SETTING,
    SETTINGS_ARGUMENT_OPTION,
    SETTINGS_ARGUMENT_POSITIONAL
};

struct settings_argument {
    enum settings_argument_kind kind;
    const struct setting *setting;        /* SETTINGS_ARGUMENT_SETTING */
    const struct settings_option *option; /* SETTINGS_ARGUMENT_OPTION */
    const char
        *value; /* of a setting, an option with a value or a positional; from argv or static */
};

/* A walk over input->argv; start with `input` set and the rest zero. */
struct settings_flags {
    const struct settings_input *input;
    int next;
    bool ended; /* a "--" was seen */
};

/*
 * The next argument. ERR_CONFIG for an unknown flag (with the nearest known one), one of another
 * command's group, a missing value and a value where there is none to give.
 */
MUST_CHECK int settings_flags_next(struct settings_flags *flags,
                                   struct settings_argument *ret_argument, struct error *error);

#endif
