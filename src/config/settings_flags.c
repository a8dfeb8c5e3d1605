/*
 * Flags are long and spelled in full: --name value, --name=value, and for booleans --name and
 * --no-name. A boolean takes no separate value: "serve --access-log 1" must mean the directory 1.
 */
#include "config/settings_flags.h"

#include <stdio.h>
#include <string.h>

#include "config/suggest.h"

/* An argument cut in its parts. */
struct flag_text {
    struct slice name;
    const char *value; /* behind the first '='; NULL without one */
};

static struct flag_text cut_flag(const char *argument)
{
    const char *name = argument + 2;
    const char *equals = strchr(name, '=');
    if (equals == NULL) {
        return (struct flag_text){slice_from_str(name), NULL};
    }
    return (struct flag_text){slice_make(name, (size_t)(equals - name)), equals + 1};
}

static const struct settings_option *find_option(const struct settings_input *input,
                                                 struct slice name)
{
    for (size_t i = 0; i < input->option_count; i++) {
        if (slice_eq(name, slice_from_str(input->options[i].flag))) {
            return &input->options[i];
        }
    }
    return NULL;
}

static int refuse_unknown(const struct settings_input *input, struct slice name,
                          struct error *error)
{
    char flags[SETTINGS_COUNT][SETTING_NAME_MAX];
    struct suggestion nearest = {.typed = name};
    for (size_t i = 0; i < input->option_count; i++) {
        suggestion_offer(&nearest, input->options[i].flag);
    }
    for (size_t i = 0; i < SETTINGS_COUNT; i++) {
        if ((settings_table[i].group & input->groups) != 0) {
            suggestion_offer(&nearest, setting_flag(&settings_table[i], flags[i]));
        }
    }
    struct slice shown = slice_head(name, SETTING_NAME_MAX);
    if (nearest.name == NULL) {
        return error_set(error, ERR_CONFIG, "--%.*s: unknown flag", SLICE_FMT(shown));
    }
    return error_set(error, ERR_CONFIG, "--%.*s: unknown flag; did you mean --%s?",
                     SLICE_FMT(shown), nearest.name);
}

/* The argument behind a flag, when it can be that flag's value. */
static const char *take_value(struct settings_flags *flags)
{
    if (flags->next >= flags->input->argc ||
        strncmp(flags->input->argv[flags->next], "--", 2) == 0) {
        return NULL;
    }
    return flags->input->argv[flags->next++];
}

static int refuse_missing(struct slice name, struct error *error)
{
    return error_set(error, ERR_CONFIG, "--%.*s: a value is missing (write --%.*s=VALUE)",
                     SLICE_FMT(name), SLICE_FMT(name));
}

static int read_option(struct settings_flags *flags, const struct settings_option *option,
                       const struct flag_text *flag, struct settings_argument *ret_argument,
                       struct error *error)
{
    const char *value = flag->value;
    if (option->metavar == NULL && value != NULL) {
        return error_set(error, ERR_CONFIG, "--%s: takes no value", option->flag);
    }
    if (option->metavar != NULL && value == NULL) {
        value = take_value(flags);
        if (value == NULL) {
            return refuse_missing(flag->name, error);
        }
    }
    *ret_argument = (struct settings_argument){
        .kind = SETTINGS_ARGUMENT_OPTION, .option = option, .value = value};
    return ERR_OK;
}

/* "--access-log false" would leave a stray argument behind: better said than guessed. */
static int check_no_word_follows(const struct settings_flags *flags, struct slice name,
                                 struct error *error)
{
    static const char *const words[] = {"true", "false", "yes", "no", "on", "off"};
    if (flags->next >= flags->input->argc) {
        return ERR_OK;
    }
    struct slice next = slice_from_str(flags->input->argv[flags->next]);
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
        if (slice_eq_nocase(next, slice_from_str(words[i]))) {
            return error_set(error, ERR_CONFIG,
                             "--%.*s %.*s: write --%.*s=%.*s, or --%.*s and --no-%.*s",
                             SLICE_FMT(name), SLICE_FMT(next), SLICE_FMT(name), SLICE_FMT(next),
                             SLICE_FMT(name), SLICE_FMT(name));
        }
    }
    return ERR_OK;
}

