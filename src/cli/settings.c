/* onnxd settings: the table of settings as the README shows it. */
#include <stdio.h>

#include "cli/command.h"

static bool markdown;

static const struct settings_option options[] = {
    {.flag = "markdown", .help = "As Markdown tables.", .ret_given = &markdown},
};

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
    if (markdown) {
        settings_print_markdown(stdout);
    } else {
        settings_print_help(stdout, SETTINGS_ALL, NULL, 0);
    }
    return EXIT_CODE_OK;
}

const struct command command_settings = {
    .name = "settings",
    .arguments = "[--markdown]",
    .summary = "Print every setting with its variable, flag, default and meaning.",
    .groups = 0,
    .options = options,
    .option_count = sizeof(options) / sizeof(options[0]),
    .run = run,
};
