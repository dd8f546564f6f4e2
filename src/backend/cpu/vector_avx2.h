/* vector_avx2.h — 8 floats in a register. The same names as in vector_avx512.h, for the templates of kernels. */
#ifndef CPU_VECTOR_AVX2_H
#define CPU_VECTOR_AVX2_H

#include <immintrin.h>
#include <stddef.h>
#include <stdint.h>

enum { LANES = 8, TILE_VECTORS = 2 }; /* a product's tile is 6 × 2 of the 16 registers */
typedef __m256 vec;
typedef __m256i vec_mask;

/* ---- memory: any alignment; a mask's lanes beyond it are neither read nor written, and load as 0 ------------------
 */

static inline vec vec_set(float x)
{
    return _mm256_set1_ps(x);
}
static inline vec vec_load(const float *p)
{
    return _mm256_loadu_ps(p);
}
static inline vec vec_load_bf16(const uint16_t *p)
{
    return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(_mm_loadu_si128((const __m128i *)p)), 16));
}
static inline void vec_store(float *p, vec x)
{
    _mm256_storeu_ps(p, x);
}
static inline vec_mask vec_first(size_t n) /* the first n <= LANES lanes */
{
    return _mm256_cmpgt_epi32(_mm256_set1_epi32((int)n), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
}
static inline vec_mask vec_mask_without(vec_mask m, vec_mask out)
{
    return _mm256_andnot_si256(out, m);
}
static inline vec vec_load_mask(const float *p, vec_mask m)
{
    return _mm256_maskload_ps(p, m);
}
static inline void vec_store_mask(float *p, vec x, vec_mask m)
{
    _mm256_maskstore_ps(p, m, x);
}
static inline vec_mask vec_negative(vec x) /* by the sign's bit; for vec_select */
{
    return _mm256_castps_si256(x);
}
static inline vec vec_select(vec_mask m, vec x, vec otherwise)
{
    return _mm256_blendv_ps(otherwise, x, _mm256_castsi256_ps(m));
}

/* ---- arithmetic: max and min return y where x or y is NaN ----------------------------------------------------------
 */

static inline vec vec_add(vec x, vec y)
{
    return _mm256_add_ps(x, y);
}
static inline vec vec_sub(vec x, vec y)
{
    return _mm256_sub_ps(x, y);
}
static inline vec vec_mul(vec x, vec y)
{
    return _mm256_mul_ps(x, y);
}
static inline vec vec_div(vec x, vec y)
{
    return _mm256_div_ps(x, y);
}
static inline vec vec_sqrt(vec x)
{
    return _mm256_sqrt_ps(x);
}
static inline vec vec_max(vec x, vec y)
{
    return _mm256_max_ps(x, y);
}
static inline vec vec_min(vec x, vec y)
{
    return _mm256_min_ps(x, y);
}
static inline vec vec_fma(vec x, vec y, vec z)
{
    return _mm256_fmadd_ps(x, y, z);
} /* x · y + z */
static inline vec vec_fnma(vec x, vec y, vec z)
{
    return _mm256_fnmadd_ps(x, y, z);
} /* z − x · y */
static inline vec vec_round(vec x)
{
    return _mm256_round_ps(x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
}

static inline vec vec_exponent(__m256i n) /* 2ⁿ, −126 <= n <= 127 */
{
    return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_add_epi32(n, _mm256_set1_epi32(127)), 23));
}
/* x · 2ⁿ, n whole, |n| <= 252: in two steps, so that results may be subnormal or infinite. */
static inline vec vec_scale2(vec x, vec n)
{
    __m256i whole = _mm256_cvtps_epi32(n), half = _mm256_srai_epi32(whole, 1);
    return vec_mul(vec_mul(x, vec_exponent(half)), vec_exponent(_mm256_sub_epi32(whole, half)));
}

/* ---- across lanes, in one fixed order ------------------------------------------------------------------------------
 */

static inline float vec_sum(vec x)
{
    __m128 four = _mm_add_ps(_mm256_castps256_ps128(x), _mm256_extractf128_ps(x, 1));
    __m128 two = _mm_add_ps(four, _mm_movehl_ps(four, four));
    return _mm_cvtss_f32(_mm_add_ss(two, _mm_movehdup_ps(two)));
}
static inline float vec_top(vec x)
{
    __m128 four = _mm_max_ps(_mm256_castps256_ps128(x), _mm256_extractf128_ps(x, 1));
    __m128 two = _mm_max_ps(four, _mm_movehl_ps(four, four));
    return _mm_cvtss_f32(_mm_max_ss(two, _mm_movehdup_ps(two)));
}

