/* quantize_simple.c — blocks of 32 with one scale: Q4_0, Q4_1, Q5_0, Q5_1, Q8_0, IQ4_NL and MXFP4. */
#include "quant/quantize_fit.h"

#include <math.h>
#include <string.h>

enum { BLOCK = 32 };
const int8_t table_iq4[16] = {-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113};

static const struct simple {
    struct levels levels;
    enum fit_minimum minimum;
} simple[QUANT_TYPES] = {
    [QUANT_Q4_0] = {{-8, 7, NULL}, MINIMUM_NONE},     [QUANT_Q4_1] = {{0, 15, NULL}, MINIMUM_FREE},
    [QUANT_Q5_0] = {{-16, 15, NULL}, MINIMUM_NONE},   [QUANT_Q5_1] = {{0, 31, NULL}, MINIMUM_FREE},
    [QUANT_Q8_0] = {{-127, 127, NULL}, MINIMUM_NONE}, [QUANT_IQ4_NL] = {{.table = table_iq4}, MINIMUM_NONE},
};

/* The fits as blocks store them: the minimum first, the scale is solved again for what that has become. */
static void store_fits(const struct simple *s, const struct groups *g, struct fits *f)
{
    struct fit_sums sums;
    for (size_t l = 0; l < LANES; l++) f->m[l] = half_and_back(f->m[l]);
    if (s->minimum == MINIMUM_FREE) {
        fit_sums(&s->levels, g, f, &sums);
        for (size_t l = 0; l < LANES; l++)
            if (sums.qq[l] > 0) f->d[l] += sums.qr[l] / sums.qq[l];
    }
    for (size_t l = 0; l < LANES; l++) f->d[l] = half_scale(f->d[l]);
}

static void lane_codes(uint8_t codes[GROUP_MOST][LANES], size_t l, uint8_t out[BLOCK])
{
    for (size_t i = 0; i < BLOCK; i++) out[i] = codes[i][l];
}

static void put_codes(enum quant_type type, const uint8_t codes[BLOCK], uint8_t *out)
{
    if (type == QUANT_Q8_0) {
        for (size_t i = 0; i < BLOCK; i++) out[i] = (uint8_t)(codes[i] - 127);
        return;
    }
    if (type == QUANT_Q5_0 || type == QUANT_Q5_1) {
        uint32_t fifth = 0;
        for (size_t i = 0; i < BLOCK; i++) fifth |= (uint32_t)(codes[i] >> 4) << i;
        put_u16(out, (uint16_t)fifth);
        put_u16(out + 2, (uint16_t)(fifth >> 16));
        out += 4;
    }
    put_nibbles(out, codes);
}

void quantize_simple(enum quant_type type, const struct groups *g, size_t blocks, uint8_t *out)
{
    const struct simple *s = &simple[type];
    struct fits f;
    uint8_t codes[GROUP_MOST][LANES], block[BLOCK];
    bool minimum = s->minimum == MINIMUM_FREE;
    fit_groups(&s->levels, s->minimum, g, &f);
    store_fits(s, g, &f);
    fit_codes(&s->levels, g, &f, codes);
    for (size_t l = 0; l < blocks; l++, out += quant_formats[type].block_bytes) {
        put_half(out, f.d[l]);
        if (minimum) put_half(out + 2, f.m[l]);
        lane_codes(codes, l, block);
        put_codes(type, block, out + (minimum ? 4 : 2));
    }
}

/* ---- MXFP4 ---------------------------------------------------------------------------------- */

/* 2^(e − 128) for e from 1 on. */
static float power(int e)
{
    return ldexpf(1, e - 128);
}

/* Scales are powers of two: that which covers the largest number and its two neighbours are all that can be best. */
static void fit_powers(const struct levels *v, const struct groups *g, int exponent[LANES])
{
    struct fits f = {0};
    lane_floats most = {0}, least_error;
    int top[LANES];
    for (size_t i = 0; i < g->n; i++)
        for (size_t l = 0; l < LANES; l++) most[l] = fmaxf(most[l], fabsf(g->x[i][l]));
    for (size_t l = 0; l < LANES; l++) frexpf(most[l], &top[l]), least_error[l] = INFINITY;
    for (int k = 0; k < 3; k++) {
        int e[LANES];
        for (size_t l = 0; l < LANES; l++) e[l] = top[l] + 126 - k < 1 ? 1 : top[l] + 126 - k, f.d[l] = power(e[l]);
        fit_errors(v, g, &f);
        for (size_t l = 0; l < LANES; l++)
            if (f.error[l] < least_error[l]) least_error[l] = f.error[l], exponent[l] = e[l];
    }
}

void quantize_ggml_mxfp4(enum quant_type type, const struct groups *g, size_t blocks, uint8_t *out)
{
    static const int8_t table[16] = {-12, -8, -6, -4, -3, -2, -1, 0, 1, 2, 3, 4, 6, 8, 12, 12};
    static const uint8_t nibbles[16] = {15, 14, 13, 12, 11, 10, 9, 0, 1, 2, 3, 4, 5, 6, 7, 7};
    const struct levels v = {.table = table};
    struct fits f = {0};
    int e[LANES] = {0};
    uint8_t codes[GROUP_MOST][LANES], block[BLOCK];
    fit_powers(&v, g, e);
    for (size_t l = 0; l < LANES; l++) f.d[l] = power(e[l]);
    fit_codes(&v, g, &f, codes);
    for (size_t l = 0; l < blocks; l++, out += quant_formats[type].block_bytes) {
        out[0] = (uint8_t)e[l];
        for (size_t i = 0; i < BLOCK; i++) block[i] = nibbles[codes[i][l]];
        put_nibbles(out + 1, block);
    }
}
