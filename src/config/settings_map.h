/*
 * The settings whose value is a JSON object: key to the name of an input or output, key to dtype.
 * For the files of this layer only. Any thread.
 */
#ifndef CONFIG_SETTINGS_MAP_H
#define CONFIG_SETTINGS_MAP_H

#include <stdbool.h>
#include <stddef.h>

#include "base/arena.h"
#include "base/error.h"
#include "base/slice.h"
#include "config/settings.h"

#define SETTINGS_MAP_MAX 1024 /* members */
#define SETTINGS_MAP_ACCEPTED "a JSON object of names, {\"key\":\"name in the model\"}"
#define SETTINGS_DTYPE_MAP_ACCEPTED "a JSON object of types, {\"key or input\":\"float32\"}"

/*
 * Parses an object of strings; keys and names are not empty, keys come once. No text at all is an
 * empty map. Everything kept is copied into the arena. ERR_CONFIG says what was wrong and what is
 * accepted; ERR_NO_MEMORY; *ret_map is written only on success.
 */
MUST_CHECK int settings_map_parse(struct slice text, bool of_dtypes, struct arena *arena,
                                  struct settings_map *ret_map, struct error *error);

/* Gives each member of `map` the dtype that `dtypes` has for its key or else for its port. */
void settings_map_join(struct settings_map *map, const struct settings_map *dtypes);

#endif
