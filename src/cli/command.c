#include "cli/command.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "config/suggest.h"

static const struct command *const all[] = {
    &command_serve,  &command_inspect, &command_check,    &command_predict,
    &command_health, &command_version, &command_settings, &command_metrics,
};

const struct command *const *commands(size_t *ret_count)
{
    *ret_count = sizeof(all) / sizeof(all[0]);
    return all;
}

const struct command *command_find(const char *name)
{
    for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
        if (strcmp(all[i]->name, name) == 0) {
            return all[i];
        }
    }
    return NULL;
}

int command_check_word(const char *word, struct error *error)
{
    struct stat status;
    if (word[0] == '-' || strchr(word, '/') != NULL || stat(word, &status) == 0) {
        return ERR_OK;
    }
    struct suggestion suggestion = {.typed = slice_from_str(word)};
    for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
        suggestion_offer(&suggestion, all[i]->name);
    }
    bool found = suggestion.name != NULL;
    return error_set(error, ERR_CONFIG, "%.100s: no such command, file or directory%s%s%s", word,
                     found ? "; did you mean \"" : "", found ? suggestion.name : "",
                     found ? "\"?" : "");
}

int command_fail(const struct error *error)
{
    fprintf(stderr, "onnxd: %s\n", error->text);
    bool unusable = error->code == ERR_CONFIG || error->code == ERR_NOT_FOUND;
    return unusable ? EXIT_CODE_CONFIG : EXIT_CODE_FAILED;
}

int command_end_output(int code)
{
    errno = 0;
    if (fflush(stdout) == 0 && !ferror(stdout)) {
        return code;
    }
    fprintf(stderr, "onnxd: standard output: %s\n",
            errno == 0 ? "cannot be written" : strerrordesc_np(errno));
    return code == EXIT_CODE_OK ? EXIT_CODE_FAILED : code;
}

bool command_wants_help(int argc, char **argv)
{
    for (int i = 0; i < argc && strcmp(argv[i], "--") != 0; i++) {
        if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0) {
            return true;
        }
    }
    return false;
}

void command_print_help(const struct command *command)
{
    printf("usage: onnxd %s%s%s\n\n%s\n", command->name, command->arguments[0] == '\0' ? "" : " ",
           command->arguments, command->summary);
    if (command->details != NULL) {
        printf("\n%s\n", command->details);
    }
    printf("\n");
    settings_print_help(stdout, command->groups, command->options, command->option_count);
}

static const char *lookup(void *environment, const char *name)
{
    (void)environment;
    return getenv(name);
}

static int set_paths(struct command_input *input, const char *path, struct error *error)
{
    struct stat status;
    if (stat(path, &status) != 0) {
        return error_set(error, ERR_CONFIG, "%s: %s", path, strerrordesc_np(errno));
    }
    const char *slash = strrchr(path, '/');
    bool is_directory = S_ISDIR(status.st_mode);
    int directory_len = is_directory ? (int)strlen(path) : slash == NULL ? 1 : (int)(slash - path);
    const char *directory = is_directory || slash != NULL ? path : ".";
    if (slash == path && !is_directory) {
        directory_len = 1;
    }
    int printed =
        snprintf(input->directory, sizeof(input->directory), "%.*s", directory_len, directory);
    int named = snprintf(input->filename, sizeof(input->filename), "%s",
                         is_directory    ? ""
                         : slash == NULL ? path
                                         : slash + 1);
    if (printed >= (int)sizeof(input->directory) || named >= (int)sizeof(input->filename)) {
        return error_set(error, ERR_CONFIG, "%.100s...: the path is too long", path);
    }
    input->overrides[0] =
        (struct settings_pair){SLICE("SM_MODEL_DIR"), slice_from_str(input->directory)};
    input->overrides[1] =
        (struct settings_pair){SLICE("MODEL_FILENAME"), slice_from_str(input->filename)};
    input->input.overrides = input->overrides;
    input->input.override_count = is_directory ? 1 : 2;
    return ERR_OK;
}

int command_read(const struct command *command, int argc, char **argv, struct command_input *ret,
                 struct settings *settings, struct error *error)
{
    *ret = (struct command_input){
        .input = {.groups = command->groups,
                  .argc = argc,
                  .argv = argv,
                  .lookup = lookup,
                  .options = command->options,
                  .option_count = command->option_count},
    };
    int status = settings_load(settings, &ret->input, error);
    if (status != ERR_OK) {
        return status;
    }
    if (settings->positional_count > 0 && !command->takes_path) {
        status = error_set(error, ERR_CONFIG, "%.100s: onnxd %s takes no path",
                           settings->positionals[0], command->name);
    } else if (settings->positional_count > 1) {
        status = error_set(error, ERR_CONFIG, "%s: one path at most is expected",
                           settings->positionals[1]);
    } else if (settings->positional_count == 1) {
        status = set_paths(ret, settings->positionals[0], error);
        if (status == ERR_OK) {
            settings_done(settings);
            return settings_load(settings, &ret->input, error);
        }
    }
    if (status != ERR_OK) {
        settings_done(settings);
    }
    return status;
}
