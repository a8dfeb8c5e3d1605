/*
 * UTF-8 by the table of RFC 3629 section 4: overlong forms, surrogates and what is above U+10FFFF
 * are invalid. Invalid bytes are skipped in the pieces that Unicode recommends for replacement (The
 * Unicode Standard, section 3.9, "maximal subparts").
 */
#include "base/utf8.h"

/* The bytes a first byte asks for, and the range of the second one; the others are 0x80 to 0xbf. */
struct lead {
    size_t bytes; /* 0: no character begins with this byte */
    unsigned char second_min;
    unsigned char second_max;
};

static struct lead lead_of(unsigned char first)
{
    if (first < 0xc2 || first > 0xf4) {
        return (struct lead){.bytes = 0};
    }
    struct lead lead = {first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4, 0x80, 0xbf};
    switch (first) {
    case 0xe0:
        lead.second_min = 0xa0;
        break;
    case 0xed:
        lead.second_max = 0x9f;
        break;
    case 0xf0:
        lead.second_min = 0x90;
        break;
    case 0xf4:
        lead.second_max = 0x8f;
        break;
    default:
        break;
    }
    return lead;
}

struct utf8_step utf8_step_wide(struct slice text)
{
    const unsigned char *at = (const unsigned char *)text.ptr;
    struct lead lead = lead_of(at[0]);
    if (lead.bytes == 0) {
        return (struct utf8_step){false, 1};
    }
    unsigned char min = lead.second_min;
    unsigned char max = lead.second_max;
    for (size_t i = 1; i < lead.bytes; i++) {
        if (i == text.len || at[i] < min || at[i] > max) {
            return (struct utf8_step){false, i};
        }
        min = 0x80;
        max = 0xbf;
    }
    return (struct utf8_step){true, lead.bytes};
}
