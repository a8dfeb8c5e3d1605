/*
 * Content-Encoding: gzip of request bodies (RFC 9110 section 8.4.1.3) on zlib, piece by piece, with
 * the decoded size held to a maximum. Loop thread only.
 */
#ifndef SERVE_GUNZIP_H
#define SERVE_GUNZIP_H

#include "base/bytes.h"
#include "base/error.h"
#include "base/slice.h"

struct gunzip;

/* Owned; NULL without memory. */
MUST_CHECK struct gunzip *gunzip_new(void);
void gunzip_free(struct gunzip *gunzip); /* NULL is fine */

/*
 * Appends the decoded piece to `out`. ERR_TOO_LARGE when out would pass its maximum, ERR_INVALID
 * naming the offset where the data is no gzip, ERR_NO_MEMORY.
 */
MUST_CHECK int gunzip_feed(struct gunzip *gunzip, struct slice piece, struct bytes *out,
                           struct error *error);
/* ERR_INVALID when the data ended too early. */
MUST_CHECK int gunzip_finish(const struct gunzip *gunzip, struct error *error);

/* The version of zlib that is loaded. Static. */
const char *gunzip_library_version(void);

#endif
