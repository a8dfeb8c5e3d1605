/*
 * Signatures and options from short texts, and decoded inputs as text: what makes tables of codec
 * tests readable. For tests and fuzz targets; one thread.
 *
 * A signature: "x float32 N 3; city string N 1; t float32 *" (name, type, then dimensions: a number,
 * or a name for a free one; `*` for an unknown rank; none for a single value).
 * Options: words such as "ids=0 dtype=int64 max=2 map=fa:a,fb:b:int64"; see set_option.
 * Inputs: "x float32[2,3] 1 2 3 4 5 6; ...".
 */
#ifndef CODEC_FIXTURE_H
#define CODEC_FIXTURE_H

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "codec/codec.h"
#include "codec/scalar.h"

#define FIXTURE_PORTS 16
#define FIXTURE_TEXT 4096

struct codec_fixture {
    char spec[FIXTURE_TEXT];
    char words[FIXTURE_TEXT];
    struct port inputs[FIXTURE_PORTS];
    struct port outputs[FIXTURE_PORTS];
    struct signature signature;
    struct codec_options options;
    struct codec_mapping input_map[FIXTURE_PORTS];
    struct codec_mapping output_map[FIXTURE_PORTS];
    struct slice feature_names[FIXTURE_PORTS];
};

static inline struct slice fixture_word(struct slice *rest)
{
    struct slice word = {NULL, 0};
    while (rest->ptr != NULL && word.len == 0) {
        word = slice_trim(slice_cut(rest, ' '));
    }
    return word;
}

static inline void fixture_port(struct port *port, struct slice text)
{
    struct slice rest = text;
    *port = (struct port){.kind = PORT_TENSOR, .rank_known = true};
    port->name = fixture_word(&rest);
    struct slice type = fixture_word(&rest);
    port->dtype = dtype_parse(type);
    port->type_text = type;
    if (slice_eq(type, SLICE("optional"))) {
        port->kind = PORT_OPTIONAL;
    } else if (port->dtype == DTYPE_NONE) {
        port->kind = PORT_SEQUENCE;
    }
    for (struct slice dim = fixture_word(&rest); dim.len > 0; dim = fixture_word(&rest)) {
        if (slice_eq(dim, SLICE("*"))) {
            port->rank_known = false;
            return;
        }
        bool fixed = dim.ptr[0] >= '0' && dim.ptr[0] <= '9';
        port->dims[port->rank] = fixed ? strtoll(dim.ptr, NULL, 10) : -1;
        port->symbols[port->rank] = fixed ? (struct slice){NULL, 0} : dim;
        port->rank++;
    }
}

static inline size_t fixture_ports(struct port *ports, struct slice text)
{
    size_t count = 0;
    while (text.ptr != NULL && slice_trim(text).len > 0 && count < FIXTURE_PORTS) {
        fixture_port(&ports[count++], slice_cut(&text, ';'));
    }
    return count;
}

/* "key:port" or "key:port:dtype", separated by commas. */
static inline size_t fixture_map(struct codec_mapping *map, struct slice text)
{
    size_t count = 0;
    while (text.ptr != NULL && count < FIXTURE_PORTS) {
        struct slice entry = slice_cut(&text, ',');
        map[count].key = slice_cut(&entry, ':');
        map[count].port = slice_cut(&entry, ':');
        map[count].dtype = entry.ptr == NULL ? DTYPE_NONE : dtype_parse(entry);
        count++;
    }
    return count;
}

static inline void fixture_option(struct codec_fixture *fixture, struct slice word)
{
    struct codec_options *options = &fixture->options;
    struct slice value = word;
    struct slice name = slice_cut(&value, '=');
    uint64_t number = value.ptr == NULL ? 0 : strtoull(value.ptr, NULL, 10);
    if (slice_eq(name, SLICE("ids"))) {
        options->id_columns = value;
    } else if (slice_eq(name, SLICE("features"))) {
        options->feature_columns = value;
    } else if (slice_eq(name, SLICE("count"))) {
        options->num_features = number;
    } else if (slice_eq(name, SLICE("dtype"))) {
        options->tabular_dtype = dtype_parse(value);
    } else if (slice_eq(name, SLICE("max"))) {
        options->max_records = number;
    } else if (slice_eq(name, SLICE("input"))) {
        options->input_name = value;
    } else if (slice_eq(name, SLICE("output"))) {
        options->output_name = value;
    } else if (slice_eq(name, SLICE("index"))) {
        options->output_index = number;
    } else if (slice_eq(name, SLICE("delimiter"))) {
        options->csv_delimiter = value.ptr[0] == 'T' ? '\t' : value.ptr[0];
    } else if (slice_eq(name, SLICE("header"))) {
        options->csv_has_header = value.ptr[0] == 't' ? CSV_HEADER_TRUE : CSV_HEADER_FALSE;
    } else if (slice_eq(name, SLICE("blanks"))) {
        options->csv_skip_blank_lines = false;
    } else if (slice_eq(name, SLICE("unequal"))) {
        options->dynamic_batch = false;
    } else if (slice_eq(name, SLICE("instances"))) {
        options->json_key_instances = value;
    } else if (slice_eq(name, SLICE("row"))) {
        options->jsonl_features_key = value;
    } else if (slice_eq(name, SLICE("map"))) {
        options->input_map_count = fixture_map(fixture->input_map, value);
    } else if (slice_eq(name, SLICE("outputs"))) {
        options->output_map_count = fixture_map(fixture->output_map, value);
    } else if (slice_eq(name, SLICE("names"))) {
        while (value.ptr != NULL && options->feature_name_count < FIXTURE_PORTS) {
            fixture->feature_names[options->feature_name_count++] = slice_cut(&value, ',');
        }
    } else {
        fprintf(stderr, "unknown option %.*s\n", SLICE_FMT(name));
        abort();
    }
}

