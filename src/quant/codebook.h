/* codebook.h — formats whose codes are unpacked once, when a model is opened: vectors from codebooks (IQ1, IQ2, IQ3)
 * become nibbles of a table and f32 scales, digits to the base of 3 (TQ1_0) pairs of bits. The values are the same. */
#ifndef QUANT_CODEBOOK_H
#define QUANT_CODEBOOK_H

#include "quant/format.h"

struct quant_expansion {
    enum quant_type to;
    size_t group; /* columns of a scale in planes; 0: `to` has no planes */
    /* Whole blocks, n values: codes as rows of `to` store them, and their scales. */
    void (*expand)(uint8_t *codes, float *scales, const uint8_t *x, size_t n);
};

/* NULL: the format is computed with as it is stored. */
const struct quant_expansion *quant_expansion_of(enum quant_type type);

void expand_tq1_0(uint8_t *codes, float *scales, const uint8_t *x, size_t n);

#endif
