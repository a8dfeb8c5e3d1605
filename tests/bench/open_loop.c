/*
 * Load that does not wait for answers: requests start at the times of a Poisson process of a given
 * rate, whether or not earlier ones have been answered, as requests of many independent clients do.
 * Each goes to a connection that is free, or to a new one. A request's time counts from the moment
 * it was due, so that a client that is late hides nothing. One thread, HTTP/1.1 with keep-alive.
 *
 * What is due within the warm-up only fills the server's queues, and is counted nowhere.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/num.h"
#include "bench/measure.h"

#define ANSWER_MAX_BYTES 4096
#define EVENTS_MAX 256
#define LAST_ANSWERS_NS (5 * CLOCK_NS_PER_S) /* how long answers may come after the last request */
#define PER_SECOND_MAX 20000

enum outcome { OUTCOME_OK, OUTCOME_REJECTED, OUTCOME_LATE, OUTCOME_FAILED, OUTCOME_COUNT };

struct client {
    int fd; /* -1: not connected */
    bool busy;
    uint64_t due_ns;
    size_t have;
    char answer[ANSWER_MAX_BYTES];
};

struct samples {
    uint64_t *ns;
    size_t count;
};

struct load {
    uint16_t port;
    struct slice request;
    int epoll;
    struct client *clients;
    unsigned *free_clients; /* indices; the last one is used next */
    unsigned free_count;
    unsigned client_count;
    uint64_t start_ns;
    uint64_t warm_ns;    /* end of the warm-up */
    uint64_t end_ns;     /* of sending */
    uint64_t ok_in_time; /* 200s between warm-up and the end of sending */
    uint64_t sent;
    uint64_t not_sent; /* no connection was free */
    struct samples outcomes[OUTCOME_COUNT];
};

static void *alloc(size_t count, size_t size)
{
    void *block = mem_zalloc(count, size);
    if (block == NULL) {
        measure_fail("out of memory");
    }
    return block;
}

static bool is_measured(const struct load *load, const struct client *client)
{
    return client->due_ns >= load->warm_ns;
}

static void hang_up(struct client *client)
{
    close(client->fd); /* which takes it out of the epoll set */
    client->fd = -1;
}

static void finish(struct load *load, struct client *client, enum outcome outcome)
{
    uint64_t now = clock_monotonic_ns();
    if (outcome == OUTCOME_OK && now >= load->warm_ns && now < load->end_ns) {
        load->ok_in_time++;
    }
    if (is_measured(load, client)) {
        struct samples *samples = &load->outcomes[outcome];
        samples->ns[samples->count++] = now - client->due_ns;
    }
    client->busy = false;
    client->have = 0;
    load->free_clients[load->free_count++] = (unsigned)(client - load->clients);
}

static bool open_connection(struct load *load, struct client *client)
{
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons(load->port),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    client->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = client};
    if (client->fd < 0 || connect(client->fd, (struct sockaddr *)&address, sizeof(address)) != 0 ||
        epoll_ctl(load->epoll, EPOLL_CTL_ADD, client->fd, &event) != 0) {
        if (client->fd >= 0) {
            hang_up(client);
        }
        return false;
    }
    return true;
}

