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

#endif
