/* peaks_avxvnni.c — AVX2's loops and the int8 dot product of AVX-VNNI. */
#include "backend/cpu/peaks.h"

#include <immintrin.h>

enum { CHAINS = 10 }; /* with the factors, what 16 registers hold */

static double int8(size_t rounds, float *sink)
{
    __m256i a[CHAINS], x = _mm256_set1_epi8(3);
#pragma GCC unroll 12
    for (int i = 0; i < CHAINS; i++) a[i] = _mm256_set1_epi32(i);
    for (size_t r = 0; r < rounds; r++)
#pragma GCC unroll 12
        for (int i = 0; i < CHAINS; i++) a[i] = _mm256_dpbusd_avx_epi32(a[i], x, x);
#pragma GCC unroll 12
    for (int i = 1; i < CHAINS; i++) a[0] = _mm256_add_epi32(a[0], a[i]);
    *sink += (float)_mm256_extract_epi32(a[0], 0);
    return 2.0 * 32 * CHAINS * (double)rounds;
}

void peaks_avxvnni(struct cpu_peaks *p)
{
    peaks_avx2(p);
    p->int8 = int8;
}
