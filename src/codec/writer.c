/* The slow halves of writer.h: taking and giving back blocks of a byte queue. */
#include "codec/writer.h"

#define WRITER_BLOCK_BYTES 4096

void writer_commit(struct writer *writer)
{
    if (writer->at != writer->begin) {
        bytes_commit(writer->out, (size_t)(writer->at - writer->begin));
    }
    writer->begin = writer->at;
}

bool writer_grow(struct writer *writer, size_t size)
{
    writer_commit(writer);
    size_t wanted = size < WRITER_BLOCK_BYTES ? WRITER_BLOCK_BYTES : size;
    char *at = bytes_reserve(writer->out, wanted);
    if (at == NULL && wanted > size) {
        at = bytes_reserve(writer->out, size); /* close to the queue's maximum */
    }
    if (at == NULL) {
        return false;
    }
    writer->begin = writer->at = at;
    writer->end = at + bytes_room(writer->out);
    return true;
}
