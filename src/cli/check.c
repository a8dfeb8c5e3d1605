/* onnxd check: the manifest against the model, before anybody deploys them. */
#include <stdio.h>

#include "cli/command.h"
#include "serve/deployment.h"

static void print_line(void *user, const char *line)
{
    *(size_t *)user += 1;
    fprintf(stderr, "onnxd: %s\n", line);
}

static int run(const struct command *command, int argc, char **argv)
{
    struct error error;
    struct settings settings;
    struct command_input input;
    if (command_read(command, argc, argv, &input, &settings, &error) != ERR_OK) {
        return command_fail(&error);
    }
    settings_done(&settings);
    size_t lines = 0;
    struct deployment_query query = {.input = &input.input,
                                     .report = print_line,
                                     .report_user = &lines,
                                     .test_backend = command_test_backend};
    struct deployment *deployment;
    if (deployment_load(&query, &deployment, &error) != ERR_OK) {
        /* Contradictions have been told, a line each; anything else is one line. */
        return lines > 0 ? EXIT_CODE_CONFIG : command_fail(&error);
    }
    printf("%s: %s\n", deployment->artifact.path.ptr,
           deployment->has_manifest ? "the manifest and the model agree"
                                    : "there is no manifest; the model loads and runs");
    deployment_unref(deployment);
    return EXIT_CODE_OK;
}

const struct command command_check = {
    .name = "check",
    .arguments = "[DIR|FILE]",
    .summary = "Check a manifest against its model; exit code 2 and a line a contradiction.",
    .groups = SETTINGS_ALL & ~(unsigned)SETTINGS_SERVICE,
    .takes_path = true,
    .run = run,
};
