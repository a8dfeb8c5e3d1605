/*
 * One value of one setting, from text: checked against the setting's row of the table and stored in
 * its member of struct settings. For the files of this layer only. Any thread.
 */
#ifndef CONFIG_SETTINGS_VALUE_H
#define CONFIG_SETTINGS_VALUE_H

#include <stddef.h>

#include "base/arena.h"
#include "base/error.h"
#include "base/slice.h"
#include "config/settings_table.h"

/*
 * Parses `text` and stores the value at `member`, which has the type the row says; strings are
 * copied into the arena. ERR_CONFIG says what was wrong with the value and what is accepted, without
 * the setting's name; then *member is as it was. ERR_NO_MEMORY.
 */
MUST_CHECK int setting_parse(const struct setting *setting, struct slice text, struct arena *arena,
                             void *member, struct error *error);

/* Room for what setting_accepted and setting_default write. */
#define SETTING_TEXT_MAX 256

/* "a whole number from 0 to 65535", "one of: auto, off": into text[SETTING_TEXT_MAX]; returns it. */
const char *setting_accepted(const struct setting *setting, char *text);
/* The default for people: "8080", "0: from the CPU quota"; likewise. */
const char *setting_default(const struct setting *setting, char *text);

#endif
