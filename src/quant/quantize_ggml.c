/* quantize_ggml.c — fits of a block (least squares over candidates), and the simple blocks: F32 to Q8_0. */
#include "quant/quantize_ggml.h"
#include "quant/parts.h"

#include <math.h>
#include <string.h>

enum { LANES = 16 };

/* ---- fits ----------------------------------------------------------------------------------- */

/* Nearest integer for |v| < 2^22. */
static inline float nearest(float v)
{
    const float shift = 12582912.0f;
    return (v + shift) - shift;
}

static inline float clamp(float v, float lo, float hi)
{
    v = v > lo ? v : lo;
    return v < hi ? v : hi;
}

static inline float sum_lanes(const float s[LANES])
{
    float t[LANES / 2];
    for (size_t k = 0; k < LANES / 2; k++) t[k] = s[k] + s[k + LANES / 2];
    for (size_t width = LANES / 4; width; width /= 2)
        for (size_t k = 0; k < width; k++) t[k] += t[k + width];
    return t[0];
}

static float nearest_of(const int8_t *table, float v)
{
    size_t at = 0;
    for (size_t k = 1; k < 16; k++) at += v > 0.5f * (float)(table[k - 1] + table[k]);
    return table[at];
}

FOR_EVERY_CPU float fit_levels(const struct levels *l, float d, float m, const float *x, const float *w, size_t n,
                               float *q)
{
    float inverse = d != 0 ? 1 / d : 0, lo = (float)l->lo, hi = (float)l->hi, s[LANES] = {0};
    if (!isfinite(inverse)) inverse = 0;
    if (l->table)
        for (size_t i = 0; i < n; i++) q[i] = nearest_of(l->table, (x[i] - m) * inverse);
    else
        for (size_t i = 0; i < n; i++) q[i] = nearest(clamp((x[i] - m) * inverse, lo, hi));
    for (size_t i = 0; i < n; i += LANES)
        for (size_t k = 0; k < LANES; k++) {
            float e = d * q[i + k] + m - x[i + k];
            s[k] += w[i + k] * e * e;
        }
    return sum_lanes(s);
}

struct sums {
    float w, q, qq, x, qx;
};
FOR_EVERY_CPU static struct sums sums_of(const float *x, const float *w, const float *q, size_t n)
{
    float sw[LANES] = {0}, sq[LANES] = {0}, sqq[LANES] = {0}, sx[LANES] = {0}, sqx[LANES] = {0};
    for (size_t i = 0; i < n; i += LANES)
        for (size_t k = 0; k < LANES; k++) {
            float wq = w[i + k] * q[i + k];
            sw[k] += w[i + k];
            sq[k] += wq;
            sqq[k] += wq * q[i + k];
            sx[k] += w[i + k] * x[i + k];
            sqx[k] += wq * x[i + k];
        }
    return (struct sums){sum_lanes(sw), sum_lanes(sq), sum_lanes(sqq), sum_lanes(sx), sum_lanes(sqx)};
}

bool solve_2(double aa, double ab, double bb, double ax, double bx, double *p, double *r)
{
    double det = aa * bb - ab * ab;
    if (!(det > 1e-9 * aa * bb)) return false;
    *p = (ax * bb - bx * ab) / det;
    *r = (bx * aa - ax * ab) / det;
    return true;
}

/* Least squares for these levels. */
static struct fit solve(const struct sums *s, enum fit_minimum minimum, struct fit f)
{
    double d, m;
    if (minimum != MINIMUM_NONE && solve_2(s->qq, s->q, s->w, s->qx, s->x, &d, &m) &&
        (minimum == MINIMUM_FREE || m <= 0)) {
        f.d = (float)d;
        f.m = (float)m;
    } else if (s->qq > 0 && minimum != MINIMUM_FREE) {
        f.d = s->qx / s->qq;
        f.m = 0;
    }
    return f;
}

/* Solves from f on, twice, and keeps the best stored form. */
static void improve(struct fit *best, struct fit f, const struct levels *l, enum fit_minimum minimum, bool half,
                    const float *x, const float *w, size_t n)
{
    float q[FIT_MOST];
    for (int round = 0; round < 3; round++) {
        if (half) f.d = to_half_and_back(f.d), f.m = to_half_and_back(f.m);
        f.error = fit_levels(l, f.d, f.m, x, w, n, q);
        if (f.error < best->error)
            *best = f;
        else if (round)
            return;
        if (round == 2) return;
        struct sums s = sums_of(x, w, q, n);
        f = solve(&s, minimum, f);
    }
}

static void extremes(const float *x, size_t n, float *least, float *most)
{
    *least = *most = x[0];
    for (size_t i = 1; i < n; i++) {
        *least = x[i] < *least ? x[i] : *least;
        *most = x[i] > *most ? x[i] : *most;
    }
}

