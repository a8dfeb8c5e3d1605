/*
 * onnxd predict: a file of any size through a model, by the codec and the model that serve requests,
 * in bounded memory. This file reads the arguments, opens what they name, and stops at signals; the
 * work is prediction.c's.
 */
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "cli/command.h"
#include "cli/in_file.h"
#include "cli/out_file.h"
#include "cli/prediction.h"
#include "cli/progress.h"
#include "serve/deployment.h"

static const char *input_path;
static const char *output_path;
static const char *accept;
static const char *content_type;

static const struct settings_option options[] = {
    {.flag = "input",
     .metavar = "FILE",
     .ret_value = &input_path,
     .help = "What to predict: .csv, .json, .jsonl, .ndjson or .npy; - reads standard input."},
    {.flag = "output",
     .metavar = "FILE",
     .ret_value = &output_path,
     .help = "Where the answer goes, complete or not at all. Default: standard output."},
    {.flag = "accept",
     .metavar = "TYPE",
     .ret_value = &accept,
     .help = "The answer's media type, as in a request: application/json, text/csv, "
             "application/x-npy. Default: by the output's name, else DEFAULT_ACCEPT."},
    {.flag = "content-type",
     .metavar = "TYPE",
     .ret_value = &content_type,
     .help = "The input's media type. Default: by its name; of standard input "
             "DEFAULT_CONTENT_TYPE."},
};

static volatile sig_atomic_t stop_signal;

static void remember_signal(int number)
{
    stop_signal = number;
}

/* The first signal ends the run in good order, a second one at once. */
static void catch_signals(void)
{
    static const int numbers[] = {SIGINT, SIGTERM, SIGHUP};
    struct sigaction action = {.sa_handler = remember_signal, .sa_flags = (int)SA_RESETHAND};
    sigemptyset(&action.sa_mask);
    for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
        struct sigaction before;
        if (sigaction(numbers[i], NULL, &before) == 0 && before.sa_handler != SIG_IGN) {
            sigaction(numbers[i], &action, NULL);
        }
    }
}

static int choose_input(const struct settings *settings, enum media *ret_media, struct error *error)
{
    bool is_stdin = strcmp(input_path, "-") == 0;
    struct slice type =
        content_type != NULL ? slice_from_str(content_type) : settings->default_content_type;
    enum media media =
        content_type == NULL && !is_stdin ? file_name_media(input_path) : media_parse(type);
    if (media != MEDIA_NONE) {
        *ret_media = media;
        return ERR_OK;
    }
    if (content_type == NULL && !is_stdin) {
        return error_set(error, ERR_CONFIG,
                         "--input %s: the name ends in none of .csv .json .jsonl .ndjson .npy; say "
                         "--content-type",
                         input_path);
    }
    return error_set(error, ERR_CONFIG, "Unsupported Content-Type: %.*s",
                     SLICE_FMT(slice_head(type, 128)));
}

/* A request that asks for what there is not gets the default; a person has mistyped. */
static int choose_output(const struct settings *settings, enum media *ret_media,
                         struct error *error)
{
    struct slice wanted = slice_from_str(accept);
    if (accept != NULL && media_negotiate(wanted, MEDIA_NONE) == MEDIA_NONE) {
        return error_set(
            error, ERR_CONFIG,
            "--accept %s: an answer is application/json, text/csv or application/x-npy", accept);
    }
    enum media fallback = media_negotiate(settings->default_accept, MEDIA_JSON);
    enum media named = output_path != NULL ? file_name_media(output_path) : MEDIA_NONE;
    if (named == MEDIA_CSV || named == MEDIA_JSON || named == MEDIA_NPY) {
        fallback = named;
    }
    *ret_media = media_negotiate(wanted, fallback);
    return ERR_OK;
}

/* People expect their prompt on a line of its own. */
static int end_line(struct out_file *out, struct error *error)
{
    bool on_terminal = output_path == NULL && isatty(STDOUT_FILENO);
    return on_terminal ? out_file_put(out, SLICE("\n"), error) : ERR_OK;
}

