/*
 * The compiled options of one model: what codec_plan_new makes and the codecs read. Internal to
 * this layer.
 */
#ifndef CODEC_PLAN_H
#define CODEC_PLAN_H

#include "codec/codec.h"

struct codec_plan {
    const struct codec_options *options; /* borrowed */
    const struct signature *signature;   /* borrowed */
    size_t *wanted;                      /* indices of outputs */
    size_t wanted_count;
};

#endif
