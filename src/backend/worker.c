/*
 * Models that processes of their own run: scikit-learn, PyTorch and TensorFlow, in Python. A run takes
 * a worker, writes the inputs where it sees them, tells it, and reads the outputs where it has put
 * them; that workers end and others come is the pool's affair (worker_pool.h).
 */
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "backend/backend.h"
#include "backend/burst.h"
#include "backend/worker_environment.h"
#include "backend/worker_pool.h"
#include "backend/worker_program.h"
#include "base/check.h"
#include "base/clock.h"
#include "base/mem.h"
#include "base/sys.h"

#define MODEL_MAGIC 0x776f726bu
#define ARENA_BLOCK_BYTES ((size_t)16 * 1024)
#define ARENA_MAX_BYTES ((size_t)128 * 1024 * 1024)
#define OPTIONS_MAX 5
#define LAST_GRACE_NS CLOCK_NS_PER_S /* for a worker that closed its socket to end by itself */

struct backend_model {
    unsigned magic;
    struct arena arena; /* all that stays as it was opened */
    struct signature signature;
    struct worker_pool *pool;
    int program_fd;
    unsigned count;
    struct burst burst;
};

/* ---- opening ---- */

static char *copy_text(struct arena *arena, struct slice text)
{
    struct slice copy = arena_copy(arena, text);
    /* Made from the arena's own memory, which is ours to hand on. */
    return (char *)(uintptr_t)copy.ptr;
}

/* "a  b" as {"a", "b", NULL}; NULL without memory. */
static char *const *split_words(struct arena *arena, struct slice text)
{
    char **words = arena_zalloc(arena, text.len / 2 + 2, sizeof(words[0]));
    size_t count = 0;
    while (words != NULL && text.ptr != NULL) {
        struct slice word = slice_cut(&text, ' ');
        if (word.len > 0 && (words[count++] = copy_text(arena, word)) == NULL) {
            return NULL;
        }
    }
    return words;
}

/* Isolated from the user's own Python settings and modules, and telling where it crashed. */
static char *const *python_words(struct arena *arena, const char *python)
{
    static const char *const flags[] = {"-I", "-B", "-X", "faulthandler", "/proc/self/fd/6"};
    const size_t count = sizeof(flags) / sizeof(flags[0]);
    char **words = arena_zalloc(arena, count + 2, sizeof(words[0]));
    if (words == NULL) {
        return NULL;
    }
    words[0] = copy_text(arena, slice_from_str(python == NULL ? "python3" : python));
    bool complete = words[0] != NULL;
    for (size_t i = 0; i < count; i++) {
        words[i + 1] = copy_text(arena, slice_from_str(flags[i]));
        complete = complete && words[i + 1] != NULL;
    }
    return complete ? words : NULL;
}

/* ret->ptr is NULL without memory. */
static struct slice make_hello(struct arena *arena, const struct backend_options *options)
{
    const struct backend_worker_options *worker = &options->worker;
    struct worker_option list[OPTIONS_MAX];
    char threads[16];
    size_t count = 0;
    snprintf(threads, sizeof(threads), "%u", worker->threads);
    list[count++] = (struct worker_option){SLICE("kind"), slice_from_str(worker->kind)};
    list[count++] = (struct worker_option){SLICE("model"), slice_from_str(options->path)};
    if (worker->manifest != NULL) {
        list[count++] = (struct worker_option){SLICE("manifest"), slice_from_str(worker->manifest)};
    }
    if (worker->output.len > 0) {
        list[count++] = (struct worker_option){SLICE("output"), worker->output};
    }
    list[count++] = (struct worker_option){SLICE("threads"), slice_from_str(threads)};
    size_t size = worker_options_size(list, count);
    char *bytes = arena_alloc(arena, size);
    if (bytes != NULL) {
        worker_options_write(list, count, bytes);
    }
    return slice_make(bytes, size);
}

