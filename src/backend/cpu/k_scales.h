/* k_scales.h — a super-block's size; the 6-bit scales and minimums of one of Q4_K or Q5_K, eight bytes at a time, for
 * the x86 files (little-endian). The layout: quant/k_quants.h. */
#ifndef CPU_K_SCALES_H
#define CPU_K_SCALES_H

#include "quant/k_quants.h"

#include <string.h>

static inline __attribute__((always_inline)) size_t k_super_bytes(enum quant_type type)
{
    return type == QUANT_Q4_K ? Q4_K_BYTES : type == QUANT_Q5_K ? Q5_K_BYTES : Q6_K_BYTES;
}

/* Bytes: four scales, then four minimums; of blocks 0 .. 3 and of blocks 4 .. 7. */
struct k_scales {
    uint64_t first, last;
};

static inline __attribute__((always_inline)) struct k_scales k_scales(const uint8_t *super)
{
    uint64_t low;
    uint32_t high; /* a scale's nibble and a minimum's in each byte */
    memcpy(&low, super + K_SCALES, sizeof low);
    memcpy(&high, super + K_SCALES + sizeof low, sizeof high);
    uint64_t nibbles = (high | (uint64_t)high << 28) & 0x0F0F0F0F0F0F0F0Fu;
    return (struct k_scales){low & 0x3F3F3F3F3F3F3F3Fu, nibbles | (low >> 2 & 0x3030303030303030u)};
}

/* Scale and minimum of block j. */
static inline __attribute__((always_inline)) void k_scale_of(const uint8_t *super, size_t j, float *s, float *m)
{
    struct k_scales all = k_scales(super);
    uint64_t pairs = (j < 4 ? all.first : all.last) >> j % 4 * 8;
    *s = (float)(int)(pairs & 63);
    *m = (float)(int)(pairs >> 32 & 63);
}

#endif
