/* onnxd metrics: the table of metrics as docs/metrics.md shows it. */
#include <stdio.h>

#include "cli/command.h"
#include "obs/metrics_table.h"

static bool markdown;

static const struct settings_option options[] = {
    {.flag = "markdown", .help = "As Markdown tables.", .ret_given = &markdown},
};

static const char *const kinds[] = {
    [METRIC_COUNTER] = "counter",
    [METRIC_GAUGE] = "gauge",
    [METRIC_HISTOGRAM] = "histogram",
    [METRIC_SUMMARY] = "summary",
};

static const char *const units[] = {
    [METRIC_PLAIN] = "",
    [METRIC_SECONDS] = "seconds",
    [METRIC_BYTES] = "bytes",
};

/* "`model`, `reason` (cancelled, expired)": values where they are few. */
static void print_labels(const struct metric_definition *definition, const char *quote)
{
    const char *separator = "";
    if (definition->of_model) {
        printf("%smodel%s", quote, quote);
        separator = ", ";
    }
    for (unsigned i = 0; i < METRIC_LABELS_MAX && definition->labels[i] != NULL; i++) {
        const struct metric_label *label = definition->labels[i];
        printf("%s%s%s%s (", separator, quote, label->name, quote);
        for (unsigned value = 0; value < label->count; value++) {
            printf("%s%s", value == 0 ? "" : ", ", label->values[value]);
        }
        printf(")");
        separator = ", ";
    }
    for (unsigned i = 0; i < METRIC_FACTS && definition->facts[i] != NULL; i++) {
        printf("%s%s%s%s", separator, quote, definition->facts[i], quote);
        separator = ", ";
    }
}

static double bound_of(const struct metric_definition *definition, unsigned bucket)
{
    double bound = (double)definition->buckets->bounds[bucket];
    return definition->scale == 0 ? bound : bound * definition->scale;
}

static void print_buckets(const struct metric_definition *definition)
{
    for (unsigned i = 0; i < definition->buckets->count; i++) {
        printf("%s%.9g", i == 0 ? "" : " ", bound_of(definition, i));
    }
}

static void print_markdown_row(const struct metric_definition *definition)
{
    printf("| `%s` | %s | %s | ", definition->name, kinds[definition->kind],
           units[definition->unit]);
    print_labels(definition, "`");
    printf(" | %s |\n", definition->help);
}

static void print_markdown(void)
{
    printf("| metric | type | unit | labels (values) | meaning |\n"
           "| --- | --- | --- | --- | --- |\n");
    for (enum metric metric = 0; metric < METRIC_COUNT; metric++) {
        print_markdown_row(&metric_definitions[metric]);
    }
    printf("\nUpper bounds of the buckets, to which +Inf is added:\n\n"
           "| histogram | bounds |\n| --- | --- |\n");
    for (enum metric metric = 0; metric < METRIC_COUNT; metric++) {
        if (metric_definitions[metric].kind == METRIC_HISTOGRAM) {
            printf("| `%s` | ", metric_definitions[metric].name);
            print_buckets(&metric_definitions[metric]);
            printf(" |\n");
        }
    }
}

static void print_text(void)
{
    for (enum metric metric = 0; metric < METRIC_COUNT; metric++) {
        const struct metric_definition *definition = &metric_definitions[metric];
        printf("%s (%s)\n", definition->name, kinds[definition->kind]);
        printf("    %s\n    ", definition->help);
        print_labels(definition, "");
        printf("\n");
    }
}

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
        print_markdown();
    } else {
        print_text();
    }
    return EXIT_CODE_OK;
}

const struct command command_metrics = {
    .name = "metrics",
    .arguments = "[--markdown]",
    .summary = "Print every metric with its type, labels and meaning.",
    .groups = 0,
    .options = options,
    .option_count = sizeof(options) / sizeof(options[0]),
    .run = run,
};
