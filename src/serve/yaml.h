/*
 * Writes pieces of a YAML document into bytes. Whatever a name or a body holds, the document stays
 * well-formed: text from outside goes in as double-quoted scalars, JSON only after it was checked.
 * The first failure is kept in `status` and makes what follows do nothing. Plain memory, any thread.
 */
#ifndef SERVE_YAML_H
#define SERVE_YAML_H

#include <stdbool.h>

#include "base/bytes.h"
#include "base/slice.h"

/* A simple key of YAML may not be longer (YAML 1.2, section 7.4.2); nor may our JSON strings. */
#define YAML_MAX_KEY_BYTES 1024
/* Deepest nesting of JSON that is taken over. */
#define YAML_MAX_DEPTH 32

struct yaml {
    struct bytes *out; /* borrowed */
    int status;        /* ERR_OK, or ERR_NO_MEMORY from the first failure on */
};

/* Our own text, as it is. */
void yaml_put(struct yaml *yaml, const char *text);
void yaml_printf(struct yaml *yaml, const char *format, ...) __attribute__((format(printf, 2, 3)));

/*
 * A double-quoted scalar that is a JSON string as well. Invalid UTF-8 becomes U+FFFD; control
 * characters and what YAML cannot print become \u escapes.
 */
void yaml_put_quoted(struct yaml *yaml, struct slice text);

/*
 * Text inside a quoted scalar that is read as Markdown: punctuation loses its meaning, control
 * characters become spaces. Writes no quotes itself.
 */
void yaml_put_markdown(struct yaml *yaml, struct slice text);

/* Whether yaml_put_json takes it: RFC 8259 within the limits above, on one or many lines. */
bool yaml_accepts_json(struct slice json);
/* A JSON value as a flow node on one line. The text must have been accepted. */
void yaml_put_json(struct yaml *yaml, struct slice json);

#endif
