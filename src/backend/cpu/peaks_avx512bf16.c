/* peaks_avx512bf16.c — AVX-512's loops and the bf16 dot product. */
#include "backend/cpu/peaks.h"

#include <immintrin.h>

enum { CHAINS = 12 };

static double bf16(size_t rounds, float *sink)
{
    __m512 a[CHAINS];
    __m512bh x = _mm512_cvtne2ps_pbh(_mm512_set1_ps(0.5f), _mm512_set1_ps(0.25f));
#pragma GCC unroll 12
    for (int i = 0; i < CHAINS; i++) a[i] = _mm512_set1_ps((float)i);
    for (size_t r = 0; r < rounds; r++)
#pragma GCC unroll 12
        for (int i = 0; i < CHAINS; i++) a[i] = _mm512_dpbf16_ps(a[i], x, x);
#pragma GCC unroll 12
    for (int i = 0; i < CHAINS; i++) *sink += _mm512_cvtss_f32(a[i]);
    return 2.0 * 32 * CHAINS * (double)rounds;
}

void peaks_avx512bf16(struct cpu_peaks *p)
{
    peaks_avx512(p);
    p->bf16 = bf16;
}
