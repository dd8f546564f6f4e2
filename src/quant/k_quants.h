/* k_quants.h — ggml's k-quants: super-blocks of 256 values in blocks that have integer scales of their own.
 *
 * Q4_K {f16 d, f16 dmin; 12 bytes of scales; 128 bytes of nibbles}. Eight blocks of 32, block j has a 6-bit scale s and
 *   a 6-bit minimum m: value = (d·s)·q − dmin·m. Bytes 32c .. 32c + 31 hold block 2c in their low and block 2c + 1 in
 *   their high nibbles.
 * Q5_K {f16 d, f16 dmin; 12 bytes of scales; 32 bytes of fifth bits; 128 bytes of nibbles}. The same; bit j of byte i
 *   is the fifth bit of element i of block j.
 * Q6_K {128 bytes of nibbles; 64 bytes of high bits; 16 i8 scales; f16 d}. Sixteen blocks of 16: value =
 *   (d·s)·(q − 32). Each half of 128 values has four quarters of 32: quarter k has the nibbles of bytes
 *   32(k mod 2) .. of its 64 bytes, low for k < 2, and bits 2k, 2k + 1 of its 32 bytes of high bits.
 * All products are exact in f32, so that a fused multiply-add rounds as the separate operations do. */
#ifndef QUANT_K_QUANTS_H
#define QUANT_K_QUANTS_H

#include "quant/format.h"

enum { K_SUPER = 256, K_SCALES = 4, Q4_K_NIBBLES = 16, Q5_K_HIGH = 16, Q5_K_NIBBLES = 48 };
enum { Q6_K_HIGH = 128, Q6_K_SCALES = 192, Q6_K_D = 208 };
enum { Q4_K_BYTES = 144, Q5_K_BYTES = 176, Q6_K_BYTES = 210 };

/* Scale and minimum of block j: `scales` holds the low 6 bits of the first four scales, of the first four minimums,
 * then a nibble of scale and one of minimum for each of the last four, whose high bits are bits 6, 7 of the former. */
static inline void k_scale_min(const uint8_t *scales, size_t j, uint8_t *s, uint8_t *m)
{
    if (j < 4) {
        *s = scales[j] & 63;
        *m = scales[j + 4] & 63;
    } else {
        *s = (uint8_t)((scales[j + 4] & 15) | scales[j - 4] >> 6 << 4);
        *m = (uint8_t)(scales[j + 4] >> 4 | scales[j] >> 6 << 4);
    }
}

/* Codes of one block (Q4_K, Q5_K: 32 values of 0 .. 31) or quarter (Q6_K: 32 values of 0 .. 63) j < 8 of a
 * super-block. */
void k_codes(enum quant_type type, uint8_t codes[32], const uint8_t *super, size_t j);

void dequantize_q4_k(float *y, const void *x, size_t n);
void dequantize_q5_k(float *y, const void *x, size_t n);
void dequantize_q6_k(float *y, const void *x, size_t n);

#endif
