/*
 * Packets and options. A table says what a packet of each type looks like; the rest of the reading is
 * the same for all of them.
 */
#include "backend/worker_wire.h"

#include "backend/worker_bytes.h"
#include "base/check.h"
#include "base/checked.h"
#include "base/utf8.h"

#define MAGIC 0x57584e4fu
#define HEAD_BYTES 16
#define TEXT_HEAD_BYTES 8
#define TEXT_MAX_BYTES 1024
#define RECORDS_ALIGN 8

static const struct {
    const char *name;
    size_t body_bytes; /* without the text */
    bool has_text;
    bool is_of_run;
    bool is_of_any_version; /* sent before both sides know which they speak */
} types[] = {
    [WORKER_HELLO] = {.name = "HELLO", .body_bytes = 32, .is_of_any_version = true},
    [WORKER_WELCOME] = {.name = "WELCOME"},
    [WORKER_READY] = {.name = "READY", .body_bytes = 24},
    [WORKER_FAILED] = {.name = "FAILED",
                       .body_bytes = TEXT_HEAD_BYTES,
                       .has_text = true,
                       .is_of_any_version = true},
    [WORKER_RUN] = {.name = "RUN", .body_bytes = 24, .is_of_run = true},
    [WORKER_RESULT] = {.name = "RESULT", .body_bytes = 24, .is_of_run = true},
    [WORKER_ERROR] = {.name = "ERROR",
                      .body_bytes = TEXT_HEAD_BYTES,
                      .has_text = true,
                      .is_of_run = true},
    [WORKER_END] = {.name = "END"},
};

#define TYPE_COUNT (sizeof(types) / sizeof(types[0]))

/* As much of a text as a packet may carry: whole characters. */
static struct slice cut_text(struct slice text)
{
    struct slice head = slice_head(text, TEXT_MAX_BYTES);
    return slice_head(head, utf8_valid_bytes(head));
}

static char *put_text(char *at, struct slice text)
{
    at = worker_put_u32(at, (uint32_t)text.len);
    if (text.len > 0) {
        memcpy(at, text.ptr, text.len);
    }
    return at + text.len;
}

static char *put_body(const struct worker_packet *packet, char *at)
{
    switch (packet->type) {
    case WORKER_HELLO:
        at = worker_put_u16(at, packet->oldest);
        at = worker_put_u16(at, packet->newest);
        at = worker_put_u32(at, 0);
        at = worker_put_u64(at, packet->area_bytes);
        at = worker_put_u64(at, packet->offset);
        return worker_put_u64(at, packet->size_bytes);
    case WORKER_READY:
        at = worker_put_u64(at, packet->area_bytes);
        at = worker_put_u64(at, packet->offset);
        return worker_put_u64(at, packet->size_bytes);
    case WORKER_RUN:
    case WORKER_RESULT:
        at = worker_put_u64(at, packet->area_bytes);
        at = worker_put_u64(at, packet->offset);
        at = packet->type == WORKER_RUN ? worker_put_u32(at, packet->input_count) : at;
        at = worker_put_u32(at, packet->output_count);
        return packet->type == WORKER_RUN ? at : worker_put_u32(at, 0);
    case WORKER_FAILED:
    case WORKER_ERROR:
        at = worker_put_u32(at, packet->reason);
        return put_text(at, cut_text(packet->text));
    case WORKER_WELCOME:
    case WORKER_END:
        break;
    }
    return at;
}

size_t worker_packet_write(const struct worker_packet *packet, char *bytes)
{
    CHECK((size_t)packet->type < TYPE_COUNT && types[packet->type].name != NULL);
    char *at = worker_put_u32(bytes, MAGIC);
    at = worker_put_u16(at, packet->version);
    at = worker_put_u16(at, (uint16_t)packet->type);
    at = worker_put_u64(at, packet->run);
    return (size_t)(put_body(packet, at) - bytes);
}