static int open_pool(struct backend_model *model, const struct backend_options *options,
                     struct error *error)
{
    const struct backend_worker_options *worker = &options->worker;
    bool ours = worker->command.len == 0;
    if (ours) {
        int status = worker_program_open(&model->program_fd, error);
        if (status != ERR_OK) {
            return status;
        }
    }
    const struct worker_pool_options pool = {
        .command = {.argv = ours ? python_words(&model->arena, worker->python)
                                 : split_words(&model->arena, worker->command),
                    .environment = worker_environment(environ, worker->environment, worker->threads,
                                                      &model->arena),
                    .program_fd = model->program_fd},
        .hello = make_hello(&model->arena, options),
        .count = worker->count,
        .start_timeout_ns = worker->start_timeout_ns,
        .max_rss_bytes = worker->max_rss_bytes,
        .observer = options->observer,
    };
    if (pool.command.argv == NULL || pool.command.environment == NULL || pool.hello.ptr == NULL) {
        return error_set(error, ERR_NO_MEMORY, "no memory for a worker's options");
    }
    if (pool.command.argv[0] == NULL) {
        return error_set(error, ERR_CONFIG, "the worker's command is empty");
    }
    return worker_pool_open(&pool, &model->pool, error);
}

static int read_signature(struct backend_model *model, struct error *error)
{
    struct error why;
    int status = worker_signature_read(worker_pool_signature(model->pool), &model->arena,
                                       &model->signature, &why);
    if (status == ERR_OK) {
        return ERR_OK;
    }
    return error_set(error, status == ERR_INTERNAL ? ERR_CONFIG : why.code,
                     "the worker's signature: %s", why.text);
}

static void close_model(struct backend_model *model)
{
    CHECK_MAGIC(model, MODEL_MAGIC);
    worker_pool_close(model->pool);
    if (model->program_fd >= 0) {
        sys_close(model->program_fd);
    }
    arena_done(&model->arena);
    model->magic = 0;
    mem_free(model);
}

static int open_model(const struct backend_options *options, struct backend_model **ret_model,
                      struct error *error)
{
    CHECK(options->worker.count >= 1 && options->worker.threads >= 1);
    struct backend_model *model = mem_zalloc(1, sizeof(*model));
    if (model == NULL) {
        return error_set(error, ERR_NO_MEMORY, "no memory for a model");
    }
    model->magic = MODEL_MAGIC;
    model->program_fd = -1;
    model->count = options->worker.count;
    arena_init(&model->arena, ARENA_BLOCK_BYTES, ARENA_MAX_BYTES);
    int status = open_pool(model, options, error);
    if (status == ERR_OK) {
        status = read_signature(model, error);
    }
    if (status != ERR_OK) {
        close_model(model);
        return status;
    }
    *ret_model = model;
    return ERR_OK;
}

static const struct signature *model_signature(const struct backend_model *model)
{
    CHECK_MAGIC(model, MODEL_MAGIC);
    return &model->signature;
}

static unsigned model_instances(const struct backend_model *model)
{
    CHECK_MAGIC(model, MODEL_MAGIC);
    return model->count;
}

static void measure_model(struct backend_model *model, struct backend_figures *ret_figures)
{
    CHECK_MAGIC(model, MODEL_MAGIC);
    worker_pool_measure(model->pool, ret_figures);
}

/* ---- a run ---- */

struct run {
    const struct tensor *inputs;
    const size_t *wanted;
    size_t wanted_count;
    size_t input_bytes; /* in the area */
    struct value *values;
    const struct backend_limits *limits;
    uint64_t until_ns; /* the wait for a worker and the run; 0: for ever */
    uint64_t begin_ns; /* the wait alone; likewise */
    bool is_repeated;  /* somebody has killed the worker that had it first */
    struct worker *worker;
    uint64_t number;
};

/* 0 stands for never. */
static uint64_t deadline_ns(uint64_t limit_ns)
{
    return limit_ns == 0 ? 0 : clock_monotonic_ns() + limit_ns;
}

static uint64_t sooner_ns(uint64_t a_ns, uint64_t b_ns)
{
    return a_ns == 0 || (b_ns != 0 && b_ns < a_ns) ? b_ns : a_ns;
}

/* It broke a rule: *error, which says which, becomes the run's. */
static int breach(struct backend_model *model, struct run *run, struct error *error)
{
    (void)worker_pool_drop(model->pool, run->worker, WORKER_END_PROTOCOL, error->text);
    error->code = ERR_INTERNAL;
    return error_prefix(error, "a worker broke the protocol");
}

/*
 * Who killed it from outside, with SIGKILL, did not mean the run: a prediction changes nothing, so it may
 * begin anew, once, since the kernel may have killed it for the memory that very run needs. A worker that
 * ended by itself was ended by the run: *ret_again is false.
 */
