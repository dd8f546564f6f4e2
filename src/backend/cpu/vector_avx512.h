/* vector_avx512.h — 16 floats in a register. The same names as in vector_avx2.h, for the templates of kernels. */
#ifndef CPU_VECTOR_AVX512_H
#define CPU_VECTOR_AVX512_H

#include <immintrin.h>
#include <stddef.h>
#include <stdint.h>

enum { LANES = 16, TILE_VECTORS = 4 }; /* a product's tile is 6 × 4 of the 32 registers */
typedef __m512 vec;
typedef __mmask16 vec_mask;

/* ---- memory: any alignment; a mask's lanes beyond it are neither read nor written, and load as 0 ------------------
 */

static inline vec vec_set(float x)
{
    return _mm512_set1_ps(x);
}
static inline vec vec_load(const float *p)
{
    return _mm512_loadu_ps(p);
}
static inline vec vec_load_bf16(const uint16_t *p)
{
    return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(_mm256_loadu_si256((const __m256i *)p)), 16));
}
static inline void vec_store(float *p, vec x)
{
    _mm512_storeu_ps(p, x);
}
static inline vec_mask vec_first(size_t n)
{
    return (vec_mask)((1u << n) - 1);
} /* the first n <= LANES lanes */
static inline vec_mask vec_mask_without(vec_mask m, vec_mask out)
{
    return (vec_mask)(m & ~out);
}
static inline vec vec_load_mask(const float *p, vec_mask m)
{
    return _mm512_maskz_loadu_ps(m, p);
}
static inline void vec_store_mask(float *p, vec x, vec_mask m)
{
    _mm512_mask_storeu_ps(p, m, x);
}
static inline vec_mask vec_negative(vec x) /* by the sign's bit; for vec_select */
{
    return _mm512_movepi32_mask(_mm512_castps_si512(x));
}
static inline vec vec_select(vec_mask m, vec x, vec otherwise)
{
    return _mm512_mask_mov_ps(otherwise, m, x);
}

/* ---- arithmetic: max and min return y where x or y is NaN ----------------------------------------------------------
 */

