#include "serve/banner.h"

#include "serve/example.h"

static void print_ports(FILE *out, const char *what, const struct port *ports, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        fprintf(out, "  %-8s  %.*s  %.*s\n", i == 0 ? what : "", SLICE_FMT(ports[i].name),
                SLICE_FMT(ports[i].type_text));
    }
}

/* Inside single quotes of a shell: a quote ends them, is written by itself, and opens them again. */
static void print_quoted(FILE *out, struct slice text)
{
    fputc('\'', out);
    for (size_t i = 0; i < text.len; i++) {
        if (text.ptr[i] == '\'') {
            fputs("'\\''", out);
        } else {
            fputc(text.ptr[i], out);
        }
    }
    fputc('\'', out);
}

static void print_curl(FILE *out, const struct deployment *deployment, const char *base)
{
    const struct manifest_sample *sample = &deployment->manifest.example;
    struct example_model model = {.signature = deployment->signature,
                                  .options = &deployment->codec_options};
    struct slice content_type = SLICE("application/json");
    struct bytes built;
    bytes_init(&built, (size_t)64 * 1024);
    struct slice body = {NULL, 0};
    if (sample->given) {
        content_type = sample->content_type;
        body = sample->body;
    } else if (example_put(&model, MEDIA_JSON, &built) == ERR_OK) {
        body = bytes_slice(&built);
    }
    if (body.ptr != NULL) {
        fprintf(out, "\n  curl -s -H ");
        char field[256];
        snprintf(field, sizeof(field), "Content-Type: %.*s", SLICE_FMT(content_type));
        print_quoted(out, slice_from_str(field));
        fprintf(out, " -d ");
        print_quoted(out, body);
        fprintf(out, " %s/invocations\n", base);
    }
    bytes_done(&built);
}

void banner_print(FILE *out, const struct deployment *deployment, const struct settings *settings,
                  uint16_t port, uint16_t grpc_port)
{
    const struct signature *signature = deployment->signature;
    char base[64];
    snprintf(base, sizeof(base), "http://localhost:%u", (unsigned)port);
    fprintf(out, "\n  model     %.*s  (%s)\n", SLICE_FMT(deployment->name),
            deployment->artifact.path.ptr);
    print_ports(out, "inputs", signature->inputs, signature->input_count);
    print_ports(out, "outputs", signature->outputs, signature->output_count);
    fprintf(out, "  batching  %s\n",
            deployment->target.batchable ? "requests that arrive together share a run"
                                         : "every request runs alone");
    fprintf(out, "  POST      %s/invocations\n", base);
    fprintf(out, "  GET       %s/ready  /live  /ping", base);
    if (settings->prometheus_enabled) {
        fprintf(out, "  %.*s", SLICE_FMT(settings->prometheus_path));
    }
    fprintf(out, "%s%s\n", settings->swagger_enabled ? "  /docs  /openapi.yaml" : "",
            settings->ui_enabled ? "  /ui" : "");
    if (settings->grpc_enabled) {
        fprintf(out, "  gRPC      localhost:%u  onnxserving.grpc.InferenceService\n",
                (unsigned)(grpc_port == 0 ? port : grpc_port));
    }
    print_curl(out, deployment, base);
    fputc('\n', out);
    fflush(out);
}
