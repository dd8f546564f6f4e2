/* parts.h — formats as blocks of parts: 16 neighbours of a row that share a scale and a minimum.
 *
 * value = d · code + m, rounded once: d and d · code are exact in f32 for every format here. One function a format says
 * what a part holds; dequantising and products of any kind follow from it. */
#ifndef QUANT_PARTS_H
#define QUANT_PARTS_H

#include "quant/format.h"

enum { PART = 16 };
#define NO_MINIMUM (-0.0f) /* what changes no number when it is added, a zero's sign neither */
struct quant_part {
    float d, m;
    int8_t codes[PART];
};
/* Part j of a block. */
typedef void quant_part_fn(struct quant_part *p, const uint8_t *block, size_t j);

/* The scalar loops are compiled for what the CPU has, where the loader can choose: they round alike everywhere. Clang's
 * clones are not seen by other files. */
#if defined(__x86_64__) && defined(__GLIBC__) && !defined(__clang__) && !defined(__SANITIZE_ADDRESS__) &&              \
    !defined(__SANITIZE_THREAD__)
#define FOR_EVERY_CPU __attribute__((target_clones("default", "avx2", "arch=x86-64-v4")))
#else
#define FOR_EVERY_CPU
#endif

/* n values of whole blocks. */
static inline __attribute__((always_inline)) void
parts_dequantize(quant_part_fn *part, size_t block, size_t block_bytes, float *y, const void *x, size_t n)
{
    struct quant_part p;
    for (const uint8_t *at = (const uint8_t *)x; n; n -= block, at += block_bytes)
        for (size_t j = 0; j < block / PART; j++, y += PART) {
            part(&p, at, j);
            for (size_t i = 0; i < PART; i++) y[i] = p.d * (float)p.codes[i] + p.m;
        }
}
#define PARTS(name, block, bytes)                                                                                      \
    FOR_EVERY_CPU void dequantize_##name(float *y, const void *x, size_t n)                                            \
    {                                                                                                                  \
        parts_dequantize(part_##name, block, bytes, y, x, n);                                                          \
    }

void dequantize_q5_0(float *y, const void *x, size_t n);
void dequantize_q5_1(float *y, const void *x, size_t n);
void dequantize_q8_1(float *y, const void *x, size_t n);
void dequantize_q2_k(float *y, const void *x, size_t n);
void dequantize_q3_k(float *y, const void *x, size_t n);
void dequantize_q8_k(float *y, const void *x, size_t n);
void dequantize_iq1_s(float *y, const void *x, size_t n);
void dequantize_iq1_m(float *y, const void *x, size_t n);
void dequantize_iq2_xxs(float *y, const void *x, size_t n);
void dequantize_iq2_xs(float *y, const void *x, size_t n);
void dequantize_iq2_s(float *y, const void *x, size_t n);
void dequantize_iq3_xxs(float *y, const void *x, size_t n);
void dequantize_iq3_s(float *y, const void *x, size_t n);
void dequantize_iq4_nl(float *y, const void *x, size_t n);
void dequantize_iq4_xs(float *y, const void *x, size_t n);
void dequantize_tq1_0(float *y, const void *x, size_t n);
void dequantize_tq2_0(float *y, const void *x, size_t n);
void dequantize_q1_0(float *y, const void *x, size_t n);
void dequantize_q2_0(float *y, const void *x, size_t n);
void dequantize_mxfp4(float *y, const void *x, size_t n);
void dequantize_nvfp4(float *y, const void *x, size_t n);

static inline uint16_t part_u16(const uint8_t *p)
{
    return (uint16_t)(p[0] | p[1] << 8);
}
static inline uint32_t part_u32(const uint8_t *p)
{
    return p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}
static inline float part_half(const uint8_t *p)
{
    return half_to_float(part_u16(p));
}

#endif
