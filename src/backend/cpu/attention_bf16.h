/* attention_bf16.h — what the bf16 attention kernels share: rows of numbers as pairs of bf16, operands of products.
 *
 * A `pair` is two neighbours along the sum of a product: both are multiplied and added to an f32. Rows have their pairs
 * along head_dim as they lie; flip() turns rows into such pairs with lanes over the rows; zip() makes pairs of
 * neighbouring rows with lanes over head_dim. An odd end is filled up with 0.
 *
 * The kernels are attention_bf16_forward.h and attention_bf16_back.h, compiled once for each instruction set with its
 * attention_product_*.h: PRODUCT_ROWS, the rows of a that one call takes; GRAIN and DEPTH_GRAIN, of which b's columns
 * and the depth in numbers are multiples; SIDE_BY_SIDE, whether a's pairs must lie so (step 1); product_begin and
 * product_end around a kernel's calls; and product. */
#ifndef CPU_ATTENTION_BF16_H
#define CPU_ATTENTION_BF16_H

#include "backend/cpu/attention_numbers.h"
#include "backend/cpu/vector_avx512.h"

#define INLINE static inline __attribute__((always_inline))
typedef uint32_t pair;
static inline size_t smaller(size_t a, size_t b)
{
    return a < b ? a : b;
}
static inline size_t padded(size_t n, size_t to)
{
    return (n + to - 1) / to * to;
}
static inline size_t pairs(size_t n)
{
    return (n + 1) / 2;
}
INLINE __mmask32 first32(size_t n)
{
    return n < 32 ? (1u << n) - 1 : 0xFFFFFFFF;
}

/* 2^x to 4e-6, 2^−∞ = 0: a polynomial of degree 4 in x − ⌊x⌋ that is exact at both ends, by Lawson's iteration for the
 * relative error. Four hundred times finer than what bf16 keeps of it. */
INLINE __m512 exp2_ps(__m512 x)
{
    __m512 r = _mm512_reduce_ps(x, 0x09); /* x − ⌊x⌋ */
    __m512 p = _mm512_set1_ps(0x1.bc31dap-7f);
    p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(0x1.aa3fcap-5f));
    p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(0x1.ee5884p-3f));
    p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(0x1.62d51cp-1f));
    p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(1));
    return _mm512_scalef_ps(p, x); /* p · 2^⌊x⌋ */
}

/* tanh to 2e-5 */
INLINE __m512 tanh_ps(__m512 x)
{
    __m512 e = exp2_ps(_mm512_mul_ps(x, _mm512_set1_ps(2 * 0x1.715476p+0f)));
    __m512 one = _mm512_set1_ps(1);
    return _mm512_sub_ps(one, _mm512_div_ps(_mm512_set1_ps(2), _mm512_add_ps(one, e)));
}

/* The lanes j .. j + LANES of a row that lie in from .. to. */
INLINE __mmask16 lanes_between(size_t j, size_t from, size_t to)
{
    __mmask16 below = vec_first(to > j ? smaller(to - j, LANES) : 0);
    return from > j ? (__mmask16)(below & ~vec_first(smaller(from - j, LANES))) : below;
}

/* x0 .. x15 y0 .. y15 in bf16 */
INLINE __m512i join(__m512 x, __m512 y)
{
    return (__m512i)_mm512_cvtne2ps_pbh(y, x);
}

/* ---- rows -------------------------------------------------------------------------------------------------------- */

/* 32 numbers of the row x from `at` on in bf16, those from the n-th on 0; blocks: kv_blocks() of the row. */
INLINE __m512i narrow32(enum kv_type type, const uint8_t *x, size_t blocks, size_t at, size_t n)
{
    size_t second = n > LANES ? smaller(n - LANES, LANES) : 0;
    if (type == KV_BF16) return _mm512_maskz_loadu_epi16(first32(n), x + 2 * at);
    if (type == KV_F32) {
        const float *f = (const float *)(const void *)(x + 4 * at);
        return join(vec_load_mask(f, vec_first(smaller(n, LANES))), vec_load_mask(f + LANES, vec_first(second)));
    }
    __m512 d = _mm512_set1_ps(read_scale(x + 2 * (at / KV_BLOCK)));
    __m256i codes = _mm256_maskz_loadu_epi8(first32(n), x + 2 * blocks + at);
    __m512 low = _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(_mm256_castsi256_si128(codes)));
    __m512 high = _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(_mm256_extracti128_si256(codes, 1)));
    return join(_mm512_mul_ps(low, d), _mm512_mul_ps(high, d));
}

INLINE void narrow_all(enum kv_type type, pair *y, const uint8_t *x, size_t row_bytes, size_t rows, size_t n)
{
    size_t blocks = kv_blocks(n), whole = n / 32 * 32;
    for (size_t j = 0; j < rows; j++, x += row_bytes, y += pairs(n)) {
        for (size_t at = 0; at < whole; at += 32) _mm512_storeu_si512(y + at / 2, narrow32(type, x, blocks, at, 32));
        if (whole < n)
            _mm512_mask_storeu_epi32(y + whole / 2, vec_first(pairs(n - whole)),
                                     narrow32(type, x, blocks, whole, n - whole));
    }
}

