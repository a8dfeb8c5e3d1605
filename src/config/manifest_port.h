/*
 * The ports of a manifest: its "inputs" and "outputs". For the files of this layer only.
 */
#ifndef CONFIG_MANIFEST_PORT_H
#define CONFIG_MANIFEST_PORT_H

#include <stddef.h>

#include "base/error.h"
#include "base/slice.h"
#include "config/manifest.h"
#include "config/strict.h"

/*
 * Reads an array of ports, whose names are unique, into the reader's arena. The result is written
 * only on success; errors as those of manifest_parse.
 */
MUST_CHECK int manifest_port_read_all(const struct strict_reader *reader,
                                      struct document_value *value,
                                      const struct strict_place *place,
                                      const struct manifest_port **ret_ports, size_t *ret_count);

/* Reads the full name of a type ("float32", not "f32") into an enum dtype. */
strict_read manifest_port_read_dtype;

/* By name; NULL when there is none. */
const struct manifest_port *manifest_port_find(const struct manifest_port *ports, size_t count,
                                               struct slice name);

#endif