static int read_head(struct slice bytes, struct worker_packet *packet, struct error *error)
{
    if (bytes.len < HEAD_BYTES || bytes.len > WORKER_PACKET_MAX) {
        return error_set(error, ERR_INTERNAL, "a packet of %zu bytes", bytes.len);
    }
    uint32_t magic = worker_get_u32(bytes.ptr);
    uint16_t type = worker_get_u16(bytes.ptr + 6);
    if (magic != MAGIC) {
        return error_set(error, ERR_INTERNAL, "a packet with the magic number 0x%08x", magic);
    }
    if (type >= TYPE_COUNT || types[type].name == NULL) {
        return error_set(error, ERR_INTERNAL, "a packet of the unknown type %u", type);
    }
    packet->type = (enum worker_packet_type)type;
    packet->version = worker_get_u16(bytes.ptr + 4);
    packet->run = worker_get_u64(bytes.ptr + 8);
    if (packet->version != WORKER_VERSION && !types[type].is_of_any_version) {
        return error_set(error, ERR_INTERNAL, "%s of protocol version %u, not %d", types[type].name,
                         packet->version, WORKER_VERSION);
    }
    if (packet->run != 0 && !types[type].is_of_run) {
        return error_set(error, ERR_INTERNAL, "%s with the number of a run", types[type].name);
    }
    return ERR_OK;
}

/* `body` has at least the bytes that the table says. *ret_reserved is what has to be 0. */
static void read_body(const char *body, struct worker_packet *packet, uint32_t *ret_reserved)
{
    *ret_reserved = 0;
    switch (packet->type) {
    case WORKER_HELLO:
        packet->oldest = worker_get_u16(body);
        packet->newest = worker_get_u16(body + 2);
        *ret_reserved = worker_get_u32(body + 4);
        packet->area_bytes = worker_get_u64(body + 8);
        packet->offset = worker_get_u64(body + 16);
        packet->size_bytes = worker_get_u64(body + 24);
        break;
    case WORKER_READY:
        packet->area_bytes = worker_get_u64(body);
        packet->offset = worker_get_u64(body + 8);
        packet->size_bytes = worker_get_u64(body + 16);
        break;
    case WORKER_RUN:
        packet->area_bytes = worker_get_u64(body);
        packet->offset = worker_get_u64(body + 8);
        packet->input_count = worker_get_u32(body + 16);
        packet->output_count = worker_get_u32(body + 20);
        break;
    case WORKER_RESULT:
        packet->area_bytes = worker_get_u64(body);
        packet->offset = worker_get_u64(body + 8);
        packet->output_count = worker_get_u32(body + 16);
        *ret_reserved = worker_get_u32(body + 20);
        break;
    case WORKER_FAILED:
    case WORKER_ERROR:
        packet->reason = worker_get_u32(body);
        break;
    case WORKER_WELCOME:
    case WORKER_END:
        break;
    }
}

/* The text behind a body, which ends the packet. */
static int read_text(struct slice body, struct worker_packet *packet, struct error *error)
{
    const char *name = types[packet->type].name;
    uint32_t len = worker_get_u32(body.ptr + TEXT_HEAD_BYTES - sizeof(uint32_t));
    struct slice text = slice_tail(body, TEXT_HEAD_BYTES);
    if (len != text.len || len > TEXT_MAX_BYTES) {
        return error_set(error, ERR_INTERNAL, "%s with %zu bytes of a text of %u bytes", name,
                         text.len, len);
    }
    if (utf8_valid_bytes(text) != text.len) {
        return error_set(error, ERR_INTERNAL, "%s with a text that is not UTF-8", name);
    }
    packet->text = text;
    return ERR_OK;
}

/* Bytes in an area that the packet refers to. */
static uint64_t referred_bytes(const struct worker_packet *packet)
{
    switch (packet->type) {
    case WORKER_RUN:
        return packet->input_count * WORKER_RECORD_BYTES + packet->output_count * sizeof(uint32_t);
    case WORKER_RESULT:
        return packet->output_count * WORKER_RECORD_BYTES;
    default:
        return packet->size_bytes;
    }
}

