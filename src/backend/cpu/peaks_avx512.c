/* peaks_avx512.c — twelve chains of 512 bits; int8 by the VNNI dot product. */
#include "backend/cpu/peaks.h"

#include <immintrin.h>

enum { CHAINS = 12 };

static double f32(size_t rounds, float *sink)
{
    __m512 a[CHAINS], x = _mm512_set1_ps(0.999f);
#pragma GCC unroll 12
    for (int i = 0; i < CHAINS; i++) a[i] = _mm512_set1_ps((float)i);
    for (size_t r = 0; r < rounds; r++)
#pragma GCC unroll 12
        for (int i = 0; i < CHAINS; i++) a[i] = _mm512_fmadd_ps(a[i], x, x);
#pragma GCC unroll 12
    for (int i = 0; i < CHAINS; i++) *sink += _mm512_cvtss_f32(a[i]);
    return 2.0 * 16 * CHAINS * (double)rounds;
}

static double int8(size_t rounds, float *sink)
{
    __m512i a[CHAINS], x = _mm512_set1_epi8(3);
#pragma GCC unroll 12
    for (int i = 0; i < CHAINS; i++) a[i] = _mm512_set1_epi32(i);
    for (size_t r = 0; r < rounds; r++)
#pragma GCC unroll 12
        for (int i = 0; i < CHAINS; i++) a[i] = _mm512_dpbusd_epi32(a[i], x, x);
#pragma GCC unroll 12
    for (int i = 0; i < CHAINS; i++) *sink += (float)_mm512_reduce_add_epi32(a[i]);
    return 2.0 * 64 * CHAINS * (double)rounds;
}

static void read_block(const uint8_t *block, size_t bytes, uint64_t *sink)
{
    __m512i sum[4] = {0};
    for (size_t i = 0; i + 256 <= bytes; i += 256)
        for (int k = 0; k < 4; k++) sum[k] = _mm512_xor_si512(sum[k], _mm512_loadu_si512(block + i + 64 * k));
    for (int k = 0; k < 4; k++) *sink += (uint64_t)_mm512_reduce_add_epi64(sum[k]);
}

void peaks_avx512(struct cpu_peaks *p)
{
    *p = (struct cpu_peaks){.f32 = f32, .int8 = int8, .read = read_block};
}
