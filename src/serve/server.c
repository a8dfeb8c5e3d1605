#include "serve/server.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/sys.h"
#include "config/cpu_quota.h"
#include "serve/banner.h"
#include "serve/deployment_options.h"
#include "serve/io_thread.h"
#include "serve/loader.h"
#include "serve/router.h"

struct server {
    const struct server_options *options;
    struct server_shared shared;
    struct loader *loader;
    uint16_t port;
    uint16_t grpc_port; /* 0: none of its own */
    unsigned started;   /* I/O threads that run */
    atomic_bool joined; /* all of them have ended */
    uint64_t drain_end_ns;
    bool banner_shown;
    sigset_t signals;
};

static void on_ready(const struct deployment *deployment, void *user)
{
    struct server *server = user;
    if (!server->banner_shown) {
        server->banner_shown = true;
        banner_print(stdout, deployment, &server->shared.settings, server->port, server->grpc_port);
    }
}

static int load_settings(struct server *server, struct error *error)
{
    int status = settings_load(&server->shared.settings, server->options->input, error);
    if (status == ERR_OK) {
        log_init(server->shared.settings.log_level, server->shared.settings.log_format);
        status = router_check(&server->shared.settings, error);
    }
    if (status == ERR_OK) {
        status = deployment_check_media(&server->shared.settings, error);
    }
    if (status != ERR_OK) {
        settings_done(&server->shared.settings); /* a second time is fine */
    }
    return status;
}

static int init_shared(struct server *server, struct error *error)
{
    struct server_shared *shared = &server->shared;
    unsigned count = shared->settings.io_threads == 0 ? cpu_quota() : shared->settings.io_threads;
    count = count > SETTINGS_IO_THREADS_MAX ? SETTINGS_IO_THREADS_MAX : count;
    shared->clock_ns = clock_monotonic_ns;
    shared->metrics = metrics_new(server->options->version);
    shared->threads = mem_zalloc(count, sizeof(shared->threads[0]));
    if (shared->metrics == NULL || shared->threads == NULL) {
        return error_set(error, ERR_NO_MEMORY, "no memory");
    }
    shared->thread_count = count;
    admission_init(&shared->admission, shared->settings.max_inflight);
    atomic_init(&shared->connections, 0);
    atomic_init(&shared->calls, 0);
    atomic_init(&shared->loaded, false);
    atomic_init(&shared->draining, false);
    int status = tracing_new(&shared->settings, slice_from_str(server->options->version), count,
                             &shared->tracing, error);
    return status == ERR_OK ? task_pool_new(cpu_quota(), &shared->tasks, error) : status;
}

static int start_threads(struct server *server, struct error *error)
{
    struct server_shared *shared = &server->shared;
    int status = ERR_OK;
    for (unsigned i = 0; status == ERR_OK && i < shared->thread_count; i++) {
        status = io_thread_init(&shared->threads[i], shared, error);
    }
    while (status == ERR_OK && server->started < shared->thread_count) {
        status = io_thread_start(&shared->threads[server->started], error);
        server->started += status == ERR_OK;
    }
    return status;
}

/* Where the two ports are one, that one takes everything anyway. */
static bool has_grpc_port(const struct settings *settings)
{
    bool same = settings->grpc_port == settings->port && settings->port != 0 &&
                slice_eq(settings->grpc_host, settings->host);
    return settings->grpc_enabled && !same;
}

static int open_listeners(struct server *server, struct error *error)
{
    struct server_shared *shared = &server->shared;
    const struct settings *settings = &shared->settings;
    int status =
        listener_open(settings->host.ptr, settings->port, &shared->listen_fd, &server->port, error);
    if (status == ERR_OK && has_grpc_port(settings)) {
        status = listener_open(settings->grpc_host.ptr, settings->grpc_port,
                               &shared->grpc_listen_fd, &server->grpc_port, error);
        if (status != ERR_OK && settings->grpc_port == settings->port && settings->port != 0) {
            status = error_prefix(error, "GRPC_PORT is PORT, but GRPC_HOST is not HOST, whose port "
                                         "takes gRPC already");
        }
    }
    return status;
}

/* What stands around a host before its port: an IPv6 address is put into brackets. */
static const char *const *brackets_of(struct slice host)
{
    static const char *const v6[] = {"[", "]"};
    static const char *const others[] = {"", ""};
    return slice_find(host, ':') < host.len ? v6 : others;
}

static void log_addresses(const struct server *server)
{
    const struct settings *settings = &server->shared.settings;
    if (server->grpc_port != 0) {
        const char *const *around = brackets_of(settings->grpc_host);
        log_info("listening for gRPC on %s%.*s%s:%u", around[0], SLICE_FMT(settings->grpc_host),
                 around[1], (unsigned)server->grpc_port);
    }
    const char *const *around = brackets_of(settings->host);
    log_info("listening on http://%s%.*s%s:%u", around[0], SLICE_FMT(settings->host), around[1],
             (unsigned)server->port);
}

static int start(struct server *server, struct error *error)
{
    int status = init_shared(server, error);
    if (status == ERR_OK) {
        status = open_listeners(server, error);
    }
    if (status == ERR_OK) {
        status = start_threads(server, error);
    }
    if (status == ERR_OK) {
        struct deployment_query query = {.input = server->options->input,
                                         .test_backend = server->options->test_backend};
        status = loader_new(&server->shared, &query, on_ready, server, &server->loader, error);
    }
    if (status == ERR_OK) {
        log_addresses(server);
        loader_request(server->loader);
    }
    return status;
}

