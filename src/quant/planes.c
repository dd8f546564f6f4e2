/* planes.c — see planes.h. */
#include "quant/planes.h"

#include <math.h>
#include <string.h>

/* ---- codes ---------------------------------------------------------------------------------- */

/* Codes of up to 8 bits lie in two bytes; the second is read only where the code reaches it. */
static uint32_t code_at(const uint8_t *row, size_t i, int bits)
{
    size_t bit = i * (size_t)bits;
    uint32_t word = row[bit / 8];
    if (bit % 8 + (size_t)bits > 8) word |= (uint32_t)row[bit / 8 + 1] << 8;
    return word >> bit % 8 & ((1u << bits) - 1);
}

static const float e2m1[16] = {0, 0.5f, 1, 1.5f, 2, 3, 4, 6, -0.0f, -0.5f, -1, -1.5f, -2, -3, -4, -6};
static const float nf4[16] = {-1.0f,
                              -0.6961928009986877f,
                              -0.5250730514526367f,
                              -0.39491748809814453f,
                              -0.28444138169288635f,
                              -0.18477343022823334f,
                              -0.09105003625154495f,
                              0.0f,
                              0.07958029955625534f,
                              0.16093020141124725f,
                              0.24611230194568634f,
                              0.33791524171829224f,
                              0.44070982933044434f,
                              0.5626170039176941f,
                              0.7229568362236023f,
                              1.0f};
static const float fp4[16] = {
    0, 0.0052083334885537624f,  0.6666666865348816f,  1,  0.3333333432674408f,  0.5f,  0.1666666716337204f,  0.25f,
    0, -0.0052083334885537624f, -0.6666666865348816f, -1, -0.3333333432674408f, -0.5f, -0.1666666716337204f, -0.25f};

static const float grid1[16] = {-9, -7, -5, -3, -1, 1, 3, 5, 7, 9};
static const float grid2[16] = {-43, -25, -8, 8, 25, 43};
static const float grid3[16] = {-62, -52, -44, -36, -28, -20, -12, -4, 4, 12, 20, 28, 36, 44, 52, 62};
static const float grid3_s[16] = {-15, -13, -11, -9, -7, -5, -3, -1, 1, 3, 5, 7, 9, 11, 13, 15};

const float *planes_table(enum quant_type type)
{
    static const float *const tables[QUANT_TYPES] = {
        [QUANT_MXFP4] = e2m1,  [QUANT_NVFP4] = e2m1,      [QUANT_GRID1] = grid1, [QUANT_GRID2] = grid2,
        [QUANT_GRID3] = grid3, [QUANT_GRID3_S] = grid3_s, [QUANT_NF4] = nf4,     [QUANT_FP4] = fp4,
    };
    return tables[type];
}

/* The number that a code stands for, without its scale. */
static float number_of(enum quant_type type, const uint8_t *row, size_t i)
{
    bool high_first = type == QUANT_NF4 || type == QUANT_FP4;
    if (planes_nibbles(type)) return planes_table(type)[row[i / 2] >> (i % 2 != high_first) * 4 & 15];
    return type == QUANT_INT8 ? (float)(int8_t)row[i] : e4m3_to_float(row[i]);
}

/* ---- values --------------------------------------------------------------------------------- */

static float rounded(enum scale_type type, float x)
{
    return type == SCALE_BF16  ? bf16_to_float(float_to_bf16(x))
           : type == SCALE_F16 ? half_to_float(float_to_half(x))
                               : x;
}

struct group {
    float scale, minimum;
    size_t left; /* columns from here on that share them */
};

static struct group group_at(const struct quant_matrix *w, size_t row, size_t col)
{
    const struct quant_planes *p = &w->planes;
    size_t flat = row * w->cols + col, i = flat / p->group, left = p->group - flat % p->group;
    if (p->groups) {
        i = row * (w->cols / p->group) + (size_t)p->groups[col];
        left = 1;
    }
    float minimum = p->mins ? scale_at(p->scale_type, p->mins, i) : 0;
    return (struct group){scale_at(p->scale_type, p->scales, i), minimum, left};
}

void planes_dequantize(float *y, const struct quant_matrix *w, size_t row, size_t col, size_t n)
{
    const struct quant_planes *p = &w->planes;
    const uint8_t *data = w->data + row * w->row_bytes;
    bool affine = w->type < QUANT_MXFP4;
    int bits = affine ? planes_bits(w->type) : 0;
    while (n) {
        struct group g = group_at(w, row, col);
        for (size_t take = g.left < n ? g.left : n, i = 0; i < take; i++, n--, col++)
            if (affine)
                *y++ = rounded(p->scale_type,
                               rounded(p->scale_type, (float)code_at(data, col, bits) * g.scale) + g.minimum);
            else
                *y++ = number_of(w->type, data, col) * g.scale * p->factor;
    }
}