struct fit fit_block(const struct levels *l, enum fit_minimum minimum, bool half, const float *x, const float *w,
                     size_t n)
{
    /* How much of its extremes a block may lose: parts of a step. Fewer bits, more candidates. */
    static const float shrink[] = {0, -1, 0.4f, 0.8f, 1.3f, 2.0f};
    float least, most, lo = (float)(l->table ? l->table[0] : l->lo), hi = (float)(l->table ? l->table[15] : l->hi);
    size_t candidates = hi - lo > 100 && !l->table ? 2 : sizeof shrink / sizeof *shrink;
    extremes(x, n, &least, &most);
    struct fit best = {0, 0, INFINITY};
    float step = l->table ? 10 : 1;
    if (minimum == MINIMUM_NEGATIVE && least > 0) least = 0;
    float extreme = -least > most ? least : most;
    for (size_t k = 0; k < candidates; k++) {
        if (minimum != MINIMUM_NONE) {
            float d = (most - least) / (hi - lo + shrink[k]);
            improve(&best, (struct fit){d, least, 0}, l, minimum, half, x, w, n);
            continue;
        }
        float parts = shrink[k] * step;
        improve(&best, (struct fit){extreme / (lo - parts), 0, 0}, l, minimum, half, x, w, n);
        improve(&best, (struct fit){extreme / (hi + parts), 0, 0}, l, minimum, half, x, w, n);
    }
    return best;
}

/* ---- Q4_0 to Q8_0 --------------------------------------------------------------------------- */

static const struct simple {
    struct levels levels;
    enum fit_minimum minimum;
} simple[QUANT_TYPES] = {
    [QUANT_Q4_0] = {{-8, 7, NULL}, MINIMUM_NONE},     [QUANT_Q4_1] = {{0, 15, NULL}, MINIMUM_FREE},
    [QUANT_Q5_0] = {{-16, 15, NULL}, MINIMUM_NONE},   [QUANT_Q5_1] = {{0, 31, NULL}, MINIMUM_FREE},
    [QUANT_Q8_0] = {{-127, 127, NULL}, MINIMUM_NONE},
};

void quantize_block_simple(enum quant_type type, const float *x, const float *w, uint8_t *out)
{
    enum { BLOCK = 32 };
    const struct simple *s = &simple[type];
    float q[BLOCK];
    struct fit f = fit_block(&s->levels, s->minimum, true, x, w, BLOCK);
    fit_levels(&s->levels, f.d, f.m, x, w, BLOCK, q);
    put_half(out, f.d);
    out += 2;
    if (s->minimum == MINIMUM_FREE) put_half(out, f.m), out += 2;
    if (type == QUANT_Q8_0) {
        for (size_t i = 0; i < BLOCK; i++) out[i] = (uint8_t)(int8_t)q[i];
        return;
    }
    uint32_t fifth = 0;
    bool five = type == QUANT_Q5_0 || type == QUANT_Q5_1;
    uint8_t *nibbles = out + (five ? 4 : 0);
    memset(nibbles, 0, BLOCK / 2);
    for (size_t i = 0; i < BLOCK; i++) {
        uint32_t code = (uint32_t)((int)q[i] - s->levels.lo);
        nibbles[i % 16] |= (uint8_t)((code & 15) << i / 16 * 4);
        fifth |= (code >> 4) << i;
    }
    if (five) put_u16(out, (uint16_t)fifth), put_u16(out + 2, (uint16_t)(fifth >> 16));
}

/* ---- runs of blocks ------------------------------------------------------------------------- */

/* Finite numbers and their weights. */
static void prepare(const float *x, const float *importance, size_t n, float *finite, float *w)
{
    float squares = 0, total = 0;
    for (size_t i = 0; i < n; i++) {
        finite[i] = isnan(x[i]) ? 0 : clamp(x[i], -65504, 65504);
        squares += finite[i] * finite[i];
    }
    float size = sqrtf(squares / (float)n);
    for (size_t i = 0; i < n; i++) {
        float column = importance ? importance[i] : 1;
        if (!(column > 0)) column = 0;
        w[i] = clamp(column, 0, 1e12f) * (size + fabsf(finite[i]));
        total += w[i];
    }
    for (size_t i = 0; i < n; i++) w[i] = total > 0 ? w[i] / total + 1e-9f : 1;
}

static void copy(enum quant_type type, const float *x, size_t n, uint8_t *out)
{
    if (type == QUANT_F32)
        memcpy(out, x, 4 * n);
    else
        for (size_t i = 0; i < n; i++)
            put_u16(out + 2 * i, type == QUANT_F16 ? float_to_half(x[i]) : float_to_bf16(x[i]));
}

bool quantize_ggml(enum quant_type type, const float *x, const float *importance, size_t n, uint8_t *out)
{
    static quantize_block_fn *const blocks[QUANT_TYPES] = {
        [QUANT_Q4_0] = quantize_block_simple,      [QUANT_Q4_1] = quantize_block_simple,
        [QUANT_Q5_0] = quantize_block_simple,      [QUANT_Q5_1] = quantize_block_simple,
        [QUANT_Q8_0] = quantize_block_simple,      [QUANT_IQ4_NL] = quantize_block_table,
        [QUANT_GGML_MXFP4] = quantize_block_table, [QUANT_Q2_K] = quantize_block_k,
        [QUANT_Q3_K] = quantize_block_k,           [QUANT_Q4_K] = quantize_block_k,
        [QUANT_Q5_K] = quantize_block_k,           [QUANT_Q6_K] = quantize_block_k,
        [QUANT_IQ4_XS] = quantize_block_k,
    };
    const struct quant_format *f = &quant_formats[type];
    float finite[QUANT_BLOCK], w[QUANT_BLOCK];
    if (type <= QUANT_BF16) return copy(type, x, n, out), true;
    if (!blocks[type]) return false;
    for (size_t i = 0; i < n; i += f->block, out += f->block_bytes) {
        prepare(x + i, importance ? importance + i : NULL, f->block, finite, w);
        blocks[type](type, finite, w, out);
    }
    return true;
}
