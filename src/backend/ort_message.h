/*
 * The runtime's error texts made fit for one line. They come as long, multi-line texts with C++
 * source paths, function signatures and assertions in them; what a person needs is a few words in
 * the middle. Pure functions on text, any thread.
 */
#ifndef BACKEND_ORT_MESSAGE_H
#define BACKEND_ORT_MESSAGE_H

#include <stdbool.h>
#include <stddef.h>

#include "base/slice.h"

/*
 * Writes the first line of `message` into text[size], NUL-terminated, cut where it is too long:
 * without source locations and function names, without the texts the runtime wraps around a
 * cause, and with the detail lines that belong to the first one ("index: 1 Got: 3 Expected: 4").
 * Never empty. Returns the length.
 */
size_t ort_message_clean(struct slice message, char *text, size_t size);

/*
 * Whether the text speaks of the machine (memory that cannot be had, a device that failed) and not
 * of the inputs: the runtime reports both under the same codes.
 */
bool ort_message_blames_machine(struct slice message);

#endif