static void send_one(struct load *load, uint64_t due_ns)
{
    if (load->free_count == 0) {
        load->not_sent++;
        return;
    }
    struct client *client = &load->clients[load->free_clients[--load->free_count]];
    client->busy = true;
    client->due_ns = due_ns;
    load->sent++;
    if (client->fd < 0 && !open_connection(load, client)) {
        finish(load, client, OUTCOME_FAILED);
        return;
    }
    /* It is small: a socket whose last answer has come has room for it. */
    ssize_t sent =
        send(client->fd, load->request.ptr, load->request.len, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (sent != (ssize_t)load->request.len) {
        hang_up(client);
        finish(load, client, OUTCOME_FAILED);
    }
}

/* Length of the whole answer, 0 while its head is not complete. */
static size_t answer_length(struct slice have)
{
    const char *end = memmem(have.ptr, have.len, "\r\n\r\n", 4);
    if (end == NULL) {
        return 0;
    }
    size_t head = (size_t)(end - have.ptr) + 4;
    struct slice lines = slice_head(have, head);
    while (lines.len > 0) {
        struct slice line = slice_cut(&lines, '\n');
        struct slice name = slice_cut(&line, ':');
        uint64_t length;
        if (slice_eq_nocase(name, SLICE("content-length"))) {
            line = slice_trim(slice_head(line, slice_find(line, '\r')));
            if (!num_parse_u64(line, &length) || length > ANSWER_MAX_BYTES) {
                break;
            }
            return head + (size_t)length;
        }
    }
    measure_fail("an answer without a length that fits: %.*s", SLICE_FMT(have));
}

/* Before the server does it: a request on a connection that is about to end would be lost. */
static void hang_up_if_last(struct client *client, struct slice answer)
{
    static const char close_field[] = "\r\nConnection: close\r\n";
    if (memmem(answer.ptr, answer.len, close_field, sizeof(close_field) - 1) != NULL) {
        hang_up(client);
    }
}

static enum outcome outcome_of(struct slice answer)
{
    static const struct {
        const char *status;
        enum outcome outcome;
    } known[] = {{" 200 ", OUTCOME_OK},
                 {" 429 ", OUTCOME_REJECTED},
                 {" 503 ", OUTCOME_REJECTED},
                 {" 504 ", OUTCOME_LATE},
                 {" 408 ", OUTCOME_LATE}};
    for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
        if (memmem(answer.ptr, 16 < answer.len ? 16 : answer.len, known[i].status, 5) != NULL) {
            return known[i].outcome;
        }
    }
    return OUTCOME_FAILED;
}

static void receive(struct load *load, struct client *client)
{
    ssize_t got = recv(client->fd, client->answer + client->have,
                       sizeof(client->answer) - client->have, MSG_DONTWAIT);
    if (got < 0 && (errno == EAGAIN || errno == EINTR)) {
        return;
    }
    if (got <= 0) {
        hang_up(client);
        if (client->busy) {
            finish(load, client, OUTCOME_FAILED);
        }
        return;
    }
    client->have += (size_t)got;
    struct slice have = slice_make(client->answer, client->have);
    size_t length = answer_length(have);
    if (length > sizeof(client->answer) || (length > 0 && have.len > length) || !client->busy) {
        measure_fail("more bytes than one answer: %.*s", SLICE_FMT(have));
    }
    if (length > 0 && have.len == length) {
        hang_up_if_last(client, have);
        finish(load, client, outcome_of(have));
    }
}

/* Nanoseconds to the next request: exponential, from a generator with a fixed seed. */
static uint64_t next_gap(uint64_t *state, double rate)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    double uniform = ((double)(*state >> 11) + 1) / 9007199254740993.0; /* in (0, 1) */
    return (uint64_t)(-log(uniform) / rate * 1e9);
}

static void run(struct load *load, double rate, uint64_t warm_up_ms, uint64_t load_ms)
{
    struct epoll_event events[EVENTS_MAX];
    uint64_t state = UINT64_C(0x9e3779b97f4a7c15);
    load->start_ns = clock_monotonic_ns();
    load->warm_ns = load->start_ns + warm_up_ms * CLOCK_NS_PER_MS;
    load->end_ns = load->warm_ns + load_ms * CLOCK_NS_PER_MS;
    uint64_t due = load->start_ns;
    for (;;) {
        uint64_t now = clock_monotonic_ns();
        while (due <= now && due < load->end_ns) {
            send_one(load, due);
            due += next_gap(&state, rate);
        }
        bool all_sent = due >= load->end_ns;
        if (all_sent &&
            (load->free_count == load->client_count || now > load->end_ns + LAST_ANSWERS_NS)) {
            break;
        }
        /* Late by the timer's slack, which its time then includes. */
        uint64_t wait_ns = all_sent ? 10 * CLOCK_NS_PER_MS : due - now;
        struct timespec wait = {.tv_sec = (time_t)(wait_ns / CLOCK_NS_PER_S),
                                .tv_nsec = (long)(wait_ns % CLOCK_NS_PER_S)};
        int count = epoll_pwait2(load->epoll, events, EVENTS_MAX, &wait, NULL);
        for (int i = 0; i < count; i++) {
            receive(load, events[i].data.ptr);
        }
    }
    for (unsigned i = 0; i < load->client_count; i++) { /* never answered */
        if (load->clients[i].busy) {
            finish(load, &load->clients[i], OUTCOME_FAILED);
        }
    }
}

