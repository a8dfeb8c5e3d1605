#include "serve/loader.h"

#include <pthread.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"

struct loader {
    struct server_shared *shared;
    struct deployment_query query;
    void (*on_ready)(const struct deployment *deployment, void *user);
    void *user;
    pthread_t thread;

    pthread_mutex_t lock; /* guards what follows */
    pthread_cond_t changed;
    struct deployment *unused; /* to be closed */
    bool wanted;               /* a load was asked for */
    bool loading;
    bool stopping;
};

static void collect(struct deployment *deployment, void *user)
{
    struct loader *loader = user;
    pthread_mutex_lock(&loader->lock);
    deployment->next = loader->unused;
    loader->unused = deployment;
    pthread_cond_signal(&loader->changed);
    pthread_mutex_unlock(&loader->lock);
}

static void report_line(void *user, const char *line)
{
    (void)user;
    log_write(LOG_WARNING, NULL, NULL, "model: %s", line); /* all of them: it says them once */
}

static void tell_health(void *user)
{
    io_threads_tell_health(user);
}

static void put_in_service(struct loader *loader, struct deployment *deployment)
{
    struct server_shared *shared = loader->shared;
    deployment->on_unused = collect;
    deployment->on_unused_user = loader;
    deployment->metrics_model = metrics_use_model(shared->metrics, deployment->name);
    metrics_set(shared->metrics, METRIC_MODEL_LOAD, deployment->load_ns);
    metrics_set(shared->metrics, METRIC_MODEL_LOAD_MEMORY, deployment->load_bytes);
    for (unsigned i = 0; i < shared->thread_count; i++) {
        io_thread_deploy(&shared->threads[i], deployment_ref(deployment));
    }
    bool first = !atomic_exchange(&shared->loaded, true);
    log_info("model %.*s is %s (%s, loaded in %llu ms)", SLICE_FMT(deployment->name),
             first ? "ready" : "reloaded", deployment->artifact.path.ptr,
             (unsigned long long)(deployment->load_ns / CLOCK_NS_PER_MS));
    loader->on_ready(deployment, loader->user);
    deployment_unref(deployment);
}

static void load(struct loader *loader)
{
    struct error error;
    struct deployment *deployment;
    bool reload = atomic_load(&loader->shared->loaded);
    int status = deployment_load(&loader->query, &deployment, &error);
    if (status == ERR_OK) {
        status = deployment_place(deployment, &error);
        if (status != ERR_OK) {
            deployment_unref(deployment);
        }
    }
    if (status == ERR_OK) {
        put_in_service(loader, deployment);
    } else if (reload) {
        log_error("reload failed, the model in service goes on: %s", error.text);
    } else {
        log_error("not ready: %s", error.text);
    }
    if (reload) { /* who reads it finds the new model: its mail is on the way to every loop */
        metrics_add(loader->shared->metrics, METRIC_RELOADS,
                    status == ERR_OK ? RELOAD_OK : RELOAD_FAILED, 1);
    }
}

static void close_unused(struct loader *loader)
{
    struct deployment *unused = loader->unused;
    loader->unused = NULL;
    pthread_mutex_unlock(&loader->lock);
    while (unused != NULL) {
        struct deployment *deployment = unused;
        unused = deployment->next;
        deployment_free(deployment);
    }
    pthread_mutex_lock(&loader->lock);
}

static void *run(void *argument)
{
    struct loader *loader = argument;
    pthread_mutex_lock(&loader->lock);
    while (!loader->stopping || loader->unused != NULL) {
        if (loader->unused != NULL) {
            close_unused(loader);
        } else if (loader->wanted) {
            loader->wanted = false;
            loader->loading = true;
            pthread_mutex_unlock(&loader->lock);
            load(loader);
            pthread_mutex_lock(&loader->lock);
            loader->loading = false;
        } else {
            pthread_cond_wait(&loader->changed, &loader->lock);
        }
    }
    pthread_mutex_unlock(&loader->lock);
    buffer_recycler_done();
    return NULL;
}

int loader_new(struct server_shared *shared, const struct deployment_query *query,
               void (*on_ready)(const struct deployment *deployment, void *user), void *user,
               struct loader **ret_loader, struct error *error)
{
    struct loader *loader = mem_zalloc(1, sizeof(*loader));
    if (loader == NULL) {
        return error_set(error, ERR_NO_MEMORY, "no memory");
    }
    loader->shared = shared;
    loader->query = *query;
    loader->query.report = report_line;
    loader->query.on_health = tell_health;
    loader->query.on_health_user = shared;
    loader->on_ready = on_ready;
    loader->user = user;
    pthread_mutex_init(&loader->lock, NULL);
    pthread_cond_init(&loader->changed, NULL);
    int failed = pthread_create(&loader->thread, NULL, run, loader);
    if (failed != 0) {
        mem_free(loader);
        return error_set(error, ERR_INTERNAL, "no loader thread: %s", strerrordesc_np(failed));
    }
    *ret_loader = loader;
    return ERR_OK;
}

void loader_request(struct loader *loader)
{
    pthread_mutex_lock(&loader->lock);
    loader->wanted = true;
    pthread_cond_signal(&loader->changed);
    pthread_mutex_unlock(&loader->lock);
}

bool loader_stop(struct loader *loader)
{
    pthread_mutex_lock(&loader->lock);
    loader->stopping = true;
    bool loading = loader->loading;
    pthread_cond_signal(&loader->changed);
    pthread_mutex_unlock(&loader->lock);
    if (loading) {
        return false;
    }
    pthread_join(loader->thread, NULL);
    return true;
}

void loader_free(struct loader *loader)
{
    pthread_mutex_lock(&loader->lock);
    close_unused(loader);
    pthread_mutex_unlock(&loader->lock);
    pthread_cond_destroy(&loader->changed);
    pthread_mutex_destroy(&loader->lock);
    mem_free(loader);
}