static int died(struct backend_model *model, struct run *run, bool *ret_again, struct error *error)
{
    char how[96];
    bool by_itself;
    int status = worker_process_wait(worker_pool_process(run->worker), LAST_GRACE_NS, &by_itself);
    worker_status_text(status, how, sizeof(how));
    enum worker_end end = worker_pool_drop(model->pool, run->worker, WORKER_END_DIED, how);
    *ret_again = end == WORKER_END_DIED && by_itself && WIFSIGNALED(status) &&
                 WTERMSIG(status) == SIGKILL && !run->is_repeated;
    run->is_repeated = *ret_again;
    if (end == WORKER_END_MEMORY) {
        return error_set(error, ERR_INTERNAL,
                         "a worker was killed during the run: it needed too much memory");
    }
    return error_set(error, ERR_INTERNAL, "a worker ended during the run: %s", how);
}

static int timed_out(struct backend_model *model, struct run *run, struct error *error)
{
    char reason[64];
    uint64_t limit_ns = sooner_ns(run->limits->run_ns, run->limits->whole_ns);
    snprintf(reason, sizeof(reason), "a run took longer than %" PRIu64 " ms",
             limit_ns / CLOCK_NS_PER_MS);
    worker_process_kill(worker_pool_process(run->worker));
    (void)worker_pool_drop(model->pool, run->worker, WORKER_END_TIMEOUT, reason);
    return error_set(error, ERR_TIMEOUT, "%s", reason);
}

/* The outputs, out of the worker's memory into ours. */
static int take_result(struct backend_model *model, struct run *run,
                       const struct worker_packet *result, struct error *error)
{
    struct worker_area *area = &worker_pool_process(run->worker)->output;
    int status = worker_area_follow(area, result->area_bytes, WORKER_OUTPUT_MAX_BYTES, error);
    bool is_breach = status == ERR_PROTOCOL;
    if (status == ERR_OK) {
        status = worker_result_read(result, area->at, area->mapped_bytes, &model->signature,
                                    run->wanted, run->wanted_count, run->values, error);
        is_breach = status == ERR_INTERNAL;
    }
    if (is_breach) {
        return breach(model, run, error);
    }
    worker_pool_give(model->pool, run->worker, true);
    return status;
}

static int take_answer(struct backend_model *model, struct run *run,
                       const struct worker_packet *answer, struct error *error)
{
    bool is_error = answer->type == WORKER_ERROR;
    if ((!is_error && answer->type != WORKER_RESULT) || answer->run != run->number) {
        error_set(error, ERR_INTERNAL, "a packet of type %d for run %" PRIu64 " is out of turn",
                  (int)answer->type, answer->run);
        return breach(model, run, error);
    }
    if (!is_error) {
        return take_result(model, run, answer, error);
    }
    worker_pool_give(model->pool, run->worker, true);
    return error_set(error, answer->reason == WORKER_CAUSE_INPUTS ? ERR_INVALID : ERR_INTERNAL,
                     "%.*s", SLICE_FMT(answer->text));
}

/* Writes the inputs and says so. *ret_told is false where it has gone. */
static int tell(struct run *run, size_t input_count, bool *ret_told, struct error *error)
{
    struct worker_process *process = worker_pool_process(run->worker);
    int status = worker_area_reserve(&process->input, run->input_bytes, error);
    if (status != ERR_OK) {
        return status;
    }
    worker_run_write(run->inputs, input_count, run->wanted, run->wanted_count, process->input.at);
    run->number = worker_pool_number(run->worker);
    const struct worker_packet packet = {
        .type = WORKER_RUN,
        .version = WORKER_VERSION,
        .run = run->number,
        .area_bytes = process->input.mapped_bytes,
        .offset = 0,
        .input_count = (uint32_t)input_count,
        .output_count = (uint32_t)run->wanted_count,
    };
    *ret_told = worker_process_send(process, &packet, error) == ERR_OK;
    return ERR_OK;
}

/*
 * With a worker. *ret_again: it had gone before it could know of the run, or was killed by somebody;
 * another one is to be taken.
 */