/* Sums in double: two accumulators for the two halves of a vector. */
struct vec_double {
    __m256d low, high;
};
static inline __m256d vec_low(vec x)
{
    return _mm256_cvtps_pd(_mm256_castps256_ps128(x));
}
static inline __m256d vec_high(vec x)
{
    return _mm256_cvtps_pd(_mm256_extractf128_ps(x, 1));
}
static inline struct vec_double vec_double_zero(void)
{
    return (struct vec_double){_mm256_setzero_pd(), _mm256_setzero_pd()};
}
static inline struct vec_double vec_double_add(struct vec_double sum, vec x)
{
    return (struct vec_double){_mm256_add_pd(sum.low, vec_low(x)), _mm256_add_pd(sum.high, vec_high(x))};
}
static inline struct vec_double vec_double_add_square(struct vec_double sum, vec x)
{
    __m256d low = vec_low(x), high = vec_high(x);
    return (struct vec_double){_mm256_fmadd_pd(low, low, sum.low), _mm256_fmadd_pd(high, high, sum.high)};
}
static inline double vec_double_sum(struct vec_double sum)
{
    __m256d four = _mm256_add_pd(sum.low, sum.high);
    __m128d two = _mm_add_pd(_mm256_castpd256_pd128(four), _mm256_extractf128_pd(four, 1));
    return _mm_cvtsd_f64(_mm_add_sd(two, _mm_unpackhi_pd(two, two)));
}

/* ---- places --------------------------------------------------------------------------------------------------------
 */

static inline vec vec_swap_pairs(vec x)
{
    return _mm256_permute_ps(x, 0xb1);
} /* x1 x0 x3 x2 ... */
static inline vec vec_even_twice(vec x)
{
    return _mm256_moveldup_ps(x);
} /* x0 x0 x2 x2 ... */
static inline vec vec_odd_twice(vec x)
{
    return _mm256_movehdup_ps(x);
} /* x1 x1 x3 x3 ... */
static inline vec vec_alternate(float even, float odd) /* even odd even odd ... */
{
    return _mm256_blend_ps(_mm256_set1_ps(even), _mm256_set1_ps(odd), 0xaa);
}

/* The even and the odd of 2 · LANES floats that lie in x and y. */
static inline void vec_unzip(vec x, vec y, vec *even, vec *odd)
{
    vec low = _mm256_permute2f128_ps(x, y, 0x20), high = _mm256_permute2f128_ps(x, y, 0x31);
    vec e = _mm256_shuffle_ps(low, high, 0x88), o = _mm256_shuffle_ps(low, high, 0xdd);
    *even = e, *odd = o;
}

static inline vec vec_pair_low(vec x, vec y)
{
    return _mm256_castpd_ps(_mm256_unpacklo_pd(_mm256_castps_pd(x), _mm256_castps_pd(y)));
}
static inline vec vec_pair_high(vec x, vec y)
{
    return _mm256_castpd_ps(_mm256_unpackhi_pd(_mm256_castps_pd(x), _mm256_castps_pd(y)));
}

/* r[i] lane j becomes r[j] lane i. */
static inline __attribute__((always_inline)) void vec_transpose(vec r[LANES])
{
    vec t[LANES];
#pragma GCC unroll 8
    for (int i = 0; i < LANES; i += 4) { /* within each 128 bits: rows i .. i + 3 of column 4 · lane + c */
        vec a = _mm256_unpacklo_ps(r[i], r[i + 1]), b = _mm256_unpackhi_ps(r[i], r[i + 1]);
        vec c = _mm256_unpacklo_ps(r[i + 2], r[i + 3]), d = _mm256_unpackhi_ps(r[i + 2], r[i + 3]);
        t[i] = vec_pair_low(a, c), t[i + 1] = vec_pair_high(a, c);
        t[i + 2] = vec_pair_low(b, d), t[i + 3] = vec_pair_high(b, d);
    }
#pragma GCC unroll 8
    for (int c = 0; c < 4; c++) { /* then the 128-bit lanes, as a 2 × 2 matrix */
        r[c] = _mm256_permute2f128_ps(t[c], t[c + 4], 0x20);
        r[c + 4] = _mm256_permute2f128_ps(t[c], t[c + 4], 0x31);
    }
}

#endif
