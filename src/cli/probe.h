/*
 * One GET over HTTP/1.1 that asks a server how it is, for `onnxd health`: connects, sends, reads the
 * head of the answer, and gives up when its time is over. No more of HTTP than that needs; the body
 * is not read. Blocks the calling thread; any thread.
 */
#ifndef CLI_PROBE_H
#define CLI_PROBE_H

#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "base/slice.h"

/*
 * The status of a GET of `path` ("/ready") at host and port, in *ret_status. The host is a name or an
 * address; of a name's addresses each is tried. timeout_ns is for all of it together, but for the
 * look-up of a name. ERR_TIMEOUT, ERR_UNAVAILABLE (nobody listens, the connection breaks),
 * ERR_INVALID (the answer is not HTTP), ERR_INTERNAL; the text says which, without the address.
 */
MUST_CHECK int probe_get(const char *host, uint16_t port, const char *path, uint64_t timeout_ns,
                         unsigned *ret_status, struct error *error);

/*
 * The status of the answer that begins with `head` ("HTTP/1.1 200 OK\r\n"). 1: *ret_status is set,
 * 0: more bytes are needed, -1: this is no answer of HTTP/1.
 */
MUST_CHECK int probe_read_status(struct slice head, unsigned *ret_status);

#endif
