/* quantize_k.h — a super-block on its way to the file. */
#ifndef QUANT_QUANTIZE_K_H
#define QUANT_QUANTIZE_K_H

#include "quant/k_quants.h"

struct super {
    float d, dmin;
    int s[16], m[16];       /* a group's scale and minimum: value = d s level − dmin m */
    uint8_t codes[K_SUPER]; /* levels counted from the lowest */
};
/* The block of its type. */
void put_super(enum quant_type type, const struct super *b, uint8_t *out);

#endif
