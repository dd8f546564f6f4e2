/* sums_avx512.h — the sums of the lanes of one row or of four, in one order, for the AVX-512 files of gemv. */
#ifndef CPU_SUMS_AVX512_H
#define CPU_SUMS_AVX512_H

#include "backend/cpu/unpack_avx512.h"

enum { ROWS = 4 };

/* y[r] = the sum of lanes (8) of v[r]: neighbours, then pairs, then the halves; the same for one row as for four. */
static ALWAYS_INLINE void store_sums(float *y, const size_t rows, const __m256 *v)
{
    __m256 low = _mm256_hadd_ps(v[0], v[rows > 1 ? 1 : 0]), high = rows > 1 ? _mm256_hadd_ps(v[2], v[3]) : low;
    __m256 all = _mm256_hadd_ps(low, high);
    __m128 sum = _mm_add_ps(_mm256_castps256_ps128(all), _mm256_extractf128_ps(all, 1));
    if (rows > 1)
        _mm_storeu_ps(y, sum);
    else
        _mm_store_ss(y, sum);
}

static ALWAYS_INLINE __m256 fold(__m512 v)
{
    return _mm256_add_ps(_mm512_castps512_ps256(v), _mm512_extractf32x8_ps(v, 1));
}

static ALWAYS_INLINE void store_folded(float *y, const size_t rows, const __m512 *sum)
{
    __m256 v[ROWS];
    for (size_t r = 0; r < rows; r++) v[r] = fold(sum[r]);
    store_sums(y, rows, v);
}

/* The lanes of n vectors (at most 16) to their sums, lane i that of v[i]; always in this order. */
static ALWAYS_INLINE __m512 sums_of(const __m512 *v, const size_t n)
{
    __m512 t[8], q[4];
#pragma GCC unroll 8
    for (size_t i = 0; i < 8; i++) {
        __m512 a = 2 * i < n ? v[2 * i] : _mm512_setzero_ps(), b = 2 * i + 1 < n ? v[2 * i + 1] : _mm512_setzero_ps();
        t[i] = _mm512_add_ps(_mm512_unpacklo_ps(a, b), _mm512_unpackhi_ps(a, b));
    }
#pragma GCC unroll 4
    for (size_t i = 0; i < 4; i++) { /* rows 4i .. 4i + 3, a sum for each 128 bits */
        __m512d a = _mm512_castps_pd(t[2 * i]), b = _mm512_castps_pd(t[2 * i + 1]);
        q[i] = _mm512_add_ps(_mm512_castpd_ps(_mm512_unpacklo_pd(a, b)), _mm512_castpd_ps(_mm512_unpackhi_pd(a, b)));
    }
#pragma GCC unroll 2
    for (size_t i = 0; i < 2; i++)
        t[i] = _mm512_add_ps(_mm512_shuffle_f32x4(q[2 * i], q[2 * i + 1], 0x88),
                             _mm512_shuffle_f32x4(q[2 * i], q[2 * i + 1], 0xDD));
    return _mm512_add_ps(_mm512_shuffle_f32x4(t[0], t[1], 0x88), _mm512_shuffle_f32x4(t[0], t[1], 0xDD));
}

#endif