static int read_setting(struct settings_flags *flags, const struct setting *setting,
                        const struct flag_text *flag, struct settings_argument *ret_argument,
                        struct error *error)
{
    const char *value = flag->value;
    if ((setting->group & flags->input->groups) == 0) {
        return error_set(error, ERR_CONFIG, "--%.*s: this command has no such setting",
                         SLICE_FMT(flag->name));
    }
    if (setting->type == SETTING_BOOL && value == NULL) {
        int status = check_no_word_follows(flags, flag->name, error);
        if (status != ERR_OK) {
            return status;
        }
        value = "true";
    } else if (value == NULL) {
        value = take_value(flags);
        if (value == NULL) {
            return refuse_missing(flag->name, error);
        }
    }
    *ret_argument = (struct settings_argument){
        .kind = SETTINGS_ARGUMENT_SETTING, .setting = setting, .value = value};
    return ERR_OK;
}

/* The boolean setting that "no-access-log" switches off; NULL when it is none. */
static const struct setting *find_negated(struct slice name)
{
    if (!slice_starts_with(name, SLICE("no-"))) {
        return NULL;
    }
    const struct setting *setting = setting_find_flag(slice_tail(name, 3));
    return setting != NULL && setting->type == SETTING_BOOL ? setting : NULL;
}

static int read_negated(const struct settings_flags *flags, const struct setting *setting,
                        const struct flag_text *flag, struct settings_argument *ret_argument,
                        struct error *error)
{
    if (flag->value != NULL || (setting->group & flags->input->groups) == 0) {
        return error_set(error, ERR_CONFIG, "--%.*s: %s", SLICE_FMT(flag->name),
                         flag->value != NULL ? "takes no value"
                                             : "this command has no such setting");
    }
    *ret_argument = (struct settings_argument){
        .kind = SETTINGS_ARGUMENT_SETTING, .setting = setting, .value = "false"};
    return ERR_OK;
}

static int read_flag(struct settings_flags *flags, const char *argument,
                     struct settings_argument *ret_argument, struct error *error)
{
    struct flag_text flag = cut_flag(argument);
    const struct settings_option *option = find_option(flags->input, flag.name);
    if (option != NULL) {
        return read_option(flags, option, &flag, ret_argument, error);
    }
    const struct setting *setting = setting_find_flag(flag.name);
    if (setting != NULL) {
        return read_setting(flags, setting, &flag, ret_argument, error);
    }
    setting = find_negated(flag.name);
    if (setting != NULL) {
        return read_negated(flags, setting, &flag, ret_argument, error);
    }
    return refuse_unknown(flags->input, flag.name, error);
}

int settings_flags_next(struct settings_flags *flags, struct settings_argument *ret_argument,
                        struct error *error)
{
    const char *argument = NULL;
    while (argument == NULL && flags->next < flags->input->argc) {
        argument = flags->input->argv[flags->next++];
        if (!flags->ended && strcmp(argument, "--") == 0) {
            flags->ended = true;
            argument = NULL;
        }
    }
    if (argument == NULL) {
        *ret_argument = (struct settings_argument){.kind = SETTINGS_ARGUMENT_END};
        return ERR_OK;
    }
    if (flags->ended || argument[0] != '-' || argument[1] == '\0') {
        *ret_argument =
            (struct settings_argument){.kind = SETTINGS_ARGUMENT_POSITIONAL, .value = argument};
        return ERR_OK;
    }
    if (strcmp(argument, "-h") == 0) {
        argument = "--help";
    }
    if (argument[1] != '-') {
        struct slice shown = slice_head(slice_from_str(argument), SETTING_NAME_MAX);
        return error_set(error, ERR_CONFIG, "%.*s: unknown flag; flags start with two dashes",
                         SLICE_FMT(shown));
    }
    return read_flag(flags, argument, ret_argument, error);
}
