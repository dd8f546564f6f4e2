/* quantize_fit.h — scales and minimums of sixteen groups side by side: x ≈ d · level + m, with the least weighted
 * squared error.
 *
 * Number i of group l stands at [i][l]. So each lane of a vector is a group of its own: no sum runs across lanes, and
 * every vector width gives the same bits. A group is a simple block, or a part of a super-block that has a scale of its
 * own. */
#ifndef QUANT_QUANTIZE_FIT_H
#define QUANT_QUANTIZE_FIT_H

#include "quant/format.h"

#include <math.h>

enum { LANES = 16, GROUP_MOST = 32 };
typedef float lane_floats[LANES];

struct groups {
    size_t n;                                 /* numbers of a group */
    lane_floats x[GROUP_MOST], w[GROUP_MOST]; /* finite; weights above 0 */
};
/* Codes 0, 1 … stand for lo .. hi, or for the 16 numbers of a rising table. */
struct levels {
    int lo, hi;
    const int8_t *table;
};
struct fits {
    lane_floats d, m, error;
};
enum fit_minimum { MINIMUM_NONE, MINIMUM_FREE, MINIMUM_NEGATIVE };

/* The best d and m of each group. */
void fit_groups(const struct levels *v, enum fit_minimum minimum, const struct groups *g, struct fits *best);
/* f->error: what the nearest levels at f->d and f->m err. */
void fit_errors(const struct levels *v, const struct groups *g, struct fits *f);
/* The codes of the nearest levels. */
void fit_codes(const struct levels *v, const struct groups *g, const struct fits *f, uint8_t codes[GROUP_MOST][LANES]);

/* Sums over a group of w · (1, q, q², r, qr, r²): q the nearest level at d and m, r what is left of x. Steps to better
 * d and m come from what is left: numbers far from 0 do not cancel, nor do blocks that fit well. */
struct fit_sums {
    lane_floats w, q, qq, r, qr, rr;
};
void fit_sums(const struct levels *v, const struct groups *g, const struct fits *f, struct fit_sums *s);

/* Each lane gets the sum over its block, which is so many lanes. */
static inline void spread_sums(lane_floats sums, size_t groups)
{
    for (size_t l = 0; l < LANES; l += groups) {
        float sum = 0;
        for (size_t k = 0; k < groups; k++) sum += sums[l + k];
        for (size_t k = 0; k < groups; k++) sums[l + k] = sum;
    }
}

/* Groups of a run's blocks to those blocks, the first `blocks` of as many as LANES groups are. */
typedef void quantize_groups_fn(enum quant_type type, const struct groups *g, size_t blocks, uint8_t *out);
quantize_groups_fn quantize_simple, quantize_k, quantize_ggml_mxfp4;

extern const int8_t table_iq4[16];

/* ---- what the quantize_*.c write ------------------------------------------------------------ */

static inline float half_and_back(float f)
{
    f = f > -65504 ? f : -65504;
    return half_to_float(float_to_half(f < 65504 ? f : 65504));
}
/* A scale: what lies among the subnormal halves is rounded up, or the ends of its block would not be reached. */
static inline float half_scale(float d)
{
    return fabsf(d) < 0x1p-14f ? copysignf(ceilf(fabsf(d) * 0x1p24f) * 0x1p-24f, d) : half_and_back(d);
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
/* 32 codes to 16 bytes, the first half in the low nibbles. */
static inline void put_nibbles(uint8_t *out, const uint8_t codes[32])
{
    for (size_t i = 0; i < 16; i++) out[i] = (uint8_t)((codes[i] & 15) | codes[i + 16] << 4);
}

#endif
