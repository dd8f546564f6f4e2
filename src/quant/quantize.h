/* quantize.h — numbers to codes: the formats of planes.h as their makers write them, to the bit.
 *
 * MLX's modes give what mx.quantize gives on the CPU, NF4 what bitsandbytes gives there. Three cases differ on purpose.
 * mxfp4 and mxfp8: a group that holds an infinity or a NaN gets the scale NaN (255), and one whose scale would lie
 * below 2^-127 gets that; MLX's own bytes wrap around. nvfp4: numbers from 2^32 on and infinities become the largest
 * code, where MLX loses them and writes 0. Everything is plain C over one run of whole groups: callers cut
 * matrices into runs and compute them side by side. */
#ifndef QUANT_QUANTIZE_H
#define QUANT_QUANTIZE_H

#include "quant/format.h"

struct quantization {
    enum quant_type type; /* affine, mxfp4, mxfp8, nvfp4 or NF4 */
    size_t group;         /* affine: 32, 64, 128; the others': 32, nvfp4: 16, NF4: 64 or another even number */
    /* What the numbers were stored as: SCALE_F32, SCALE_F16, SCALE_BF16. Affine stores its scales and minimums so;
     * mxfp4 and mxfp8 round the quotient that becomes the scale to it, nvfp4 every number's. */
    enum scale_type number;
};
/* Where a run's codes and planes go; mins: affine alone. */
struct quantized {
    uint8_t *codes, *scales, *mins;
};
/* n numbers: whole groups; of NF4 the last group of a matrix may be shorter. */
void quantize(const struct quantization *q, const float *x, size_t n, const struct quantized *out);
/* How the scales are stored. */
enum scale_type quantized_scales(const struct quantization *q);

/* ---- GPTQ (Frantar et al. 2022, arXiv 2210.17323), affine alone ---------------------------------- */

/* H (n, n), symmetric, becomes U, upper, with H⁻¹ = Uᵀ U, after 1 % of its diagonal's mean was added to it. false: it
 * is not positive definite. */
bool hessian_factor(float *h, size_t n);
/* Whole rows; x is overwritten with what the codes were made of. */
void quantize_gptq(const struct quantization *q, float *x, size_t rows, size_t cols, const float *u,
                   const struct quantized *out);

typedef void quantize_fn(const struct quantization *q, const float *x, size_t n, const struct quantized *out);
quantize_fn quantize_affine, quantize_mx, quantize_nvfp4, quantize_nf4;

/* ---- double quantisation (Dettmers et al. 2023, arXiv 2305.14314) -------------------------------- */

enum { DYNAMIC_MAP = 256, NESTED_BLOCK = 256 };
/* The signed 8-bit numbers with a dynamic exponent (Dettmers 2016, arXiv 1511.04561), rising. */
void dynamic_map(float map[DYNAMIC_MAP]);
/* absmax − offset in blocks of NESTED_BLOCK: code of `map` times the block's outer scale. */
void quantize_nested(const float map[DYNAMIC_MAP], const float *absmax, size_t n, float offset, uint8_t *codes,
                     float *outer);

#endif
