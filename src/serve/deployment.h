/*
 * A model in service: the loaded model, its manifest, the settings that go with it and the codec
 * plan, made together and never changed. A reload makes a new one beside it; loops hold a reference
 * to the one they use, and the last reference hands it back for closing.
 */
#ifndef SERVE_DEPLOYMENT_H
#define SERVE_DEPLOYMENT_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "backend/artifact.h"
#include "backend/backend.h"
#include "base/arena.h"
#include "codec/codec.h"
#include "config/manifest.h"
#include "config/settings.h"
#include "sched/batch.h"
#include "sched/probe.h"
#include "serve/placement.h"

struct deployment {
    unsigned magic;
    _Atomic unsigned refs;
    struct deployment *next; /* of whoever collects those to be closed */
    void (*on_unused)(struct deployment *deployment, void *user); /* by the last unref */
    void *on_unused_user;

    struct arena arena;
    struct artifact artifact;
    struct manifest manifest;
    bool has_manifest;
    struct slice manifest_path; /* NUL-terminated; empty where there is none */
    struct settings settings;   /* with the manifest's defaults in their place */
    const struct backend *backend;
    struct backend_model *model;
    atomic_bool healthy; /* the model can run; false while its processes cannot be started */
    struct backend_observer observer;
    void (*on_health)(void *user); /* `healthy` has changed; on a thread of the backend */
    void *on_health_user;
    const struct signature *signature;
    struct codec_options codec_options;
    struct codec_plan *plan;
    enum media media; /* of an answer where the client wishes for nothing */
    struct batch_target target;
    enum probe_result trial; /* what its trial run has shown about its rows */
    bool takes_made_up;      /* inputs, as the trial has shown too */
    struct placement placement;
    struct slice name;      /* of the manifest, else of the file */
    uint64_t load_ns;       /* how long opening took */
    uint64_t load_bytes;    /* resident memory that the process has grown by until it was warm */
    unsigned metrics_model; /* of metrics_use_model; the loader sets it */
};

/* Where lines for people go while loading: contradictions, remarks. */
typedef void deployment_report(void *user, const char *line);

struct deployment_query {
    const struct settings_input *input; /* flags and environment; the manifest joins them */
    const struct backend *test_backend; /* of the test server, for *.fake models; else NULL */
    deployment_report *report;          /* each contradiction of a manifest; may be NULL */
    void *report_user;
    void (*on_health)(void *user); /* a model in service can run no longer, or again; may be NULL */
    void *on_health_user;
};

/*
 * Finds, opens, checks, plans, warms and probes. ERR_CONFIG and one line saying why when any of it
 * fails; nothing is left behind then. *ret_deployment has one reference. Blocking; any thread.
 */
MUST_CHECK int deployment_load(const struct deployment_query *query,
                               struct deployment **ret_deployment, struct error *error);
/*
 * Before it serves: decides where it runs and starts its runners. One that was not placed runs on
 * the loops. What it returns is placement_init's. Blocking; once, by its only owner.
 */
MUST_CHECK int deployment_place(struct deployment *deployment, struct error *error);
struct deployment *deployment_ref(struct deployment *deployment);
void deployment_unref(struct deployment *deployment); /* NULL is fine; any thread */
/* Closes the model and frees all. What on_unused ends with. */
void deployment_free(struct deployment *deployment);

#endif
