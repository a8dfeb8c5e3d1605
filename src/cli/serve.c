/* onnxd serve: the service. */
#include <stdio.h>

#include "cli/command.h"
#include "serve/server.h"

static int run(const struct command *command, int argc, char **argv)
{
    struct error error;
    struct settings settings;
    struct command_input input;
    int status = command_read(command, argc, argv, &input, &settings, &error);
    if (status != ERR_OK) {
        return command_fail(&error);
    }
    settings_done(&settings);
    struct server_options options = {
        .input = &input.input, .version = ONNXD_VERSION, .test_backend = command_test_backend};
    status = server_run(&options, &error);
    return status == ERR_OK ? EXIT_CODE_OK : command_fail(&error);
}

const struct command command_serve = {
    .name = "serve",
    .arguments = "[DIR|FILE] [flags]",
    .summary = "Serve a model over HTTP (the default command).",
    .details = "DIR|FILE stands for SM_MODEL_DIR and MODEL_FILENAME. SIGHUP reloads the model,\n"
               "SIGTERM and SIGINT answer what is in flight and stop. Exit codes: 0 clean,\n"
               "2 bad configuration, 1 anything else.",
    .groups = SETTINGS_ALL,
    .takes_path = true,
    .run = run,
};
