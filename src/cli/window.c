#include "cli/window.h"

/* As much as a pipe holds by default, times four: few calls without much copying. */
#define READ_BYTES ((size_t)256 * 1024)

void window_init(struct window *window, struct source source, size_t max_bytes)
{
    *window = (struct window){.source = source};
    bytes_init(&window->bytes, max_bytes);
}

void window_done(struct window *window)
{
    bytes_done(&window->bytes);
}

int window_fill(struct window *window, struct error *error)
{
    size_t len = bytes_len(&window->bytes);
    size_t room = window->bytes.max - len;
    size_t wanted = room < READ_BYTES ? room : READ_BYTES;
    size_t got;
    if (window->ended) {
        return ERR_OK;
    }
    if (room == 0) {
        return ERR_TOO_LARGE;
    }
    char *into = bytes_reserve(&window->bytes, wanted);
    if (into == NULL) {
        return error_set(error, ERR_NO_MEMORY, "no memory to read the input");
    }
    int status = window->source.read(window->source.user, into, wanted, &got, error);
    if (status == ERR_OK) {
        bytes_commit(&window->bytes, got);
        window->ended = got == 0;
    }
    return status;
}

void window_consume(struct window *window, size_t size)
{
    bytes_consume(&window->bytes, size);
    window->offset += size;
}
