/*
 * gzip on zlib, piece by piece and into bounded bytes: the content coding of request bodies (RFC 9110
 * section 8.4.1.3) and the message coding of gRPC. One thread at a time an object.
 */
#ifndef HTTP_GZIP_H
#define HTTP_GZIP_H

#include "base/bytes.h"
#include "base/error.h"
#include "base/slice.h"

struct gunzip;

/*
 * Owned; NULL without memory. `field` is the header field that announced the coding, for texts of
 * errors: a literal.
 */
MUST_CHECK struct gunzip *gunzip_new(const char *field);
void gunzip_free(struct gunzip *gunzip); /* NULL is fine */

/*
 * Appends the decoded piece to `out`. ERR_TOO_LARGE when out would pass its maximum, ERR_INVALID
 * naming the offset where the data is no gzip, ERR_NO_MEMORY.
 */
MUST_CHECK int gunzip_feed(struct gunzip *gunzip, struct slice piece, struct bytes *out,
                           struct error *error);
/* ERR_INVALID when the data ended too early. */
MUST_CHECK int gunzip_finish(const struct gunzip *gunzip, struct error *error);

struct gzip;

/* Owned, about 270 KiB; NULL without memory. */
MUST_CHECK struct gzip *gzip_new(void);
void gzip_free(struct gzip *gzip); /* NULL is fine */

/*
 * Appends what can be said of the piece by now to `out`; the rest comes with a later piece or the
 * end. ERR_NO_MEMORY past out's maximum or without memory: then gzip_reset before the next use.
 */
MUST_CHECK int gzip_feed(struct gzip *gzip, struct slice piece, struct bytes *out);
/* Appends the end of the data. The object is then as new and serves the next ones. */
MUST_CHECK int gzip_finish(struct gzip *gzip, struct bytes *out);
/* Forgets what was fed. */
void gzip_reset(struct gzip *gzip);

/* The version of zlib that is loaded. Static. */
const char *gzip_library_version(void);

#endif
