/* onnxd version: ours, the runtime's and every library's. */
#include <stdio.h>

#include "backend/backend.h"
#include "cli/command.h"
#include "codec/codec.h"
#include "http/gzip.h"
#include "http/h1.h"
#include "http/h2.h"

static int run(const struct command *command, int argc, char **argv)
{
    struct error error;
    struct settings settings;
    struct command_input input;
    int status = command_read(command, argc, argv, &input, &settings, &error);
    if (status != ERR_OK) {
        return command_fail(&error);
    }
    const char *library =
        settings.onnx_runtime_library.len == 0 ? NULL : settings.onnx_runtime_library.ptr;
    const char *runtime = backend_ort.version(library, &error);
    printf("onnxd        %s\n", ONNXD_VERSION);
    printf("onnxruntime  %s\n", runtime == NULL ? error.text : runtime);
    printf("llhttp       %s\n", h1_library_version());
    printf("nghttp2      %s\n", h2_library_version());
    printf("yyjson       %s\n", codec_library_version());
    printf("zlib         %s\n", gzip_library_version());
    settings_done(&settings);
    return runtime == NULL ? EXIT_CODE_FAILED : EXIT_CODE_OK;
}

const struct command command_version = {
    .name = "version",
    .arguments = "",
    .summary = "Print the versions of onnxd, the runtime and every library.",
    .groups = SETTINGS_RUNTIME,
    .run = run,
};
