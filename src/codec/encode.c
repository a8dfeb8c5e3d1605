/*
 * Chooses the encoder of an answer and keeps the promise that a failed one leaves no trace in the
 * output. What the bytes look like is the encoders' business.
 */
#include "codec/encode.h"

#include "base/check.h"

#define MESSAGE_NAME_BYTES 100

int encode_refuse(const struct port *port, const char *encoding, const char *reason,
                  struct error *error)
{
    struct slice name = slice_head(port->name, MESSAGE_NAME_BYTES);
    return error_set(error, ERR_INVALID, "output '%.*s' has no %s form: %s", SLICE_FMT(name),
                     encoding, reason);
}

int encode_refuse_type(const struct port *port, const char *encoding, enum dtype dtype,
                       struct error *error)
{
    struct slice name = slice_head(port->name, MESSAGE_NAME_BYTES);
    struct slice type = slice_head(port->type_text, MESSAGE_NAME_BYTES);
    if (type.len == 0) {
        type = slice_from_str(dtype_name(dtype));
    }
    return error_set(error, ERR_INVALID, "output '%.*s' has no %s form: its type is %.*s",
                     SLICE_FMT(name), encoding, SLICE_FMT(type));
}

/* What can be answered: everything that is neither CSV nor npy gets JSON, as an output map does. */
static enum media choose(const struct codec_plan *plan, enum media asked)
{
    bool mapped = plan->options->output_map_count > 0;
    return !mapped && (asked == MEDIA_CSV || asked == MEDIA_NPY) ? asked : MEDIA_JSON;
}

static int encode(const struct codec_plan *plan, enum media media, const struct value *values,
                  struct writer *writer, struct error *error)
{
    if (media == MEDIA_JSON) {
        return encode_json(plan, values, writer, error);
    }
    CHECK(plan->wanted_count == 1);
    struct encode_output output = {&plan->signature->outputs[plan->wanted[0]], &values[0]};
    return media == MEDIA_CSV ? encode_csv(plan, output, writer, error)
                              : encode_npy(output, writer, error);
}

int codec_encode(const struct codec_plan *plan, enum media media, const struct value *values,
                 struct bytes *out, enum media *ret_media, struct error *error)
{
    size_t before = bytes_len(out);
    enum media chosen = choose(plan, media);
    struct writer writer;
    writer_init(&writer, out);
    int status = encode(plan, chosen, values, &writer, error);
    if (status != ERR_OK) {
        bytes_truncate(out, before);
        if (status == ERR_NO_MEMORY) {
            error_set(error, ERR_NO_MEMORY, "the answer does not fit into %zu bytes of memory",
                      out->max);
        }
        return status;
    }
    writer_commit(&writer);
    *ret_media = chosen;
    return ERR_OK;
}
