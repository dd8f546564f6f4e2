/* quantize_fp.c — MLX's mxfp4, mxfp8 and nvfp4: small floats times a scale of one byte. */
#include "quant/pack.h"
#include "quant/parts.h"
#include "quant/planes.h"

#include <float.h>
#include <math.h>

enum { MX_GROUP = 32, NV_GROUP = 16, E8M0_NAN = 255, E8M0_ONE = 127 };

/* E2M1: the nearest of 0, ½, 1, 1½, 2, 3, 4, 6; between two the smaller. Zero has no sign; NaN is 0. */
ALWAYS_INLINE uint8_t e2m1_of(float x)
{
    float a = fabsf(x);
    int code = (a > 0.25f) + (a > 0.75f) + (a > 1.25f) + (a > 1.75f) + (a > 2.5f) + (a > 3.5f) + (a > 5);
    return (uint8_t)(code + 8 * ((x < 0) & (code > 0)));
}

/* E4M3: the nearest, ties to even; 448 for all that is larger, NaN too. Adding 2^14 rounds what is subnormal. */
ALWAYS_INLINE uint8_t e4m3_of(float x)
{
    uint32_t bits, low;
    memcpy(&bits, &x, sizeof bits);
    uint32_t sign = bits >> 24 & 0x80;
    bits &= 0x7FFFFFFF;
    float shifted;
    memcpy(&shifted, &bits, sizeof shifted);
    shifted += 0x1p14f;
    memcpy(&low, &shifted, sizeof low);
    uint32_t high = (bits - (120u << 23) + 0x7FFFF + (bits >> 20 & 1)) >> 20;
    uint32_t code = bits < 121u << 23 ? low - (141u << 23) : high;
    return (uint8_t)(sign | (bits >= 543u << 21 ? 0x7E : code));
}

/* The byte of the smallest power of two that is no smaller than the quotient; *inverse is what numbers are multiplied
 * with. A group of zeros has the scale 1. */
static uint8_t e8m0_of(float quotient, float *inverse)
{
    *inverse = 0;
    if (!(quotient <= FLT_MAX)) return E8M0_NAN;
    int exponent = quotient > 0 ? (int)ceilf(log2f(quotient)) : 0;
    if (exponent < -E8M0_ONE) exponent = -E8M0_ONE;
    *inverse = ldexpf(1, -exponent);
    return (uint8_t)(exponent + E8M0_ONE);
}

FOR_EVERY_CPU void quantize_mx(const struct quantization *q, const float *x, size_t n, const struct quantized *out)
{
    bool wide = q->type == QUANT_MXFP8;
    uint8_t codes[MX_GROUP];
    for (size_t i = 0; i < n / MX_GROUP; i++, x += MX_GROUP) {
        float inverse, quotient = number_rounded(q->number, largest(x, MX_GROUP) / (wide ? 448 : 6));
        out->scales[i] = e8m0_of(quotient, &inverse);
        if (wide)
            for (size_t k = 0; k < MX_GROUP; k++) out->codes[i * MX_GROUP + k] = e4m3_of(x[k] * inverse);
        else {
            for (size_t k = 0; k < MX_GROUP; k++) codes[k] = e2m1_of(x[k] * inverse);
            pack(out->codes + i * MX_GROUP / 2, codes, MX_GROUP, 4);
        }
    }
}

FOR_EVERY_CPU void quantize_nvfp4(const struct quantization *q, const float *x, size_t n, const struct quantized *out)
{
    uint8_t codes[NV_GROUP];
    for (size_t i = 0; i < n / NV_GROUP; i++, x += NV_GROUP) {
        out->scales[i] = e4m3_of(number_rounded(q->number, largest(x, NV_GROUP) / 6));
        float scale = out->scales[i] ? e4m3_to_float(out->scales[i]) : INFINITY; /* under a scale of 0 all codes are */
        for (size_t k = 0; k < NV_GROUP; k++) codes[k] = e2m1_of(number_rounded(q->number, x[k] / scale));
        pack(out->codes + i * NV_GROUP / 2, codes, NV_GROUP, 4);
    }
}
