/*
 * The program's subcommands. Each reads its own arguments with the settings table, does its work and
 * returns the process's exit code.
 */
#ifndef CLI_COMMAND_H
#define CLI_COMMAND_H

#include <stddef.h>

#include "backend/backend.h"
#include "base/error.h"
#include "config/settings.h"

enum exit_code {
    EXIT_CODE_OK = 0,
    EXIT_CODE_FAILED = 1, /* anything that is not the two others */
    EXIT_CODE_CONFIG = 2  /* a flag, variable, manifest, model or address that cannot be used */
};

struct command {
    const char *name;
    const char *arguments; /* for the usage line: "[DIR|FILE]" */
    const char *summary;   /* one line */
    const char *details;   /* a paragraph, or NULL */
    unsigned groups;       /* of settings it knows */
    bool takes_path;       /* of a model */
    const struct settings_option *options;
    size_t option_count;
    /* argv without the program's and the command's name. */
    int (*run)(const struct command *command, int argc, char **argv);
};

extern const struct command command_serve;
extern const struct command command_inspect;
extern const struct command command_check;
extern const struct command command_predict;
extern const struct command command_health;
extern const struct command command_version;
extern const struct command command_settings;
extern const struct command command_metrics;

/* NULL but in the test server, which serves *.fake models with it. Defined by main.c. */
extern const struct backend *const command_test_backend;

/* All of them, in the order of the help; *ret_count of them. */
const struct command *const *commands(size_t *ret_count);

/* By its name; NULL: none. */
const struct command *command_find(const char *name);
/*
 * For a first argument that no command is named: ERR_OK where it may be meant for `serve`, as a flag
 * or a path is; ERR_CONFIG, with the nearest command, where it is a word that names no file.
 */
MUST_CHECK int command_check_word(const char *word, struct error *error);

/* Prints "onnxd: message" for people and returns the exit code that fits the error. */
int command_fail(const struct error *error);
/*
 * The exit code of a command that ended with `code`: a failure where not all it printed could be
 * written (a full disk, a closed pipe).
 */
int command_end_output(int code);

/*
 * Reads the arguments of a command. A path among them ("DIR|FILE"), where the command takes one, stands
 * for SM_MODEL_DIR, and a file's name for MODEL_FILENAME. Everything is borrowed from argv and the
 * environment; fill *ret stays usable (for reloads, too) as long as they do.
 */
struct command_input {
    struct settings_input input;
    struct settings_pair overrides[3];
    char directory[4096];
    char filename[256];
};

MUST_CHECK int command_read(const struct command *command, int argc, char **argv,
                            struct command_input *ret, struct settings *settings,
                            struct error *error);

/* Whether --help or -h is among the arguments (before "--"). */
bool command_wants_help(int argc, char **argv);
void command_print_help(const struct command *command);

#endif
