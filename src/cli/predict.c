#include "cli/command.h"

static int run(const struct command *command, int argc, char **argv)
{
    (void)command, (void)argc, (void)argv;
    return EXIT_CODE_FAILED;
}

const struct command command_predict = {
    .name = "predict", .arguments = "", .summary = "", .run = run};
