/*
 * onnxd: serves a model over HTTP. This file only finds the subcommand; each is a file of cli/.
 */
#include <stdio.h>
#include <string.h>

#include "cli/command.h"

#ifdef ONNXD_FAKE_BACKEND
const struct backend *const command_test_backend = &backend_fake;
#else
const struct backend *const command_test_backend = NULL;
#endif

static void print_usage(FILE *out)
{
    size_t count;
    const struct command *const *all = commands(&count);
    fprintf(out,
            "onnxd: serves a model over HTTP and gRPC\n\nusage: onnxd [command] [arguments]\n\n");
    for (size_t i = 0; i < count; i++) {
        fprintf(out, "  %-10s%s\n", all[i]->name, all[i]->summary);
    }
    fprintf(out, "\n`onnxd COMMAND --help` tells more of each.\n");
}

int main(int argc, char **argv)
{
    int first = 1;
    const struct command *command = argc > 1 ? command_find(argv[1]) : NULL;
    if (command != NULL) {
        first = 2;
    } else if (argc > 1 && (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0 ||
                            strcmp(argv[1], "help") == 0)) {
        print_usage(stdout);
        return command_end_output(EXIT_CODE_OK);
    } else if (argc > 1 && strcmp(argv[1], "--version") == 0) {
        command = &command_version;
        first = 2;
    } else {
        struct error error;
        command = &command_serve;
        if (argc > 1 && command_check_word(argv[1], &error) != ERR_OK) {
            return command_fail(&error);
        }
    }
    if (command_wants_help(argc - first, argv + first)) {
        command_print_help(command);
        return command_end_output(EXIT_CODE_OK);
    }
    return command_end_output(command->run(command, argc - first, argv + first));
}
