#include "serve/deployment.h"

#include <stdio.h>
#include <string.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "config/cpu_quota.h"
#include "obs/process.h"
#include "serve/deployment_options.h"

#define DEPLOYMENT_MAGIC 0x6465706cu
#define ARENA_BLOCK_BYTES ((size_t)16 * 1024)
#define ARENA_MAX_BYTES ((size_t)256 * 1024 * 1024)

struct deployment *deployment_ref(struct deployment *deployment)
{
    CHECK_MAGIC(deployment, DEPLOYMENT_MAGIC);
    atomic_fetch_add_explicit(&deployment->refs, 1, memory_order_relaxed);
    return deployment;
}

void deployment_unref(struct deployment *deployment)
{
    if (deployment == NULL) {
        return;
    }
    CHECK_MAGIC(deployment, DEPLOYMENT_MAGIC);
    if (atomic_fetch_sub_explicit(&deployment->refs, 1, memory_order_acq_rel) != 1) {
        return;
    }
    if (deployment->on_unused != NULL) {
        deployment->on_unused(deployment, deployment->on_unused_user);
    } else {
        deployment_free(deployment);
    }
}

void deployment_free(struct deployment *deployment)
{
    placement_done(&deployment->placement); /* its runners use all that follows */
    codec_plan_free(deployment->plan);
    if (deployment->model != NULL) {
        deployment->backend->close(deployment->model);
    }
    settings_done(&deployment->settings);
    manifest_done(&deployment->manifest);
    arena_done(&deployment->arena);
    deployment->magic = 0;
    mem_free(deployment);
}

static void log_line(void *user, enum log_level level, const char *text)
{
    (void)user;
    log_write(level, NULL, NULL, "%s", text); /* the backend limits what workers write */
}

static void note_health(void *user, bool healthy)
{
    struct deployment *deployment = user;
    if (atomic_exchange(&deployment->healthy, healthy) != healthy &&
        deployment->on_health != NULL) {
        deployment->on_health(deployment->on_health_user);
    }
}

static int choose_backend(struct deployment *deployment, const struct deployment_query *query,
                          struct error *error)
{
    if (deployment->artifact.kind == MODEL_ONNX) {
        deployment->backend = &backend_ort;
    } else if (deployment->artifact.kind == MODEL_FAKE) {
        deployment->backend = query->test_backend;
    } else {
        deployment->backend = &backend_worker;
    }
    if (deployment->backend == NULL) {
        return error_set(error, ERR_CONFIG, "%s: %s models cannot be served by this build",
                         deployment->artifact.path.ptr, model_kind_name(deployment->artifact.kind));
    }
    return ERR_OK;
}

static int name_manifest(struct deployment *deployment, struct slice directory, struct error *error)
{
    size_t size = directory.len + sizeof("/" MANIFEST_FILE_NAME);
    char *path = arena_alloc(&deployment->arena, size);
    if (path == NULL) {
        return error_set(error, ERR_NO_MEMORY, "no memory for a path");
    }
    snprintf(path, size, "%s/" MANIFEST_FILE_NAME, directory.ptr);
    deployment->manifest_path = slice_from_str(path);
    return ERR_OK;
}

/* Finds the model with the settings that flags and environment give, then again with the manifest's. */
static int find_model(struct deployment *deployment, const struct deployment_query *query,
                      struct error *error)
{
    struct settings found_with;
    int status = settings_load(&found_with, query->input, error);
    if (status != ERR_OK) {
        return status;
    }
    struct artifact_query wanted = {
        .directory = found_with.sm_model_dir,
        .file_name = found_with.model_filename,
        .model_type = found_with.model_type == SETTING_MODEL_TYPE_AUTO
                          ? SLICE("")
                          : slice_from_str(settings_enum_name(&found_with, "MODEL_TYPE")),
        .allow_fake = query->test_backend != NULL,
    };
    status = artifact_find(&wanted, &deployment->arena, &deployment->artifact, error);
    if (status == ERR_OK) {
        status = manifest_load(&deployment->manifest, found_with.sm_model_dir.ptr,
                               &deployment->has_manifest, error);
    }
    if (status == ERR_OK && deployment->has_manifest) {
        status = name_manifest(deployment, found_with.sm_model_dir, error);
    }
    settings_done(&found_with);
    return status;
}

static int load_settings(struct deployment *deployment, const struct deployment_query *query,
                         struct error *error)
{
    struct settings_input input = *query->input;
    input.manifest = deployment->manifest.settings;
    input.manifest_count = deployment->manifest.setting_count;
    int status = settings_load(&deployment->settings, &input, error);
    return status == ERR_OK ? deployment_check_media(&deployment->settings, error) : status;
}

static void name_model(struct deployment *deployment)
{
    struct slice path = deployment->artifact.path;
    if (deployment->manifest.name.len > 0) {
        deployment->name = deployment->manifest.name;
        return;
    }
    for (size_t at; (at = slice_find(path, '/')) < path.len;) {
        path = slice_tail(path, at + 1);
    }
    deployment->name = path;
}