/* y (rows, pairs(n)) = rows of n numbers, row_bytes apart from x on. */
static void narrow(pair *y, const void *x, enum kv_type type, size_t row_bytes, size_t rows, size_t n)
{
    if (type == KV_BF16)
        narrow_all(KV_BF16, y, x, row_bytes, rows, n);
    else if (type == KV_F32)
        narrow_all(KV_F32, y, x, row_bytes, rows, n);
    else
        narrow_all(KV_Q8, y, x, row_bytes, rows, n);
}

/* y[i/2][j] = x[j][i], x[j][i + 1]; i < n. Rows of x are row_bytes apart; lanes `rows` .. whole are 0. */
static void flip(pair *y, size_t ldy, const void *x, size_t row_bytes, size_t rows, size_t whole, size_t n)
{
    for (size_t j = 0; j < whole; j += LANES)
        for (size_t i = 0; i < n; i += 2 * LANES) {
            __m512 r[LANES];
            __mmask32 mask = first32(n - i);
            const char *from = (const char *)x + j * row_bytes + 2 * i;
            size_t there = rows > j ? smaller(rows - j, LANES) : 0;
#pragma GCC unroll 16
            for (size_t k = 0; k < LANES; k++)
                r[k] = _mm512_castsi512_ps(k < there ? _mm512_maskz_loadu_epi16(mask, from + k * row_bytes)
                                                     : _mm512_setzero_si512());
            vec_transpose(r);
            size_t count = smaller(pairs(n - i), LANES);
            if (count == LANES) {
#pragma GCC unroll 16
                for (size_t k = 0; k < LANES; k++) _mm512_storeu_ps(y + (i / 2 + k) * ldy + j, r[k]);
            } else
                for (size_t k = 0; k < count; k++) _mm512_storeu_ps(y + (i / 2 + k) * ldy + j, r[k]);
        }
}

/* y[j/2][i] = x[j][i], x[j + 1][i]; i < n, from there to a multiple of 16 0, as are the rows from `rows` to `whole`. */
static void zip(pair *y, size_t ldy, const void *x, size_t row_bytes, size_t rows, size_t whole, size_t n)
{
    const __m512i step = _mm512_set1_epi32(0x00200000), one = _mm512_set1_epi32(0x00010001);
    __m512i low = _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15), high;
    low = _mm512_or_si512(_mm512_mullo_epi32(low, one), step); /* words i and 32 + i */
    high = _mm512_add_epi16(low, _mm512_set1_epi16(16));
    for (size_t j = 0; j < whole; j += 2, y += ldy)
        for (size_t i = 0; i < n; i += 2 * LANES) {
            const char *from = (const char *)x + j * row_bytes + 2 * i;
            __m512i a = _mm512_maskz_loadu_epi16(j < rows ? first32(n - i) : 0, from);
            __m512i b = _mm512_maskz_loadu_epi16(j + 1 < rows ? first32(n - i) : 0, from + row_bytes);
            _mm512_storeu_si512(y + i, _mm512_permutex2var_epi16(a, low, b));
            if (n - i > LANES) _mm512_storeu_si512(y + i + LANES, _mm512_permutex2var_epi16(a, high, b));
        }
}

/* y[i][j] = x[j][i]: rows, cols and the strides are multiples of LANES. */
INLINE void turn(float *y, size_t ldy, const float *x, size_t ldx, size_t rows, size_t cols)
{
    for (size_t j = 0; j < rows; j += LANES)
        for (size_t i = 0; i < cols; i += LANES) {
            __m512 r[LANES];
#pragma GCC unroll 16
            for (size_t k = 0; k < LANES; k++) r[k] = _mm512_loadu_ps(x + (j + k) * ldx + i);
            vec_transpose(r);
#pragma GCC unroll 16
            for (size_t k = 0; k < LANES; k++) _mm512_storeu_ps(y + (i + k) * ldy + j, r[k]);
        }
}

/* ---- products ---------------------------------------------------------------------------------------------------- */

/* c[i][j] (+)= Σ_k a[i · row + k · step] · b[k][j], over pairs. */
struct operands {
    float *c;
    const pair *a, *b;
    size_t ldc, row, step, ldb;
};

/* ---- scratch ----------------------------------------------------------------------------------------------------- */

struct scratch_part {
    float **part;
    size_t floats;
};

/* Lays the parts out from `base` on (NULL: only counts), 64-byte aligned if it is; returns the floats they take. */
static inline size_t lay_out(float *base, const struct scratch_part *parts, size_t count)
{
    size_t at = 0;
    for (size_t i = 0; i < count; i++) {
        if (base) *parts[i].part = base + at;
        at += padded(parts[i].floats, LANES);
    }
    return at;
}

/* Vectors (row t, head h is vector t · group + h) taken together, whole rows, at most as many; fewer of wide heads. */
static inline size_t rows_together(size_t group, size_t head_dim, size_t most)
{
    size_t vectors = head_dim <= 128 ? most : most * 128 / head_dim;
    return group < vectors ? vectors / group : 1;
}

/* ---- the gradients, a file of their own ----------------------------------------------------------------------------
 */

struct attention_back {
    size_t (*scratch)(size_t group, size_t head_dim, size_t keys);
    void (*q)(const struct cpu_attention *a), (*kv)(const struct cpu_attention *a);
    void (*both)(const struct cpu_attention *a);
};
extern const struct attention_back attention_back_avx512bf16, attention_back_amx;
void attention_forward_avx512bf16(const struct cpu_attention *a);

#endif
