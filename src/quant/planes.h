/* planes.h — formats whose scales lie apart from the codes: MLX's, bitsandbytes', FP8, and what GPTQ and AWQ become.
 *
 * affine b: value = T(T(code · scale) + minimum), T the scales' type; code i of a row is bits i·b .. i·b + b of its
 * bytes, little-endian (MLX; f32 scales: one rounding of code · scale and one of the sum). mxfp4, nvfp4: E2M1 in
 * nibbles, the low one first, times a scale of 32 (E8M0) or of 16 columns (E4M3) and the factor. mxfp8, FP8: E4M3 bytes
 * times a scale. int8: signed bytes times a scale. Grids: what IQ1 to IQ3 are expanded to (codebook.h). NF4 (Dettmers
 * et al. 2023, arXiv 2305.14314), FP4: tables of 16, the high nibble first, times a scale. The group of an element is
 * its place in the matrix by the group's size, whether rows are whole groups or not. */
#ifndef QUANT_PLANES_H
#define QUANT_PLANES_H

#include "quant/format.h"

#include <string.h>

static inline size_t scale_bytes(enum scale_type type)
{
    return type == SCALE_F32 ? 4 : type == SCALE_F16 || type == SCALE_BF16 ? 2 : 1;
}
static inline float scale_at(enum scale_type type, const uint8_t *scales, size_t i)
{
    const uint8_t *p = scales + i * scale_bytes(type);
    uint16_t half = 0;
    uint32_t bits;
    float f;
    if (type == SCALE_E4M3) return e4m3_to_float(*p);
    if (type == SCALE_F16 || type == SCALE_BF16) memcpy(&half, p, sizeof half);
    if (type == SCALE_F16) return half_to_float(half);
    if (type == SCALE_BF16) return bf16_to_float(half);
    if (type == SCALE_F32)
        memcpy(&bits, p, sizeof bits);
    else /* 2^(e − 127); 255 is NaN */
        bits = *p == 255 ? 0x7FC00000 : *p ? (uint32_t)*p << 23 : 0x00400000;
    memcpy(&f, &bits, sizeof f);
    return f;
}

void planes_dequantize(float *y, const struct quant_matrix *w, size_t row, size_t col, size_t n);
/* Formats whose groups have 16 columns. */
static inline bool planes_halves(enum quant_type type)
{
    return type == QUANT_NVFP4 || type == QUANT_GRID1 || type == QUANT_GRID2;
}
/* Whether int8 products may take the matrix: one of blocks, or planes that are whole blocks of 32 columns, each of one
 * group or of two of 16. */
static inline bool quant_in_blocks(const struct quant_matrix *w)
{
    size_t group = w->planes.group;
    if (w->type < QUANT_PLANES) return true;
    return !(w->cols % 32) && !w->planes.groups && (planes_halves(w->type) ? group == 16 : group % 32 == 0);
}
/* Bits of a code of an affine format. */
static inline int planes_bits(enum quant_type type)
{
    return type == QUANT_AFFINE8 ? 8 : 2 + (int)(type - QUANT_AFFINE2);
}
/* Whether codes are nibbles, numbers of a table. */
static inline bool planes_nibbles(enum quant_type type)
{
    return type >= QUANT_MXFP4 && type <= QUANT_FP4;
}
/* The 16 numbers that nibbles stand for. */
const float *planes_table(enum quant_type type);

#endif
