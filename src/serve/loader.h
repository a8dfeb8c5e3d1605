/*
 * The thread that loads models and closes old ones, so that neither stalls a loop. A new model is
 * handed to every I/O thread when it is ready; when it cannot be loaded the old one goes on.
 */
#ifndef SERVE_LOADER_H
#define SERVE_LOADER_H

#include "base/error.h"
#include "serve/deployment.h"
#include "serve/io_thread.h"

struct loader;

/*
 * Starts the thread; the first load is asked for with loader_request. `on_ready` is called on the
 * loader's thread with the deployment in service after each good load. All is borrowed.
 */
MUST_CHECK int loader_new(struct server_shared *shared, const struct deployment_query *query,
                          void (*on_ready)(const struct deployment *deployment, void *user),
                          void *user, struct loader **ret_loader, struct error *error);
/* Any thread. Requests that come during a load are one load after it. */
void loader_request(struct loader *loader);
/*
 * Ends the thread. False when a load is still under way (it cannot be interrupted): the loader then
 * stays, and the process should leave without it.
 */
MUST_CHECK bool loader_stop(struct loader *loader);
/* After loader_stop, and after the I/O threads are done: closes what they handed back since. */
void loader_free(struct loader *loader);

#endif
