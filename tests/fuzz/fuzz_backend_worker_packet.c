/*
 * Any bytes as a packet: refused with a reason, or written again byte for byte.
 */
#include <stdint.h>
#include <string.h>

#include "backend/worker_wire.h"
#include "base/check.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct worker_packet packet;
    struct error error = {.text = ""};
    char bytes[WORKER_PACKET_MAX];
    struct slice whole = slice_make(size > 0 ? (const void *)data : "", size);
    int status = worker_packet_read(whole, &packet, &error);
    if (status != ERR_OK) {
        CHECK(status == ERR_INTERNAL && error.text[0] != '\0');
        return 0;
    }
    CHECK(slice_eq(slice_make(bytes, worker_packet_write(&packet, bytes)), whole));
    return 0;
}
