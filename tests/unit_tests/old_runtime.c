/*
 * A shared library that looks like an ONNX Runtime of long ago: it names its version and has no API
 * to give. The two functions stand in the order of OrtApiBase.
 */
#include <stddef.h>
#include <stdint.h>

struct old_api_base {
    const void *(*get_api)(uint32_t version);
    const char *(*get_version)(void);
};

const struct old_api_base *OrtGetApiBase(void);

static const void *get_api(uint32_t version)
{
    (void)version;
    return NULL;
}

static const char *get_version(void)
{
    return "1.4.0";
}

const struct old_api_base *OrtGetApiBase(void)
{
    static const struct old_api_base base = {get_api, get_version};
    return &base;
}