static inline vec vec_add(vec x, vec y)
{
    return _mm512_add_ps(x, y);
}
static inline vec vec_sub(vec x, vec y)
{
    return _mm512_sub_ps(x, y);
}
static inline vec vec_mul(vec x, vec y)
{
    return _mm512_mul_ps(x, y);
}
static inline vec vec_div(vec x, vec y)
{
    return _mm512_div_ps(x, y);
}
static inline vec vec_sqrt(vec x)
{
    return _mm512_sqrt_ps(x);
}
static inline vec vec_max(vec x, vec y)
{
    return _mm512_max_ps(x, y);
}
static inline vec vec_min(vec x, vec y)
{
    return _mm512_min_ps(x, y);
}
static inline vec vec_fma(vec x, vec y, vec z)
{
    return _mm512_fmadd_ps(x, y, z);
} /* x · y + z */
static inline vec vec_fnma(vec x, vec y, vec z)
{
    return _mm512_fnmadd_ps(x, y, z);
} /* z − x · y */
static inline vec vec_round(vec x)
{
    return _mm512_roundscale_ps(x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
}
static inline vec vec_scale2(vec x, vec n)
{
    return _mm512_scalef_ps(x, n);
} /* x · 2ⁿ, n whole */

/* ---- across lanes, in one fixed order ------------------------------------------------------------------------------
 */

static inline float vec_sum(vec x)
{
    return _mm512_reduce_add_ps(x);
}
static inline float vec_top(vec x)
{
    return _mm512_reduce_max_ps(x);
}

/* Sums in double: two accumulators for the two halves of a vector. */
struct vec_double {
    __m512d low, high;
};
static inline __m512d vec_low(vec x)
{
    return _mm512_cvtps_pd(_mm512_castps512_ps256(x));
}
static inline __m512d vec_high(vec x)
{
    return _mm512_cvtps_pd(_mm512_extractf32x8_ps(x, 1));
}
static inline struct vec_double vec_double_zero(void)
{
    return (struct vec_double){_mm512_setzero_pd(), _mm512_setzero_pd()};
}
static inline struct vec_double vec_double_add(struct vec_double sum, vec x)
{
    return (struct vec_double){_mm512_add_pd(sum.low, vec_low(x)), _mm512_add_pd(sum.high, vec_high(x))};
}
static inline struct vec_double vec_double_add_square(struct vec_double sum, vec x)
{
    __m512d low = vec_low(x), high = vec_high(x);
    return (struct vec_double){_mm512_fmadd_pd(low, low, sum.low), _mm512_fmadd_pd(high, high, sum.high)};
}
static inline double vec_double_sum(struct vec_double sum)
{
    return _mm512_reduce_add_pd(_mm512_add_pd(sum.low, sum.high));
}

/* ---- places --------------------------------------------------------------------------------------------------------
 */

static inline vec vec_swap_pairs(vec x)
{
    return _mm512_permute_ps(x, 0xb1);
} /* x1 x0 x3 x2 ... */
static inline vec vec_even_twice(vec x)
{
    return _mm512_moveldup_ps(x);
} /* x0 x0 x2 x2 ... */
static inline vec vec_odd_twice(vec x)
{
    return _mm512_movehdup_ps(x);
} /* x1 x1 x3 x3 ... */
static inline vec vec_alternate(float even, float odd) /* even odd even odd ... */
{
    return _mm512_mask_mov_ps(_mm512_set1_ps(even), 0xaaaa, _mm512_set1_ps(odd));
}

/* The even and the odd of 2 · LANES floats that lie in x and y. */
static inline void vec_unzip(vec x, vec y, vec *even, vec *odd)
{
    __m512i at = _mm512_setr_epi32(0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30);
    *even = _mm512_permutex2var_ps(x, at, y);
    *odd = _mm512_permutex2var_ps(x, _mm512_add_epi32(at, _mm512_set1_epi32(1)), y);
}

static inline __m512 vec_pair_low(__m512 x, __m512 y)
{
    return _mm512_castpd_ps(_mm512_unpacklo_pd(_mm512_castps_pd(x), _mm512_castps_pd(y)));
}
static inline __m512 vec_pair_high(__m512 x, __m512 y)
{
    return _mm512_castpd_ps(_mm512_unpackhi_pd(_mm512_castps_pd(x), _mm512_castps_pd(y)));
}

/* r[i] lane j becomes r[j] lane i. */
static inline __attribute__((always_inline)) void vec_transpose(vec r[LANES])
{
    vec t[LANES];
#pragma GCC unroll 16
    for (int i = 0; i < LANES; i += 4) { /* within each 128 bits: rows i .. i + 3 of column 4 · lane + c */
        vec a = _mm512_unpacklo_ps(r[i], r[i + 1]), b = _mm512_unpackhi_ps(r[i], r[i + 1]);
        vec c = _mm512_unpacklo_ps(r[i + 2], r[i + 3]), d = _mm512_unpackhi_ps(r[i + 2], r[i + 3]);
        t[i] = vec_pair_low(a, c), t[i + 1] = vec_pair_high(a, c);
        t[i + 2] = vec_pair_low(b, d), t[i + 3] = vec_pair_high(b, d);
    }
#pragma GCC unroll 16
    for (int c = 0; c < 4; c++) { /* then the 128-bit lanes, as a 4 × 4 matrix */
        vec even0 = _mm512_shuffle_f32x4(t[c], t[c + 4], 0x88), odd0 = _mm512_shuffle_f32x4(t[c], t[c + 4], 0xdd);
        vec even1 = _mm512_shuffle_f32x4(t[c + 8], t[c + 12], 0x88);
        vec odd1 = _mm512_shuffle_f32x4(t[c + 8], t[c + 12], 0xdd);
        r[c] = _mm512_shuffle_f32x4(even0, even1, 0x88), r[c + 4] = _mm512_shuffle_f32x4(odd0, odd1, 0x88);
        r[c + 8] = _mm512_shuffle_f32x4(even0, even1, 0xdd), r[c + 12] = _mm512_shuffle_f32x4(odd0, odd1, 0xdd);
    }
}

#endif
