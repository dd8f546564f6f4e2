/* quantize_ggml.h — numbers to ggml's blocks: F32, F16, BF16, Q4_0 to Q8_0, the k-quants, IQ4_NL, IQ4_XS and MXFP4.
 *
 * A block's scale and minimum are the least squares solution for its codes, found from several scales around the one
 * that just covers the block; the candidate whose stored form errs least wins. Squared errors are weighted: by the
 * importance of their column times the number's size, or by the size alone.
 * In blocks NaN counts as 0, and what lies beyond ±65504 (infinities too) as that: every block can be read. F32, F16
 * and BF16 keep both. Plain C over a run of whole blocks: callers cut matrices into runs. */
#ifndef QUANT_QUANTIZE_GGML_H
#define QUANT_QUANTIZE_GGML_H

#include "quant/format.h"

/* x (n) to blocks at out; importance (n): what an imatrix says of these columns, not negative; NULL: all alike. False:
 * a type that is not written. */
bool quantize_ggml(enum quant_type type, const float *x, const float *importance, size_t n, uint8_t *out);

/* ---- for the quantize_*.c ------------------------------------------------------------------- */

/* One block of x and w, finite and w ≥ 0. */
typedef void quantize_block_fn(enum quant_type type, const float *x, const float *w, uint8_t *out);
quantize_block_fn quantize_block_simple, quantize_block_k, quantize_block_table;

/* The codes are lo .. hi, or the places of a rising table of 16 numbers. */
struct levels {
    int lo, hi;
    const int8_t *table;
};
/* x ≈ d · level + m. */
struct fit {
    float d, m, error;
};
enum { FIT_MOST = 32 }; /* the most numbers of a fit; all are a multiple of 16 */
enum fit_minimum { MINIMUM_NONE, MINIMUM_FREE, MINIMUM_NEGATIVE };

/* The best d and m, stored exactly (half false) or as f16. */
struct fit fit_block(const struct levels *l, enum fit_minimum minimum, bool half, const float *x, const float *w,
                     size_t n);
/* The nearest levels q (n) at d and m; their weighted squared error. */
float fit_levels(const struct levels *l, float d, float m, const float *x, const float *w, size_t n, float *q);
/* Solves [aa ab; ab bb] (p, r) = (ax, bx); false: singular. */
bool solve_2(double aa, double ab, double bb, double ax, double bx, double *p, double *r);

extern const struct levels levels_iq4;
void put_iq4(uint8_t *out, const float q[32]); /* levels as 16 bytes of nibbles */

static inline float to_half_and_back(float f)
{
    return half_to_float(float_to_half(f));
}
static inline void put_u16(uint8_t *out, uint16_t v)
{
    out[0] = (uint8_t)v;
    out[1] = (uint8_t)(v >> 8);
}
static inline void put_half(uint8_t *out, float f)
{
    put_u16(out, float_to_half(f));
}

#endif