static int run_on_worker(struct backend_model *model, struct run *run, bool *ret_again,
                         struct error *error)
{
    char bytes[WORKER_PACKET_MAX];
    struct worker_packet answer;
    bool told;
    int status = tell(run, model->signature.input_count, &told, error);
    *ret_again = false;
    if (status != ERR_OK) {
        worker_pool_give(model->pool, run->worker, false);
        return status;
    }
    enum worker_answer heard = WORKER_UNHEARD;
    if (told) {
        uint64_t until_ns = sooner_ns(deadline_ns(run->limits->run_ns), run->until_ns);
        heard = worker_process_receive(worker_pool_process(run->worker), until_ns, bytes, &answer,
                                       error);
    }
    switch (heard) {
    case WORKER_ANSWERED:
        return take_answer(model, run, &answer, error);
    case WORKER_SILENT:
        return timed_out(model, run, error);
    case WORKER_BREACH:
        return breach(model, run, error);
    case WORKER_UNHEARD:
        (void)died(model, run, ret_again, error);
        *ret_again = true;
        return ERR_OK;
    case WORKER_GONE:
        break;
    }
    status = died(model, run, ret_again, error);
    return *ret_again ? ERR_OK : status;
}

/* What a burst has left in all the workers' areas, and in the C library, goes back when it is over. */
static void note_size(struct backend_model *model, const struct run *run, bool is_answered)
{
    size_t bytes = run->input_bytes;
    for (size_t i = 0; is_answered && i < run->wanted_count; i++) {
        bytes += tensor_bytes(&run->values[i].tensor); /* in memory: the sum cannot overflow */
    }
    if (burst_note_run(&model->burst, bytes, clock_monotonic_ns)) {
        worker_pool_trim(model->pool);
        mem_trim();
    }
}

/*
 * A run that is past its time costs the worker, whoever was slow. So none is begun that a wait has left too
 * little time for: it would end a healthy worker, and who comes next would wait for that one's successor and
 * do the same. Who finds a worker free begins with all its time.
 */
static int take_worker(struct backend_model *model, struct run *run, bool is_first,
                       struct error *error)
{
    if (!is_first && run->begin_ns != 0 && clock_monotonic_ns() >= run->begin_ns) {
        return error_set(error, ERR_TIMEOUT, "a worker has gone, too late for another one");
    }
    return worker_pool_take(model->pool, run->begin_ns, &run->worker, error);
}

/* A worker that has gone while it was idle costs nobody a run: another one is taken. */
static int run_within(struct backend_model *model, const struct tensor *inputs,
                      const size_t *wanted, size_t wanted_count,
                      const struct backend_limits *limits, struct arena *arena,
                      struct value *values, struct error *error)
{
    CHECK_MAGIC(model, MODEL_MAGIC);
    CHECK(limits->least_ns <= limits->whole_ns);
    (void)arena; /* outputs of workers are tensors: buffers alone */
    struct run run = {
        .inputs = inputs,
        .wanted = wanted,
        .wanted_count = wanted_count,
        .values = values,
        .limits = limits,
        .until_ns = deadline_ns(limits->whole_ns),
    };
    run.begin_ns = run.until_ns - limits->least_ns;
    struct error local;
    struct error *why = error == NULL ? &local : error;
    int status =
        worker_run_size(inputs, model->signature.input_count, wanted_count, &run.input_bytes, why);
    bool again = true;
    for (bool is_first = true; status == ERR_OK && again; is_first = false) {
        status = take_worker(model, &run, is_first, why);
        if (status == ERR_OK) {
            status = run_on_worker(model, &run, &again, why);
        }
    }
    note_size(model, &run, status == ERR_OK);
    return status;
}

static int run_model(struct backend_model *model, const struct tensor *inputs, const size_t *wanted,
                     size_t wanted_count, struct arena *arena, struct value *values,
                     struct error *error)
{
    static const struct backend_limits none;
    return run_within(model, inputs, wanted, wanted_count, &none, arena, values, error);
}

static const char *library_version(const char *library, struct error *error)
{
    (void)library;
    (void)error;
    return "worker protocol 1";
}

const struct backend backend_worker = {
    .name = "worker",
    .open = open_model,
    .signature = model_signature,
    .run = run_model,
    .run_within = run_within,
    .close = close_model,
    .instances = model_instances,
    .measure = measure_model,
    .version = library_version,
};
