/*
 * Server reflection (proto/grpc/reflection/): answers what services there are, with the descriptors of
 * proto/ that are embedded at build time. Versions v1 and v1alpha are the same bytes on the wire. Pure
 * functions: any thread.
 */
#ifndef RPC_REFLECTION_H
#define RPC_REFLECTION_H

#include "base/arena.h"
#include "base/bytes.h"
#include "base/error.h"
#include "base/slice.h"

#define REFLECTION_SERVICE_V1 SLICE("grpc.reflection.v1.ServerReflection")
#define REFLECTION_SERVICE_V1ALPHA SLICE("grpc.reflection.v1alpha.ServerReflection")

/*
 * Answers one serialized ServerReflectionRequest: appends a ServerReflectionResponse to `out`. What is
 * not known is such a response too, with an error in it. The arena holds what is needed on the way.
 * ERR_INVALID where it is no such message, ERR_NO_MEMORY.
 */
MUST_CHECK int reflection_answer(struct slice message, struct arena *arena, struct bytes *out,
                                 struct error *error);

#endif
