/* onnxd health: asks the service on this machine how it is, for images that have no other client. */
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/num.h"
#include "cli/command.h"
#include "cli/probe.h"

#define TIMEOUT_DEFAULT_S 3.0
#define TIMEOUT_MAX_S 3600.0
#define URL_MAX 320 /* a host's name has 253 bytes at most; a longer one is cut */

static bool live;
static const char *timeout;

static const struct settings_option options[] = {
    {.flag = "live",
     .ret_given = &live,
     .help = "Ask /live: whether the process is up, whatever becomes of its model."},
    {.flag = "timeout",
     .metavar = "SECONDS",
     .ret_value = &timeout,
     .help = "Longest time for the answer. Default: 3."},
};

/* 0 where it is no number, which no timeout may be. */
static double seconds_of(struct num number)
{
    switch (number.kind) {
    case NUM_I64:
        return (double)number.as.i64;
    case NUM_F64:
        return number.as.f64;
    default:
        return 0;
    }
}

static int choose_timeout(uint64_t *ret_ns, struct error *error)
{
    double seconds = TIMEOUT_DEFAULT_S;
    if (timeout != NULL) {
        seconds = seconds_of(num_parse(slice_from_str(timeout)));
        if (!(seconds > 0 && seconds <= TIMEOUT_MAX_S)) {
            return error_set(error, ERR_CONFIG,
                             "--timeout %s: a number of seconds above 0, to %.0f, is expected",
                             timeout, TIMEOUT_MAX_S);
        }
    }
    *ret_ns = (uint64_t)(seconds * (double)CLOCK_NS_PER_S);
    return ERR_OK;
}

/* A service that listens on every address is asked on the nearest. */
static const char *choose_host(const struct settings *settings)
{
    const char *host = settings->host.ptr;
    if (strcmp(host, "0.0.0.0") == 0) {
        return "127.0.0.1";
    }
    return strcmp(host, "::") == 0 ? "::1" : host;
}

static int ask(const struct settings *settings, struct error *error)
{
    const char *path = live ? "/live" : "/ready";
    const char *host = choose_host(settings);
    bool v6 = strchr(host, ':') != NULL;
    char url[URL_MAX];
    snprintf(url, sizeof(url), "http://%s%s%s:%u%s", v6 ? "[" : "", host, v6 ? "]" : "",
             (unsigned)settings->port, path);
    uint64_t timeout_ns = 0;
    unsigned answer = 0;
    int status = choose_timeout(&timeout_ns, error);
    if (status == ERR_OK && settings->port == 0) {
        status =
            error_set(error, ERR_CONFIG, "PORT is 0: which port the service took is not known");
    }
    if (status != ERR_OK) {
        return status;
    }
    status = probe_get(host, settings->port, path, timeout_ns, &answer, error);
    if (status == ERR_OK && answer != 200) {
        status = error_set(error, ERR_UNAVAILABLE, "answers %u", answer);
    }
    if (status != ERR_OK) {
        return error_prefix(error, "%s", url);
    }
    printf("%s: answers 200\n", url);
    return ERR_OK;
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
    status = ask(&settings, &error);
    settings_done(&settings);
    return status == ERR_OK ? EXIT_CODE_OK : command_fail(&error);
}

const struct command command_health = {
    .name = "health",
    .arguments = "[--live] [--timeout SECONDS] [flags]",
    .summary = "Ask the service on this machine whether it is ready.",
    .details =
        "GET /ready on PORT of HOST (127.0.0.1 for 0.0.0.0), and one line. Exit codes: 0 the\n"
        "answer was 200, 2 an argument or setting that cannot be used, 1 anything else.",
    .groups = SETTINGS_SERVICE,
    .options = options,
    .option_count = sizeof(options) / sizeof(options[0]),
    .run = run,
};
