/*
 * A moving view on a long input: bytes are read at its end and given up at its start. It has a
 * maximum; what does not fit is not read. One owner thread.
 */
#ifndef CLI_WINDOW_H
#define CLI_WINDOW_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/error.h"

/* Where the bytes come from. */
struct source {
    /*
     * Up to `size` bytes; *ret_got is 0 at the end only. Any error code, with a message.
     */
    int (*read)(void *user, char *into, size_t size, size_t *ret_got, struct error *error);
    void *user;
};

struct window {
    struct source source;
    struct bytes bytes;
    uint64_t offset; /* of the first byte, in the input */
    bool ended;      /* the last byte is the input's last */
};

void window_init(struct window *window, struct source source, size_t max_bytes);
void window_done(struct window *window);
/*
 * Reads more, or finds that there is no more. ERR_TOO_LARGE (without a message) where the window is
 * full, ERR_NO_MEMORY, or the source's error.
 */
MUST_CHECK int window_fill(struct window *window, struct error *error);

static inline struct slice window_slice(const struct window *window)
{
    return bytes_slice(&window->bytes);
}

/* Gives up the first bytes. */
void window_consume(struct window *window, size_t size);

#endif
