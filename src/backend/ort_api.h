/*
 * The only includer of the runtime's C header, and the version of its API that is asked for.
 */
#ifndef BACKEND_ORT_API_H
#define BACKEND_ORT_API_H

#include <onnxruntime_c_api.h>

/*
 * The oldest API that has every function called here; what sets it are the optional types
 * (CastTypeInfoToOptionalTypeInfo) and string elements written in place
 * (GetResizedStringTensorElementBuffer). A release 1.N offers the versions 1 to N.
 */
#define ORT_API_NEEDED 15

#endif