static int answer_all(struct prediction *prediction, const struct in_file *in, struct out_file *out,
                      struct error *error)
{
    struct progress progress;
    bool more = true;
    int status = ERR_OK;
    progress_init(&progress, stderr, in->total_bytes, clock_monotonic_ns());
    while (status == ERR_OK && more) {
        status = prediction_step(prediction, &more, error);
        if (status == ERR_OK && stop_signal != 0) {
            status = error_set(error, ERR_INTERNAL, "interrupted");
        }
        progress_update(&progress, prediction_consumed_bytes(prediction), prediction->rows,
                        clock_monotonic_ns());
    }
    if (status == ERR_OK) {
        status = end_line(out, error);
    }
    if (status == ERR_OK) {
        status = out_file_commit(out, error);
    }
    progress_finish(&progress, status == ERR_OK, clock_monotonic_ns());
    return status;
}

static int predict(const struct deployment *deployment, struct in_file *in, struct out_file *out,
                   struct error *error)
{
    struct prediction prediction;
    enum media input = MEDIA_NONE;
    enum media output = MEDIA_NONE;
    int status = choose_input(&deployment->settings, &input, error);
    if (status == ERR_OK) {
        status = choose_output(&deployment->settings, &output, error);
    }
    if (status == ERR_OK) {
        status = prediction_init(&prediction, deployment, input, in_file_source(in), output, out,
                                 output_path, error);
    }
    if (status != ERR_OK) {
        return status;
    }
    status = answer_all(&prediction, in, out, error);
    prediction_done(&prediction);
    return status;
}

/* Everything that can be wrong with the files shows before the model is loaded. */
static int open_files(struct in_file *in, struct out_file *out, struct error *error)
{
    if (input_path == NULL) {
        return error_set(error, ERR_CONFIG, "--input FILE is missing");
    }
    int status = in_file_open(in, input_path, error);
    if (status != ERR_OK) {
        return status;
    }
    in->stop = &stop_signal;
    if (output_path != NULL && strcmp(output_path, "-") == 0) {
        output_path = NULL;
    }
    if (output_path == NULL) {
        out_file_open_stdout(out);
        return ERR_OK;
    }
    status = out_file_open(out, output_path, error);
    if (status != ERR_OK) {
        in_file_close(in);
    }
    return status;
}

static int load_and_predict(const struct command_input *input, struct error *error)
{
    struct in_file in;
    struct out_file out;
    struct deployment_query query = {.input = &input->input, .test_backend = command_test_backend};
    struct deployment *deployment;
    int status = open_files(&in, &out, error);
    if (status != ERR_OK) {
        return status;
    }
    status = deployment_load(&query, &deployment, error);
    if (status == ERR_OK) {
        status = predict(deployment, &in, &out, error);
        deployment_unref(deployment);
    }
    out_file_drop(&out);
    in_file_close(&in);
    return status;
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
    /* One run at a time: the runtime may use every processor for it. */
    input.overrides[input.input.override_count++] =
        (struct settings_pair){SLICE("IO_THREADS"), SLICE("1")};
    input.input.overrides = input.overrides;
    catch_signals();
    int status = load_and_predict(&input, &error);
    return status == ERR_OK ? EXIT_CODE_OK : command_fail(&error);
}

const struct command command_predict = {
    .name = "predict",
    .arguments = "[DIR|FILE] --input FILE [--output FILE] [--accept TYPE] [--content-type TYPE]",
    .summary = "Predict a file of any size with a model, in bounded memory.",
    .details = "The answer is the one that the service would give to the whole file: it is read\n"
               "piece by piece, MAX_BATCH_SIZE rows a run, so that MAX_RECORDS and MAX_BODY_BYTES\n"
               "do not apply. Only what cannot be cut between rows (a single row, an object of\n"
               "columns, an array in Fortran order, the input of a model whose rows are not\n"
               "independent) is read at once, up to 64 MiB; a row may be as long. On a failure\n"
               "the output file is as it was. Exit codes: 0 done, 2 an argument, setting or model\n"
               "that cannot be used, 1 anything else.",
    .groups =
        SETTINGS_MODEL | SETTINGS_PAYLOAD | SETTINGS_PROCESS | SETTINGS_RUNTIME | SETTINGS_WORKERS,
    .options = options,
    .option_count = sizeof(options) / sizeof(options[0]),
    .takes_path = true,
    .run = run,
};
