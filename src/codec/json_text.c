#include "codec/json_text.h"

#include "base/utf8.h"
#include "codec/writer.h"

/* Bytes that stand for themselves in a string: all ASCII but the control characters, " and \. */
static inline bool is_plain(unsigned char byte)
{
    return byte >= 0x20 && byte < 0x80 && byte != '"' && byte != '\\';
}

static int put_escape(struct writer *writer, unsigned char byte)
{
    static const char hex[] = "0123456789abcdef";
    static const char letters[0x20] = {
        ['\b'] = 'b', ['\f'] = 'f', ['\n'] = 'n', ['\r'] = 'r', ['\t'] = 't'};
    char letter = byte < 0x20 ? letters[byte] : (char)byte;
    if (letter != '\0') {
        const char text[] = {'\\', letter};
        return writer_put(writer, slice_make(text, sizeof(text)));
    }
    const char text[] = {'\\', 'u', '0', '0', hex[byte >> 4], hex[byte & 0xf]};
    return writer_put(writer, slice_make(text, sizeof(text)));
}

/* Length of the start of the text that needs no change. */
static size_t clean_len(struct slice text)
{
    size_t len = 0;
    while (len < text.len) {
        unsigned char byte = (unsigned char)text.ptr[len];
        if (is_plain(byte)) {
            len++;
            continue;
        }
        struct utf8_step step = utf8_step(slice_tail(text, len));
        if (byte < 0x80 || !step.valid) {
            break;
        }
        len += step.bytes;
    }
    return len;
}

static int put_string_body(struct writer *writer, struct slice text)
{
    for (;;) {
        size_t clean = clean_len(text);
        if (writer_put(writer, slice_head(text, clean)) != ERR_OK) {
            return ERR_NO_MEMORY;
        }
        if (clean == text.len) {
            return ERR_OK;
        }
        text = slice_tail(text, clean);
        struct utf8_step step = utf8_step(text);
        int status = step.valid ? put_escape(writer, (unsigned char)text.ptr[0])
                                : writer_put(writer, UTF8_REPLACEMENT);
        if (status != ERR_OK) {
            return status;
        }
        text = slice_tail(text, step.bytes);
    }
}

int json_text_write(struct writer *writer, struct slice text)
{
    if (writer_put_byte(writer, '"') != ERR_OK || put_string_body(writer, text) != ERR_OK) {
        return ERR_NO_MEMORY;
    }
    return writer_put_byte(writer, '"');
}

int json_text_put(struct bytes *out, struct slice text)
{
    struct writer writer;
    size_t before = bytes_len(out);
    writer_init(&writer, out);
    int status = json_text_write(&writer, text);
    writer_commit(&writer);
    if (status != ERR_OK) {
        bytes_truncate(out, before);
    }
    return status;
}
