/* Any text as the runtime's: a line that fits its room. The first byte chooses the room. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "backend/ort_message.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0) {
        return 0;
    }
    size_t room = (size_t)data[0] * 2 + 1;
    char *text = malloc(room); /* exactly the room, so that a byte too many is seen */
    if (text == NULL) {
        return 0;
    }
    struct slice message = slice_make(data + 1, size - 1);
    size_t len = ort_message_clean(message, text, room);
    if (len >= room || text[len] != '\0' || memchr(text, '\n', len) != NULL) {
        abort();
    }
    (void)ort_message_blames_machine(message);
    free(text);
    return 0;
}