struct reader {
    deployment_report *report;
    void *user;
};

/* Lines about the manifest, on their way to whoever reads lines. */
static void report_manifest(void *user, const char *line)
{
    const struct reader *reader = user;
    char text[ERROR_TEXT_MAX + sizeof(MANIFEST_FILE_NAME) + 2];
    if (reader->report != NULL) {
        snprintf(text, sizeof(text), "%s: %s", MANIFEST_FILE_NAME, line);
        reader->report(reader->user, text);
    }
}

static int check_manifest(const struct deployment *deployment, const struct deployment_query *query,
                          struct error *error)
{
    struct reader reader = {query->report, query->report_user};
    size_t contradictions =
        manifest_check(&deployment->manifest, deployment->signature, report_manifest, &reader);
    if (contradictions > 0) {
        return error_set(error, ERR_CONFIG, "%s contradicts the model in %zu place%s",
                         MANIFEST_FILE_NAME, contradictions, contradictions == 1 ? "" : "s");
    }
    return ERR_OK;
}

static void set_target(struct deployment *deployment)
{
    struct batch_target *target = &deployment->target;
    *target = (struct batch_target){
        .backend = deployment->backend,
        .model = deployment->model,
        .input_count = deployment->signature->input_count,
        .batchable = signature_is_batchable(deployment->signature) &&
                     deployment->settings.batching != SETTING_BATCHING_OFF,
        .max_rows = deployment->settings.max_batch_size,
    };
    target->wanted = codec_plan_wanted(deployment->plan, &target->wanted_count);
}

/* What nobody can ask for need not be computed. A model that stays whole answers the same. */
static void narrow_model(const struct deployment *deployment)
{
    const struct batch_target *target = &deployment->target;
    struct error error;
    if (target->backend->narrow != NULL &&
        target->backend->narrow(target->model, target->wanted, target->wanted_count, &error) !=
            ERR_OK) {
        log_debug("%s: all its outputs are computed: %s", deployment->artifact.path.ptr,
                  error.text);
    }
}

/* The manifest's own sample must work; the service would be useless to those it was written for. */
static int run_warmup_sample(const struct deployment *deployment, struct arena *scratch,
                             struct error *error)
{
    const struct manifest_sample *sample = &deployment->manifest.warmup;
    struct codec_inputs inputs;
    enum media media = media_parse(sample->content_type);
    int status = codec_decode(deployment->plan, media, sample->body, scratch, &inputs, error);
    if (status == ERR_OK) {
        const struct batch_target *target = &deployment->target;
        struct value *values = arena_zalloc(scratch, target->wanted_count, sizeof(values[0]));
        status = values == NULL ? error_set(error, ERR_NO_MEMORY, "no memory")
                                : batch_run_inputs(target, inputs.tensors, scratch, values, error);
        for (size_t i = 0; status == ERR_OK && i < target->wanted_count; i++) {
            value_done(&values[i]);
        }
        codec_inputs_done(&inputs);
    }
    if (status != ERR_OK) {
        error->code = ERR_CONFIG;
        return error_prefix(error, "%s: the warmup sample does not run%s", MANIFEST_FILE_NAME,
                            status == ERR_TIMEOUT ? " within WORKER_START_TIMEOUT_S" : "");
    }
    return ERR_OK;
}

/* A model that refuses made-up inputs may take the rows of the manifest's sample. */
static enum probe_result try_sample(const struct deployment *deployment, struct arena *scratch)
{
    const struct manifest_sample *sample = &deployment->manifest.warmup;
    struct codec_inputs inputs;
    struct error error;
    if (!sample->given || codec_decode(deployment->plan, media_parse(sample->content_type),
                                       sample->body, scratch, &inputs, &error) != ERR_OK) {
        return PROBE_REFUSED;
    }
    enum probe_result result =
        probe_given_rows(&deployment->target, inputs.tensors, inputs.rows, scratch);
    codec_inputs_done(&inputs);
    return result;
}

/* Strangers share a run only where the trial has shown that their rows do not meet. */
static void try_rows(struct deployment *deployment, const struct deployment_query *query,
                     struct arena *scratch)
{
    enum probe_result result = probe_rows(&deployment->target, deployment->signature, scratch);
    deployment->takes_made_up = result != PROBE_REFUSED;
    if (result == PROBE_REFUSED && deployment->target.batchable) {
        result = try_sample(deployment, scratch);
    }
    deployment->trial = result;
    if (!deployment->target.batchable || result == PROBE_INDEPENDENT) {
        return;
    }
    deployment->target.batchable = false;
    if (query->report != NULL) {
        query->report(query->report_user,
                      result == PROBE_DEPENDENT
                          ? "two rows answer otherwise together than alone: requests will not "
                            "share a run"
                          : "it does not run on made-up inputs, so whether rows are independent is "
                            "not known: requests will not share a run; a warmup sample of several "
                            "rows in the manifest would tell");
    }
}