/* Reloads on SIGHUP; returns on SIGTERM or SIGINT. */
static void wait_for_end(const struct server *server)
{
    int signal_number = 0;
    while (sigwait(&server->signals, &signal_number) == 0) {
        if (signal_number == SIGALRM) {
            continue; /* not ours yet */
        }
        if (signal_number != SIGHUP) {
            log_info("stopping on %s", signal_number == SIGINT ? "SIGINT" : "SIGTERM");
            return;
        }
        log_info("reloading the model on SIGHUP");
        loader_request(server->loader);
    }
}

static void *join_threads(void *argument)
{
    struct server *server = argument;
    for (unsigned i = 0; i < server->started; i++) {
        io_thread_join(&server->shared.threads[i]);
    }
    atomic_store(&server->joined, true);
    kill(getpid(), SIGALRM);
    return NULL;
}

/* NULL when every loop has answered all it had, else why no more is waited for. */
static const char *drain(struct server *server)
{
    pthread_t joiner;
    atomic_store(&server->shared.draining, true);
    for (unsigned i = 0; i < server->started; i++) {
        io_thread_drain(&server->shared.threads[i]);
    }
    if (pthread_create(&joiner, NULL, join_threads, server) != 0) {
        return "no thread to wait with: unanswered requests are given up";
    }
    uint64_t end_ns = clock_monotonic_ns() + server->shared.settings.drain_timeout_ns;
    server->drain_end_ns = end_ns;
    int signal_number;
    bool goes_on;
    do {
        uint64_t now_ns = clock_monotonic_ns();
        uint64_t left_ns = now_ns < end_ns ? end_ns - now_ns : 0;
        struct timespec left = {.tv_sec = (time_t)(left_ns / CLOCK_NS_PER_S),
                                .tv_nsec = (long)(left_ns % CLOCK_NS_PER_S)};
        signal_number = sigtimedwait(&server->signals, NULL, &left);
        goes_on = signal_number < 0 ? errno == EINTR
                                    : signal_number == SIGHUP || (signal_number == SIGALRM &&
                                                                  !atomic_load(&server->joined));
    } while (goes_on);
    if (atomic_load(&server->joined)) {
        pthread_join(joiner, NULL);
        return NULL;
    }
    switch (signal_number) {
    case SIGINT:
        return "SIGINT while stopping: unanswered requests are given up";
    case SIGTERM:
        return "SIGTERM while stopping: unanswered requests are given up";
    default:
        return "the drain time is over: unanswered requests are given up";
    }
}

static void block_signals(struct server *server)
{
    sigemptyset(&server->signals);
    sigaddset(&server->signals, SIGTERM);
    sigaddset(&server->signals, SIGINT);
    sigaddset(&server->signals, SIGHUP);
    sigaddset(&server->signals, SIGALRM); /* our own: the last I/O thread has ended */
    pthread_sigmask(SIG_BLOCK, &server->signals, NULL);
    signal(SIGPIPE, SIG_IGN);
    signal(SIGXFSZ, SIG_IGN); /* RLIMIT_FSIZE holds for memory shared with workers too: EFBIG */
}

static void close_listener(int fd)
{
    if (fd >= 0) {
        sys_close(fd);
    }
}

/* Nobody else runs any more. */
static void free_all(struct server *server)
{
    task_pool_free(server->shared.tasks);
    /* Models before loops: until it is closed, a model may tell the loops of its health. */
    for (unsigned i = 0; i < server->shared.thread_count; i++) {
        io_thread_drop_next(&server->shared.threads[i]);
    }
    if (server->loader != NULL) {
        loader_free(server->loader);
    }
    for (unsigned i = 0; i < server->shared.thread_count; i++) {
        io_thread_done(&server->shared.threads[i]);
    }
    tracing_free(server->shared.tracing, server->drain_end_ns);
    close_listener(server->shared.listen_fd);
    close_listener(server->shared.grpc_listen_fd);
    metrics_free(server->shared.metrics);
    mem_free(server->shared.threads);
    settings_done(&server->shared.settings);
}

/* Threads still run, on a model that does not return: only leaving the process ends them. */
static _Noreturn void leave(const char *why, int status)
{
    log_warning("%s", why);
    _exit(status == ERR_OK ? 0 : 1);
}

int server_run(const struct server_options *options, struct error *error)
{
    struct server server = {.options = options, .shared = {.listen_fd = -1, .grpc_listen_fd = -1}};
    int status = load_settings(&server, error);
    if (status != ERR_OK) {
        return status;
    }
    block_signals(&server);
    status = start(&server, error);
    if (status == ERR_OK) {
        wait_for_end(&server);
    }
    const char *unfinished = server.started > 0 ? drain(&server) : NULL;
    if (unfinished != NULL) {
        leave(unfinished, status);
    }
    if (server.loader != NULL && !loader_stop(server.loader)) {
        leave("stopped during a load", status);
    }
    free_all(&server);
    if (status == ERR_OK) {
        log_info("stopped");
    }
    return status;
}