static int compare_ns(const void *left, const void *right)
{
    uint64_t a = *(const uint64_t *)left;
    uint64_t b = *(const uint64_t *)right;
    return (a > b) - (a < b);
}

static double percentile_ms(struct samples *samples, size_t percent)
{
    if (samples->count == 0) {
        return 0;
    }
    qsort(samples->ns, samples->count, sizeof(*samples->ns), compare_ns);
    size_t index = (samples->count - 1) * percent / 100;
    return (double)samples->ns[index] / 1e6;
}

/* What the server took in: answered, or kept past its time. */
static struct samples accepted(const struct load *load)
{
    struct samples all = {.ns = alloc(load->sent + 1, sizeof(*all.ns))};
    for (int i = 0; i < OUTCOME_COUNT; i++) {
        const struct samples *some = &load->outcomes[i];
        if (i != OUTCOME_REJECTED && some->count > 0) {
            memcpy(all.ns + all.count, some->ns, some->count * sizeof(*some->ns));
            all.count += some->count;
        }
    }
    return all;
}

static void print_result(struct load *load, uint64_t load_ms)
{
    static const char *const names[] = {"ok", "rejected", "late", "failed"};
    struct samples taken = accepted(load);
    printf("{\"goodput_per_s\": %.3f, \"sent\": %" PRIu64 ", \"not_sent\": %" PRIu64,
           1e3 * (double)load->ok_in_time / (double)load_ms, load->sent, load->not_sent);
    for (int i = 0; i < OUTCOME_COUNT; i++) {
        printf(", \"%s\": %zu, \"%s_p50_ms\": %.3f, \"%s_p99_ms\": %.3f", names[i],
               load->outcomes[i].count, names[i], percentile_ms(&load->outcomes[i], 50), names[i],
               percentile_ms(&load->outcomes[i], 99));
    }
    printf(", \"accepted_p99_ms\": %.3f, \"client_cpu_ns\": %" PRIu64 "}\n",
           percentile_ms(&taken, 99), measure_cpu_ns());
    mem_free(taken.ns);
}

int main(int argc, char **argv)
{
    if (argc != 7) {
        measure_fail(
            "usage: open_loop PORT REQUEST-FILE PER-SECOND WARM-UP-MS LOAD-MS CONNECTIONS");
    }
    uint64_t warm_up_ms = measure_parse_count(argv[4], 60000, "WARM-UP-MS");
    uint64_t load_ms = measure_parse_count(argv[5], 600000, "LOAD-MS");
    uint64_t rate = measure_parse_count(argv[3], PER_SECOND_MAX, "PER-SECOND");
    static struct load load; /* what it points to lives as long as the program */
    load = (struct load){
        .port = (uint16_t)measure_parse_count(argv[1], 65535, "PORT"),
        .request = measure_read_file(argv[2]),
        .epoll = epoll_create1(EPOLL_CLOEXEC),
        .client_count = (unsigned)measure_parse_count(argv[6], 60000, "CONNECTIONS"),
    };
    load.clients = alloc(load.client_count, sizeof(*load.clients));
    load.free_clients = alloc(load.client_count, sizeof(*load.free_clients));
    while (load.free_count < load.client_count) {
        load.clients[load.free_count].fd = -1;
        load.free_clients[load.free_count] = load.free_count;
        load.free_count++;
    }
    for (int i = 0; i < OUTCOME_COUNT; i++) {
        load.outcomes[i].ns =
            alloc(2 * rate * ((warm_up_ms + load_ms) / 1000 + 1), sizeof(*load.outcomes[i].ns));
    }
    run(&load, (double)rate, warm_up_ms, load_ms);
    print_result(&load, load_ms);
    return 0;
}
