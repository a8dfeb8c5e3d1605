/*
 * The table of settings for people: --help on a terminal, Markdown in the README.
 */
#include <stdio.h>
#include <string.h>

#include "config/settings.h"
#include "config/settings_table.h"
#include "config/settings_value.h"

#define HELP_COLUMN 36 /* where the texts start; longer flags get a line of their own */
#define LINE_COLUMNS 100

static const char *metavar(const struct setting *setting)
{
    switch (setting->type) {
    case SETTING_BOOL:
        return NULL;
    case SETTING_SECONDS:
        return "SECONDS";
    case SETTING_BYTES:
        return "BYTES";
    case SETTING_PORT:
        return "PORT";
    case SETTING_COUNT:
    case SETTING_RATIO:
        return "N";
    case SETTING_CHAR:
        return "CHAR";
    case SETTING_FILE:
    case SETTING_ROUTE:
        return "PATH";
    case SETTING_COLUMNS:
        return "COLUMNS";
    case SETTING_PAIRS:
        return "K=V,...";
    case SETTING_ENUM:
        return "NAME";
    case SETTING_DTYPE:
        return "TYPE";
    case SETTING_MAP:
    case SETTING_DTYPE_MAP:
        return "JSON";
    case SETTING_HOST:
        return "HOST";
    case SETTING_TEXT:
    case SETTING_TYPES:
        break;
    }
    return "TEXT";
}

/* Prints words from HELP_COLUMN on, in lines of at most LINE_COLUMNS; the cursor is at `column`. */
static void print_wrapped(FILE *out, size_t column, struct slice words)
{
    bool first = true;
    for (struct slice rest = words; rest.ptr != NULL; first = false) {
        struct slice word = slice_cut(&rest, ' ');
        if (first || column + 1 + word.len > LINE_COLUMNS) {
            if (column >= HELP_COLUMN) {
                fputc('\n', out);
                column = 0;
            }
            fprintf(out, "%*s%.*s", (int)(HELP_COLUMN - column), "", SLICE_FMT(word));
            column = HELP_COLUMN + word.len;
        } else {
            fprintf(out, " %.*s", SLICE_FMT(word));
            column += 1 + word.len;
        }
    }
    fputc('\n', out);
}

static size_t print_flag(FILE *out, const char *flag, const char *value)
{
    int len = value == NULL ? fprintf(out, "  --%s", flag) : fprintf(out, "  --%s %s", flag, value);
    return len < 0 ? 0 : (size_t)len;
}

static void print_setting(FILE *out, const struct setting *setting)
{
    char flag[SETTING_NAME_MAX];
    char initial[SETTING_TEXT_MAX];
    char words[2 * SETTING_TEXT_MAX];
    char accepted[SETTING_TEXT_MAX];
    size_t column = print_flag(out, setting_flag(setting, flag), metavar(setting));
    bool is_enum = setting->type == SETTING_ENUM;
    int len =
        snprintf(words, sizeof(words), "%s%s%s (default: %s)%s%s%s", setting->help,
                 is_enum ? "; " : "", is_enum ? setting_accepted(setting, accepted) : "",
                 setting_default(setting, initial), setting->alias == NULL ? "" : " [also ",
                 setting->alias == NULL ? "" : setting->alias, setting->alias == NULL ? "" : "]");
    print_wrapped(out, column, slice_make(words, len < 0 ? 0 : (size_t)len));
}

static void print_options(FILE *out, const struct settings_option *options, size_t count)
{
    if (count > 0) {
        fputs("Flags:\n", out);
    }
    for (size_t i = 0; i < count; i++) {
        size_t column = print_flag(out, options[i].flag, options[i].metavar);
        print_wrapped(out, column, slice_from_str(options[i].help));
    }
}

void settings_print_help(FILE *out, unsigned groups, const struct settings_option *options,
                         size_t option_count)
{
    print_options(out, options, option_count);
    if (groups != 0) {
        fputs("\nSettings. Each is also an environment variable: --max-body-bytes is "
              "MAX_BODY_BYTES. A flag\noverrides the environment, the environment the model's "
              "manifest. Booleans: --name, --no-name\nor --name=false.\n",
              out);
    }
    unsigned printed = 0; /* groups whose title is out */
    for (size_t i = 0; i < SETTINGS_COUNT; i++) {
        const struct setting *setting = &settings_table[i];
        if ((setting->group & groups) == 0) {
            continue;
        }
        if ((printed & setting->group) == 0) {
            fprintf(out, "\n%s:\n", settings_group_title(setting->group));
            printed |= setting->group;
        }
        print_setting(out, setting);
    }
}

/* A cell of a Markdown table: `|` would end it. */
static void print_cell(FILE *out, const char *text)
{
    for (; *text != '\0'; text++) {
        if (*text == '|') {
            fputc('\\', out);
        }
        fputc(*text, out);
    }
}

static void print_row(FILE *out, const struct setting *setting)
{
    char text[SETTING_TEXT_MAX];
    fprintf(out, "| `%s`", setting->name);
    if (setting->alias != NULL) {
        fprintf(out, "<br>also `%s`", setting->alias);
    }
    fputs(setting->unset != NULL ? " | " : " | `", out);
    print_cell(out, setting_default(setting, text));
    fputs(setting->unset != NULL ? " | " : "` | ", out);
    print_cell(out, setting_accepted(setting, text));
    fprintf(out, " | %s | ", setting->manifest ? "yes" : "no");
    print_cell(out, setting->help);
    fputs(" |\n", out);
}

void settings_print_markdown(FILE *out)
{
    unsigned printed = 0;
    for (size_t i = 0; i < SETTINGS_COUNT; i++) {
        const struct setting *setting = &settings_table[i];
        if ((printed & setting->group) == 0) {
            fprintf(out,
                    "%s### %s\n\n| Variable | Default | Accepted | In a manifest | Meaning |\n"
                    "| --- | --- | --- | --- | --- |\n",
                    printed == 0 ? "" : "\n", settings_group_title(setting->group));
            printed |= setting->group;
        }
        print_row(out, setting);
    }
}