static int warm_up(struct deployment *deployment, const struct deployment_query *query,
                   struct error *error)
{
    struct arena scratch;
    arena_init(&scratch, ARENA_BLOCK_BYTES, ARENA_MAX_BYTES);
    /* A first run may take what loading may; a request's time may be endless. */
    deployment->target.run_timeout_ns = deployment->settings.worker_start_timeout_ns;
    int status = ERR_OK;
    if (deployment->manifest.warmup.given) {
        status = run_warmup_sample(deployment, &scratch, error);
    }
    if (status == ERR_OK) {
        try_rows(deployment, query, &scratch);
    }
    deployment->target.run_timeout_ns = deployment->settings.request_timeout_ns;
    arena_done(&scratch);
    return status;
}

static int open_model(struct deployment *deployment, struct error *error)
{
    const struct settings *settings = &deployment->settings;
    unsigned io_threads = settings->io_threads == 0 ? cpu_quota() : settings->io_threads;
    struct backend_options options =
        deployment_backend_options(settings, deployment->artifact.path.ptr, io_threads);
    options.worker =
        deployment_worker_options(settings, deployment->artifact.kind,
                                  deployment->has_manifest ? deployment->manifest_path.ptr : NULL);
    options.observer = &deployment->observer;
    uint64_t before_ns = clock_monotonic_ns();
    int status = deployment->backend->open(&options, &deployment->model, error);
    deployment->load_ns = clock_monotonic_ns() - before_ns;
    if (status == ERR_OK) {
        deployment->signature = deployment->backend->signature(deployment->model);
    }
    return status;
}

static int make_plan(struct deployment *deployment, struct error *error)
{
    int status = deployment_codec_options(&deployment->settings, &deployment->manifest,
                                          deployment->signature, &deployment->arena,
                                          &deployment->codec_options);
    if (status != ERR_OK) {
        return error_set(error, ERR_NO_MEMORY, "no memory");
    }
    deployment->media = media_negotiate(deployment->settings.default_accept, MEDIA_JSON);
    return codec_plan_new(&deployment->codec_options, deployment->signature, &deployment->plan,
                          error);
}

static int bring_up(struct deployment *deployment, const struct deployment_query *query,
                    struct error *error)
{
    int status = open_model(deployment, error);
    if (status == ERR_OK) {
        status = check_manifest(deployment, query, error);
    }
    if (status == ERR_OK) {
        status = make_plan(deployment, error);
    }
    if (status == ERR_OK) {
        name_model(deployment);
        set_target(deployment);
        narrow_model(deployment);
        status = warm_up(deployment, query, error);
    }
    return status;
}

/*
 * The runtime says nothing of its memory, so the kernel is asked, before and after. What other
 * threads took or gave back meanwhile is in it.
 */
static int bring_up_measured(struct deployment *deployment, const struct deployment_query *query,
                             struct error *error)
{
    uint64_t before_bytes = process_resident_bytes();
    int status = bring_up(deployment, query, error);
    uint64_t after_bytes = process_resident_bytes();
    deployment->load_bytes = after_bytes > before_bytes ? after_bytes - before_bytes : 0;
    return status;
}

int deployment_load(const struct deployment_query *query, struct deployment **ret_deployment,
                    struct error *error)
{
    struct deployment *deployment = mem_zalloc(1, sizeof(*deployment));
    if (deployment == NULL) {
        return error_set(error, ERR_NO_MEMORY, "no memory");
    }
    deployment->magic = DEPLOYMENT_MAGIC;
    atomic_init(&deployment->refs, 1);
    atomic_init(&deployment->healthy, true);
    deployment->observer =
        (struct backend_observer){.line = log_line, .health = note_health, .user = deployment};
    deployment->on_health = query->on_health;
    deployment->on_health_user = query->on_health_user;
    arena_init(&deployment->arena, ARENA_BLOCK_BYTES, ARENA_MAX_BYTES);

    int status = find_model(deployment, query, error);
    if (status == ERR_OK) {
        status = load_settings(deployment, query, error);
    }
    if (status == ERR_OK) {
        status = choose_backend(deployment, query, error);
    }
    if (status == ERR_OK) {
        status = bring_up_measured(deployment, query, error);
    }
    if (status != ERR_OK) {
        deployment_free(deployment);
        return status;
    }
    *ret_deployment = deployment;
    return ERR_OK;
}

int deployment_place(struct deployment *deployment, struct error *error)
{
    const struct settings *settings = &deployment->settings;
    unsigned io_threads = settings->io_threads == 0 ? cpu_quota() : settings->io_threads;
    return placement_init(&deployment->placement, settings, &deployment->target,
                          deployment->signature, deployment->takes_made_up,
                          deployment_run_threads(settings, io_threads), error);
}
