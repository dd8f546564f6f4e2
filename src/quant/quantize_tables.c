/* quantize_tables.c — IQ4_NL and MXFP4: nibbles that are places of a table. (IQ4_XS has a super-block: quantize_k.c.)
 */
#include "quant/quantize_ggml.h"

#include <math.h>
#include <string.h>

enum { BLOCK = 32 };
static const int8_t nonlinear[16] = {-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113};
const struct levels levels_iq4 = {0, 15, nonlinear};

static uint8_t place_of(float level)
{
    uint8_t at = 0;
    while (at < 15 && (float)nonlinear[at] < level) at++;
    return at;
}

void put_iq4(uint8_t *out, const float q[BLOCK])
{
    for (size_t i = 0; i < BLOCK / 2; i++) out[i] = (uint8_t)(place_of(q[i]) | place_of(q[i + 16]) << 4);
}

/* The magnitude's code: the nearest of 0 .. 12 halves, ties to the even code. */
static uint8_t e2m1(float v)
{
    static const float bounds[7] = {0.5f, 1.5f, 2.5f, 3.5f, 5, 7, 10};
    uint8_t code = 0;
    float a = fabsf(v);
    for (size_t k = 0; k < 7; k++) code = (uint8_t)(code + (a > bounds[k] || (a == bounds[k] && k % 2)));
    return code && v < 0 ? code | 8 : code;
}

static float encode_mxfp4(int e, const float *x, const float *w, uint8_t codes[BLOCK])
{
    static const float values[8] = {0, 1, 2, 3, 4, 6, 8, 12};
    float d = ldexpf(1, e - 128), error = 0;
    for (size_t i = 0; i < BLOCK; i++) {
        codes[i] = e2m1(ldexpf(x[i], 128 - e));
        float y = values[codes[i] & 7] * d, off = (codes[i] & 8 ? -y : y) - x[i];
        error += w[i] * off * off;
    }
    return error;
}

/* Scales are powers of two: the three around the largest number are all that can be best. */
static void quantize_mxfp4(const float *x, const float *w, uint8_t *out)
{
    float most = 0, least_error = INFINITY;
    int exponent;
    for (size_t i = 0; i < BLOCK; i++) most = fmaxf(most, fabsf(x[i]));
    frexpf(most, &exponent);
    memset(out, 0, 17);
    for (int e = exponent + 124; most > 0 && e <= exponent + 126; e++) {
        uint8_t codes[BLOCK];
        int scale = e < 0 ? 0 : e > 254 ? 254 : e;
        float error = encode_mxfp4(scale, x, w, codes);
        if (!(error < least_error)) continue;
        least_error = error;
        out[0] = (uint8_t)scale;
        for (size_t i = 0; i < BLOCK / 2; i++) out[1 + i] = (uint8_t)(codes[i] | codes[i + 16] << 4);
    }
}

void quantize_block_table(enum quant_type type, const float *x, const float *w, uint8_t *out)
{
    if (type == QUANT_GGML_MXFP4) {
        quantize_mxfp4(x, w, out);
        return;
    }
    float q[BLOCK];
    struct fit f = fit_block(&levels_iq4, MINIMUM_NONE, true, x, w, BLOCK);
    fit_levels(&levels_iq4, f.d, 0, x, w, BLOCK, q);
    put_half(out, f.d);
    put_iq4(out + 2, q);
}
