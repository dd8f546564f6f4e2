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

/* n values of whole blocks. */
void parts_dequantize(quant_part_fn *part, size_t block, size_t block_bytes, float *y, const void *x, size_t n);

quant_part_fn part_q5_0, part_q5_1, part_q8_1, part_q2_k, part_q3_k, part_q8_k, part_iq4_nl, part_iq4_xs, part_tq1_0,
    part_tq2_0, part_mxfp4, part_nvfp4;
quant_part_fn part_iq1_s, part_iq1_m, part_iq2_xxs, part_iq2_xs, part_iq2_s, part_iq3_xxs, part_iq3_s;

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
