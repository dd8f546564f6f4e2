/* attention_numbers.h — rows of activations, keys and values between their stored form and f32, and the merging of
 * chunks of keys. Plain C: the specification, which each instruction set's attention compiles for itself. */
#ifndef CPU_ATTENTION_NUMBERS_H
#define CPU_ATTENTION_NUMBERS_H

#include "backend/cpu/kernels.h"

#include <math.h>
#include <string.h>
#ifdef __F16C__
#include <immintrin.h>
#endif

/* ---- activations ------------------------------------------------------------------------------------------------- */

static inline const void *number_at(const void *x, enum number number, size_t index)
{
    return (const char *)x + index * number_bytes(number);
}

static inline void read_bf16(float *y, const uint16_t *x, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        uint32_t bits = (uint32_t)x[i] << 16;
        memcpy(y + i, &bits, 4);
    }
}
static inline void write_bf16(uint16_t *y, const float *x, size_t n) /* to nearest even; NaN stays NaN */
{
#ifdef __AVX512BF16__ /* subnormal numbers become 0 */
    for (; n >= 32; n -= 32, x += 32, y += 32)
        _mm512_storeu_si512(y, (__m512i)_mm512_cvtne2ps_pbh(_mm512_loadu_ps(x + 16), _mm512_loadu_ps(x)));
#endif
    for (size_t i = 0; i < n; i++) {
        uint32_t bits;
        memcpy(&bits, x + i, 4);
        uint32_t rounded = (bits + 0x7fff + (bits >> 16 & 1)) >> 16, quiet = bits >> 16 | 0x40;
        y[i] = (uint16_t)((bits & 0x7fffffff) > 0x7f800000 ? quiet : rounded);
    }
}

static inline void numbers_read(float *y, const void *x, enum number number, size_t n)
{
    if (number == NUMBER_BF16)
        read_bf16(y, x, n);
    else
        memcpy(y, x, n * sizeof *y);
}
static inline void numbers_write(void *y, const float *x, enum number number, size_t n)
{
    if (number == NUMBER_BF16)
        write_bf16(y, x, n);
    else
        memcpy(y, x, n * sizeof *x);
}

/* ---- keys and values --------------------------------------------------------------------------------------------- */

static inline float read_scale(const uint8_t *p)
{
    uint16_t half;
    memcpy(&half, p, 2);
#ifdef __F16C__
    return _cvtsh_ss(half);
#else
    return half_to_float(half);
#endif
}

static inline void read_q8(float *y, const uint8_t *x, size_t n)
{
    const int8_t *codes = (const int8_t *)x + 2 * kv_blocks(n);
    for (size_t at = 0; at < n; at += KV_BLOCK, x += 2) {
        float d = read_scale(x);
        size_t end = n - at < KV_BLOCK ? n : at + KV_BLOCK;
        for (size_t i = at; i < end; i++) y[i] = d * (float)codes[i];
    }
}

/* d = max|x| / 127 as f16, code = x / d to nearest. With an infinity or NaN d is not finite and every value is NaN. */
static inline void write_q8(uint8_t *y, const float *x, size_t n)
{
    int8_t *codes = (int8_t *)y + 2 * kv_blocks(n);
    for (size_t at = 0; at < n; at += KV_BLOCK, y += 2) {
        uint32_t bits[KV_BLOCK], top = 0;
        size_t count = n - at < KV_BLOCK ? n - at : KV_BLOCK;
        float largest;
        memcpy(bits, x + at, count * sizeof *bits);
        for (size_t i = 0; i < count; i++) top = (bits[i] & 0x7fffffff) > top ? bits[i] & 0x7fffffff : top;
        memcpy(&largest, &top, 4);
        uint16_t half = float_to_half(largest / 127);
        memcpy(y, &half, 2);
        float d = half_to_float(half);
        if (!(d > 0 && d < INFINITY)) {
            memset(codes + at, 0, count);
            continue;
        }
        for (size_t i = 0; i < count; i++) {
            float code = rintf(x[at + i] / d);
            codes[at + i] = (int8_t)(code > 127 ? 127 : code < -127 ? -127 : code);
        }
    }
}

static inline void kv_read(float *y, const void *x, enum kv_type type, size_t n)
{
    if (type == KV_Q8)
        read_q8(y, x, n);
    else
        numbers_read(y, x, type == KV_BF16 ? NUMBER_BF16 : NUMBER_F32, n);
}

/* n: at most KV_VALUES, which no head exceeds. */
enum { KV_VALUES = 512 };
static inline void kv_store(void *y, enum kv_type type, const void *x, enum number number, size_t n)
{
    float row[KV_VALUES];
    if (type == kv_of_number(number)) {
        memcpy(y, x, kv_bytes(type, n));
        return;
    }
    numbers_read(row, x, number, n);
    if (type == KV_Q8)
        write_q8(y, row, n);
    else
        numbers_write(y, row, type == KV_BF16 ? NUMBER_BF16 : NUMBER_F32, n);
}

static inline const void *kv_at(const struct cpu_attention *a, const void *const *pages, size_t key)
{
    return (const char *)pages[key / a->page_tokens] + key % a->page_tokens * a->kv_row;
}

/* The first key that the query at row t sees. */
static inline size_t first_seen(const struct cpu_attention *a, size_t t)
{
    size_t keys = a->position + t + 1;
    return a->window && keys > a->window ? keys - a->window : 0;
}

/* ---- chunks of keys: a vector's sum (head_dim) of exp(s − max) v, its max, its total of exp(s − max) ----------------
 */

/* Not inlined, so that the compiler rounds it alike wherever chunks are merged. */
static __attribute__((noinline)) void merge_chunk(float *sum, float *max, float *total, const float *sum2, float max2,
                                                  float total2, size_t n)
{
    if (max2 == -INFINITY) return; /* nothing of the chunk is seen */
    float top = fmaxf(*max, max2), keep = expf(*max - top), add = expf(max2 - top);
    for (size_t i = 0; i < n; i++) sum[i] = sum[i] * keep + sum2[i] * add;
    *total = *total * keep + total2 * add;
    *max = top;
}

/* Vector v (row v / group, head v % group) is complete: `sum` becomes its out. */
static __attribute__((noinline)) void finish_vector(const struct cpu_attention *a, size_t v, float *sum, float max,
                                                    float total)
{
    size_t t = v / a->group, h = v % a->group, at = t * a->ldo + h * a->head_dim;
    float scale = 1 / total;
    for (size_t i = 0; i < a->head_dim; i++) sum[i] *= scale;
    numbers_write((char *)a->out + at * number_bytes(a->number), sum, a->number, a->head_dim);
    if (a->lse) a->lse[t * a->ldlse + h] = max + logf(total);
}

/* Vector v's place in the chunk-th part: sum, then max and total. */
static inline float *part_at(const struct cpu_attention *a, size_t chunk, size_t v)
{
    return a->parts + (chunk * a->rows * a->group + v) * (a->head_dim + 2);
}

static inline void merge_parts(const struct cpu_attention *a, size_t count, bool last)
{
    size_t n = a->head_dim;
    for (size_t v = 0; v < a->rows * a->group; v++) {
        float *sum = part_at(a, 0, v);
        for (size_t c = 1; c < count; c++) {
            const float *next = part_at(a, c, v);
            merge_chunk(sum, sum + n, sum + n + 1, next, next[n], next[n + 1], n);
        }
        if (last) finish_vector(a, v, sum, sum[n], sum[n + 1]);
    }
}

#endif
