/* quantize_nf4.c — bitsandbytes' NF4 (Dettmers et al. 2023, arXiv 2305.14314), and its double quantisation. */
#include "quant/pack.h"
#include "quant/parts.h"
#include "quant/planes.h"

#include <math.h>
#include <stdlib.h>

enum { CODES = 16, PIECE = 64, GRID = 65535 };
static const float smallest = 1e-38f; /* what a block's largest value counts as at least, where it divides */

/* How many of the rising middles lie below each number; all of them for NaN. */
ALWAYS_INLINE void nearest_codes(uint8_t *codes, const float *x, size_t n, const float middles[CODES - 1])
{
    for (size_t i = 0; i < n; i++) {
        int code = 0;
        for (size_t k = 0; k < CODES - 1; k++) code += !(x[i] <= middles[k]);
        codes[i] = (uint8_t)code;
    }
}

/* The first code of two is the high nibble; the table's zero (7) fills a last byte. */
ALWAYS_INLINE void pack_pairs(uint8_t *out, const uint8_t *codes, size_t n)
{
    for (size_t i = 0; i < n; i += 2) out[i / 2] = (uint8_t)(codes[i] << 4 | (i + 1 < n ? codes[i + 1] : 7));
}

ALWAYS_INLINE float clamped(float x)
{
    return x < -1 ? -1 : x > 1 ? 1 : x;
}

/* A whole block is multiplied with the inverse of its largest value, a shorter last one divided by it. */
FOR_EVERY_CPU static void quantize_block(const float *x, size_t n, bool whole, const float middles[CODES - 1],
                                         uint8_t *out, float *absmax)
{
    float most = largest(x, n), at_least = most < smallest ? smallest : most, inverse = 1 / at_least;
    *absmax = whole ? most : at_least;
    for (size_t i = 0; i < n; i += PIECE) {
        float scaled[PIECE];
        uint8_t codes[PIECE];
        size_t take = n - i < PIECE ? n - i : PIECE;
        for (size_t k = 0; k < take; k++) scaled[k] = clamped(whole ? x[i + k] * inverse : x[i + k] / at_least);
        nearest_codes(codes, scaled, take, middles);
        pack_pairs(out + i / 2, codes, take);
    }
}

void quantize_nf4(const struct quantization *q, const float *x, size_t n, const struct quantized *out)
{
    const float *table = planes_table(QUANT_NF4);
    float middles[CODES - 1];
    for (size_t k = 0; k < CODES - 1; k++) middles[k] = (table[k] + table[k + 1]) / 2;
    for (size_t i = 0, at = 0; at < n; i++, at += q->group) {
        size_t left = n - at, take = left < q->group ? left : q->group;
        float absmax;
        quantize_block(x + at, take, take == q->group, middles, out->codes + at / 2, &absmax);
        memcpy(out->scales + i * sizeof absmax, &absmax, sizeof absmax);
    }
}

/* ---- double quantisation ------------------------------------------------------------------------- */

static int rising(const void *a, const void *b)
{
    float x = *(const float *)a, y = *(const float *)b;
    return (x > y) - (x < y);
}

/* Number k of n + 1 that go from 0.1 to 1 in equal steps, counted from the nearer end. */
static float step_at(size_t k, size_t n)
{
    float step = (1 - 0.1f) / (float)n;
    return k < (n + 1) / 2 ? fmaf(step, (float)k, 0.1f) : fmaf(-step, (float)(n - k), 1);
}

/* For each power of ten from 10^-6 to 1 twice as many fractions: the middles of equal steps from 0.1 to 1. */
void dynamic_map(float map[DYNAMIC_MAP])
{
    static const float powers[] = {1e-6f, 1e-5f, 1e-4f, 1e-3f, 1e-2f, 1e-1f, 1};
    size_t count = 0;
    for (size_t i = 0; i < sizeof powers / sizeof *powers; i++)
        for (size_t k = 0, n = (size_t)1 << i; k < n; k++) {
            float value = powers[i] * ((step_at(k, n) + step_at(k + 1, n)) / 2);
            map[count++] = value;
            map[count++] = -value;
        }
    map[count++] = 0;
    map[count++] = 1;
    qsort(map, count, sizeof *map, rising);
}

/* As bitsandbytes looks codes up on the CPU: the code of the nearest of 65,536 places between −1 and 1. */
static uint8_t nested_code(const float map[DYNAMIC_MAP], float x)
{
    float place = floorf((clamped(x) + 1) * 0.5f * GRID + 0.5f), value = -1 + 2 * place / GRID;
    size_t low = 0, high = DYNAMIC_MAP - 1;
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (0.5f * (map[middle] + map[middle + 1]) < value)
            low = middle + 1;
        else
            high = middle;
    }
    return (uint8_t)low;
}

void quantize_nested(const float map[DYNAMIC_MAP], const float *absmax, size_t n, float offset, uint8_t *codes,
                     float *outer)
{
    for (size_t at = 0; at < n; at += NESTED_BLOCK) {
        size_t take = n - at < NESTED_BLOCK ? n - at : NESTED_BLOCK;
        float most = 0;
        for (size_t i = 0; i < take; i++) most = fmaxf(most, fabsf(absmax[at + i] - offset));
        for (size_t i = 0; i < take; i++)
            codes[at + i] = most > 0 ? nested_code(map, (absmax[at + i] - offset) * (1 / most)) : 0;
        outer[at / NESTED_BLOCK] = most;
    }
}