static int check_reference(const struct worker_packet *packet, struct error *error)
{
    const char *name = types[packet->type].name;
    bool has_records = packet->type == WORKER_RUN || packet->type == WORKER_RESULT;
    if (packet->input_count > WORKER_PORTS_MAX || packet->output_count > WORKER_PORTS_MAX) {
        return error_set(error, ERR_INTERNAL, "%s with %u inputs and %u outputs, at most %d", name,
                         packet->input_count, packet->output_count, WORKER_PORTS_MAX);
    }
    if (packet->type == WORKER_READY && packet->size_bytes > WORKER_SIGNATURE_MAX_BYTES) {
        return error_set(error, ERR_INTERNAL, "%s with a signature of %llu bytes, at most %zu",
                         name, (unsigned long long)packet->size_bytes, WORKER_SIGNATURE_MAX_BYTES);
    }
    uint64_t size_bytes = referred_bytes(packet);
    if (packet->offset > packet->area_bytes || size_bytes > packet->area_bytes - packet->offset) {
        return error_set(error, ERR_INTERNAL,
                         "%s points out of its area: %llu bytes at %llu, the area has %llu", name,
                         (unsigned long long)size_bytes, (unsigned long long)packet->offset,
                         (unsigned long long)packet->area_bytes);
    }
    if (has_records && packet->offset % RECORDS_ALIGN != 0) {
        return error_set(error, ERR_INTERNAL, "%s with records at %llu, no multiple of %d", name,
                         (unsigned long long)packet->offset, RECORDS_ALIGN);
    }
    return ERR_OK;
}

static int check_body(const struct worker_packet *packet, struct error *error)
{
    const char *name = types[packet->type].name;
    if (packet->type == WORKER_HELLO && (packet->oldest == 0 || packet->oldest > packet->newest ||
                                         packet->newest != packet->version)) {
        return error_set(error, ERR_INTERNAL, "%s of version %u with versions %u to %u", name,
                         packet->version, packet->oldest, packet->newest);
    }
    uint32_t last = packet->type == WORKER_FAILED ? WORKER_OTHER_FAILURE : WORKER_CAUSE_OTHER;
    if (types[packet->type].has_text && (packet->reason == 0 || packet->reason > last)) {
        return error_set(error, ERR_INTERNAL, "%s with the unknown reason %u", name,
                         packet->reason);
    }
    return check_reference(packet, error);
}

int worker_packet_read(struct slice bytes, struct worker_packet *ret_packet, struct error *error)
{
    struct worker_packet packet = {.text = SLICE("")};
    int status = read_head(bytes, &packet, error);
    if (status != ERR_OK) {
        return status;
    }
    struct slice body = slice_tail(bytes, HEAD_BYTES);
    size_t wanted = types[packet.type].body_bytes;
    bool has_text = types[packet.type].has_text;
    if (body.len < wanted || (body.len > wanted && !has_text)) {
        return error_set(error, ERR_INTERNAL, "%s with a body of %zu bytes, not %zu",
                         types[packet.type].name, body.len, wanted);
    }
    uint32_t reserved;
    read_body(body.ptr, &packet, &reserved);
    if (reserved != 0) {
        return error_set(error, ERR_INTERNAL, "%s with %u where 0 belongs", types[packet.type].name,
                         reserved);
    }
    if (has_text) {
        status = read_text(body, &packet, error);
    }
    if (status == ERR_OK) {
        status = check_body(&packet, error);
    }
    if (status == ERR_OK) {
        *ret_packet = packet;
    }
    return status;
}

size_t worker_options_size(const struct worker_option *options, size_t count)
{
    size_t size_bytes = sizeof(uint32_t);
    bool overflow = count > UINT32_MAX;
    for (size_t i = 0; i < count; i++) {
        CHECK(options[i].key.len <= UINT32_MAX && options[i].value.len <= UINT32_MAX);
        overflow = overflow || checked_add(size_bytes, 2 * sizeof(uint32_t), &size_bytes) ||
                   checked_add(size_bytes, options[i].key.len, &size_bytes) ||
                   checked_add(size_bytes, options[i].value.len, &size_bytes);
    }
    CHECK(!overflow);
    return size_bytes;
}

void worker_options_write(const struct worker_option *options, size_t count, char *bytes)
{
    char *at = worker_put_u32(bytes, (uint32_t)count);
    for (size_t i = 0; i < count; i++) {
        at = put_text(at, options[i].key);
        at = put_text(at, options[i].value);
    }
}
