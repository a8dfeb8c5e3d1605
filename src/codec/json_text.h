/*
 * Text as a JSON string (RFC 8259 section 7), for whatever the server says in JSON besides tensors.
 */
#ifndef CODEC_JSON_TEXT_H
#define CODEC_JSON_TEXT_H

#include "base/bytes.h"
#include "base/error.h"
#include "base/slice.h"

/* A byte of text becomes at most so many: a control character is written as \u00xx. */
#define JSON_TEXT_MAX_GROWTH 6

/*
 * Appends the text with its quotes. What is no UTF-8 becomes U+FFFD, so that the result is valid
 * whatever the text holds. ERR_NO_MEMORY, and then nothing is appended.
 */
MUST_CHECK int json_text_put(struct bytes *out, struct slice text);

/* The same into a writer; on ERR_NO_MEMORY a part may have been written. */
struct writer;
MUST_CHECK int json_text_write(struct writer *writer, struct slice text);

#endif
