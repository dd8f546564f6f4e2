/* pack.h — what the quantisers share: rounding to a number's type, storing scales, packing codes. */
#ifndef QUANT_PACK_H
#define QUANT_PACK_H

#include "quant/quantize.h"

#include <string.h>

#define ALWAYS_INLINE static inline __attribute__((always_inline))

/* x as the type can hold it. */
ALWAYS_INLINE float number_rounded(enum scale_type type, float x)
{
    if (type == SCALE_BF16) return bf16_to_float(float_to_bf16(x));
    return type == SCALE_F16 ? half_to_float(float_to_half(x)) : x;
}

ALWAYS_INLINE void number_store(enum scale_type type, uint8_t *numbers, size_t i, float x)
{
    uint16_t half = type == SCALE_BF16 ? float_to_bf16(x) : type == SCALE_F16 ? float_to_half(x) : 0;
    if (type == SCALE_F32)
        memcpy(numbers + 4 * i, &x, sizeof x);
    else
        memcpy(numbers + 2 * i, &half, sizeof half);
}

/* The largest magnitude; NaN if there is one. The bits of numbers without their sign are ordered as they are. */
ALWAYS_INLINE float largest(const float *x, size_t n)
{
    uint32_t most = 0;
    for (size_t i = 0; i < n; i++) {
        uint32_t bits;
        memcpy(&bits, x + i, sizeof bits);
        bits &= 0x7FFFFFFF;
        most = bits > most ? bits : most;
    }
    float f;
    memcpy(&f, &most, sizeof f);
    return f;
}

/* Eight codes of a byte each become `bits` bytes, the first lowest: neighbours move together, pairs, then fours. */
ALWAYS_INLINE uint64_t pack_eight(const uint8_t *codes, int bits)
{
    uint64_t x;
    memcpy(&x, codes, sizeof x);
    x = (x & 0x00FF00FF00FF00FF) | (x & 0xFF00FF00FF00FF00) >> (8 - bits);
    x = (x & 0x0000FFFF0000FFFF) | (x & 0xFFFF0000FFFF0000) >> (16 - 2 * bits);
    return (x & 0xFFFFFFFF) | x >> 32 << 4 * bits;
}

/* n: a multiple of 8. */
ALWAYS_INLINE void pack(uint8_t *out, const uint8_t *codes, size_t n, int bits)
{
    for (size_t i = 0; i < n; i += 8, out += bits) {
        uint64_t x = pack_eight(codes + i, bits);
        memcpy(out, &x, (size_t)bits);
    }
}

#endif
