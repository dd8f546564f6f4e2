/* quantize_affine.c — MLX's affine mode: value = code · scale + minimum.
 *
 * The group's end that lies farther from zero is met exactly, and zero is a code; the scale's sign tells which end it
 * is. Codes come from the scale and minimum before these are rounded to the numbers' type. */
#include "quant/pack.h"
#include "quant/parts.h"
#include "quant/planes.h"

#include <math.h>

enum { LANES = 16, GROUP_CAP = 128 };

struct ends {
    float least, most;
};

/* NaN is passed over. */
ALWAYS_INLINE struct ends ends_of(const float *x, size_t n)
{
    float least[LANES], most[LANES];
    for (size_t i = 0; i < LANES; i++) least[i] = INFINITY, most[i] = -INFINITY;
    for (const float *end = x + n; x < end; x += LANES)
        for (size_t i = 0; i < LANES; i++) {
            most[i] = most[i] < x[i] ? x[i] : most[i];
            least[i] = x[i] < least[i] ? x[i] : least[i];
        }
    struct ends e = {least[0], most[0]};
    for (size_t i = 1; i < LANES; i++) {
        if (e.most < most[i]) e.most = most[i];
        if (least[i] < e.least) e.least = least[i];
    }
    return e;
}

struct line {
    float scale, minimum;
};

ALWAYS_INLINE struct line line_of(struct ends e, float top)
{
    bool low = fabsf(e.least) > fabsf(e.most);
    float scale = (e.most - e.least) / top, edge = low ? e.least : e.most;
    if (scale < 1e-7f) scale = 1e-7f;
    if (!low) scale = -scale;
    float steps = rintf(edge / scale);
    return steps != 0 ? (struct line){edge / steps, edge} : (struct line){scale, 0};
}

/* Adding 1.5 · 2^23 leaves the nearest whole number, ties to even, in the low bits. NaN becomes 0. */
ALWAYS_INLINE void codes_of(uint8_t *codes, const float *x, size_t n, struct line l, float top)
{
    for (size_t i = 0; i < n; i++) {
        float code = (x[i] - l.minimum) / l.scale;
        code = code > 0 ? code : 0;
        code = code < top ? code : top;
        code += 0x1.8p23f;
        uint32_t bits;
        memcpy(&bits, &code, sizeof bits);
        codes[i] = (uint8_t)bits;
    }
}

ALWAYS_INLINE void quantize_bits(const struct quantization *q, const float *x, size_t n, const struct quantized *out,
                                 int bits)
{
    uint8_t codes[GROUP_CAP];
    float top = (float)((1 << bits) - 1);
    for (size_t i = 0, group = q->group; i < n / group; i++, x += group) {
        struct line l = line_of(ends_of(x, group), top);
        codes_of(codes, x, group, l, top);
        pack(out->codes + i * group / 8 * (size_t)bits, codes, group, bits);
        number_store(q->number, out->scales, i, l.scale);
        number_store(q->number, out->mins, i, l.minimum);
    }
}

FOR_EVERY_CPU void quantize_affine(const struct quantization *q, const float *x, size_t n, const struct quantized *out)
{
    switch (planes_bits(q->type)) { /* known bits make the loops of pack straight code */
    case 2:
        quantize_bits(q, x, n, out, 2);
        break;
    case 3:
        quantize_bits(q, x, n, out, 3);
        break;
    case 4:
        quantize_bits(q, x, n, out, 4);
        break;
    case 5:
        quantize_bits(q, x, n, out, 5);
        break;
    case 6:
        quantize_bits(q, x, n, out, 6);
        break;
    default:
        quantize_bits(q, x, n, out, 8);
        break;
    }
}
