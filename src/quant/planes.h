/* planes.h — formats whose scales lie apart from the codes: MLX's, bitsandbytes', FP8, and what GPTQ and AWQ become.
 *
 * affine b: value = T(T(code · scale) + minimum), T the scales' type; code i of a row is bits i·b .. i·b + b of its
 * bytes, little-endian (MLX; f32 scales: one rounding of code · scale and one of the sum). mxfp4, nvfp4: E2M1 in
 * nibbles, the low one first, times a scale of 32 (E8M0) or of 16 columns (E4M3) and the factor. mxfp8, FP8: E4M3 bytes
 * times a scale. int8: signed bytes times a scale. NF4 (Dettmers et al. 2023, arXiv 2305.14314), FP4: tables of 16, the
 * high nibble first, times a scale. The group of an element is its place in the matrix by the group's size, whether
 * rows are whole groups or not. */
#ifndef QUANT_PLANES_H
#define QUANT_PLANES_H

#include "quant/format.h"

void planes_dequantize(float *y, const struct quant_matrix *w, size_t row, size_t col, size_t n);
/* Bits of a code of an affine format. */
int planes_bits(enum quant_type type);

#endif
