/* Content-Type and Accept values: any bytes give one of the encodings, the same ones every time. */
#include <stdint.h>
#include <stdlib.h>

#include "codec/codec.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

static void require(int condition)
{
    if (!condition) {
        abort();
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    struct slice text = slice_make(bytes, size);
    enum media parsed = media_parse(text);
    require(parsed <= MEDIA_NPY);
    for (enum media fallback = MEDIA_NONE; fallback <= MEDIA_NPY; fallback++) {
        enum media given = media_negotiate(text, fallback);
        bool possible = given == MEDIA_JSON || given == MEDIA_CSV || given == MEDIA_NPY;
        require(possible || given == fallback);
    }
    return 0;
}