/* The texts are copied; NULL options are the defaults. */
static inline void fixture_init(struct codec_fixture *fixture, const char *inputs,
                                const char *outputs, const char *options)
{
    *fixture = (struct codec_fixture){.options = codec_options_default()};
    size_t split = strlen(inputs) + 1;
    snprintf(fixture->spec, sizeof(fixture->spec), "%s", inputs);
    snprintf(fixture->spec + split, sizeof(fixture->spec) - split, "%s", outputs);
    snprintf(fixture->words, sizeof(fixture->words), "%s", options == NULL ? "" : options);
    fixture->signature.inputs = fixture->inputs;
    fixture->signature.outputs = fixture->outputs;
    fixture->signature.input_count = fixture_ports(fixture->inputs, slice_from_str(fixture->spec));
    fixture->signature.output_count =
        fixture_ports(fixture->outputs, slice_from_str(fixture->spec + split));
    fixture->options.input_map = fixture->input_map;
    fixture->options.output_map = fixture->output_map;
    fixture->options.feature_names = fixture->feature_names;
    struct slice rest = slice_from_str(fixture->words);
    for (struct slice word = fixture_word(&rest); word.len > 0; word = fixture_word(&rest)) {
        fixture_option(fixture, word);
    }
}

/* %g with the digits of the type; nan without a sign. */
static inline int fixture_print_number(const struct scalar *value, enum dtype dtype, char *text,
                                       size_t size)
{
    if (value->kind == SCALAR_I64) {
        return snprintf(text, size, " %" PRId64, value->as.i64);
    }
    if (value->kind == SCALAR_U64) {
        return snprintf(text, size, " %" PRIu64, value->as.u64);
    }
    if (value->as.f64 != value->as.f64) {
        return snprintf(text, size, " nan");
    }
    return snprintf(text, size, " %.*g", dtype == DTYPE_F64 ? 17 : 9, value->as.f64);
}

static inline int fixture_print_element(const struct tensor *tensor, size_t index, char *text,
                                        size_t size)
{
    if (tensor->dtype == DTYPE_STRING) {
        const struct slice *string = (const struct slice *)tensor->at + index;
        return snprintf(text, size, " '%.*s'", SLICE_FMT(*string));
    }
    struct scalar value =
        scalar_load(tensor->dtype, (const char *)tensor->at + index * dtype_size(tensor->dtype));
    return fixture_print_number(&value, tensor->dtype, text, size);
}

/* Everything that a request decoded to, the row count last where it is not the first dimension. */
static inline void fixture_print(const struct codec_fixture *fixture,
                                 const struct codec_inputs *inputs, char text[FIXTURE_TEXT])
{
    size_t len = 0;
    text[0] = '\0';
    for (size_t i = 0; i < inputs->count && len < FIXTURE_TEXT; i++) {
        const struct tensor *tensor = &inputs->tensors[i];
        len += (size_t)snprintf(text + len, FIXTURE_TEXT - len, "%s%.*s %s[", i > 0 ? "; " : "",
                                SLICE_FMT(fixture->inputs[i].name), dtype_name(tensor->dtype));
        for (unsigned d = 0; d < tensor->rank && len < FIXTURE_TEXT; d++) {
            len += (size_t)snprintf(text + len, FIXTURE_TEXT - len, "%s%" PRId64, d > 0 ? "," : "",
                                    tensor->dims[d]);
        }
        if (len < FIXTURE_TEXT) {
            len += (size_t)snprintf(text + len, FIXTURE_TEXT - len, "]");
        }
        size_t elements = tensor->dtype == DTYPE_NONE ? 0 : (size_t)tensor_elements(tensor);
        for (size_t e = 0; e < elements && len < FIXTURE_TEXT; e++) {
            len += (size_t)fixture_print_element(tensor, e, text + len, FIXTURE_TEXT - len);
        }
    }
}

#endif
