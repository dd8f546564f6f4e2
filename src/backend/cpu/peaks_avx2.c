/* peaks_avx2.c — twelve chains: enough for two instructions a cycle of latency five. */
#include "backend/cpu/peaks.h"

#include <immintrin.h>

enum { CHAINS = 12 };

static double f32(size_t rounds, float *sink)
{
    __m256 a[CHAINS], x = _mm256_set1_ps(0.999f);
#pragma GCC unroll 12
    for (int i = 0; i < CHAINS; i++) a[i] = _mm256_set1_ps((float)i);
    for (size_t r = 0; r < rounds; r++)
#pragma GCC unroll 12
        for (int i = 0; i < CHAINS; i++) a[i] = _mm256_fmadd_ps(a[i], x, x);
#pragma GCC unroll 12
    for (int i = 0; i < CHAINS; i++) *sink += _mm256_cvtss_f32(a[i]);
    return 2.0 * 8 * CHAINS * (double)rounds;
}

/* Unsigned by signed bytes to 16 bits, pairs of them to 32 bits: how AVX2 multiplies int8. */
static double int8(size_t rounds, float *sink)
{
    __m256i a[CHAINS], x = _mm256_set1_epi8(3), one = _mm256_set1_epi16(1);
#pragma GCC unroll 12
    for (int i = 0; i < CHAINS; i++) a[i] = _mm256_set1_epi32(i);
    for (size_t r = 0; r < rounds; r++)
#pragma GCC unroll 12
        for (int i = 0; i < CHAINS; i++)
            a[i] = _mm256_add_epi32(a[i], _mm256_madd_epi16(_mm256_maddubs_epi16(x, a[i]), one));
#pragma GCC unroll 12
    for (int i = 0; i < CHAINS; i++) *sink += (float)_mm256_extract_epi32(a[i], 0);
    return 2.0 * 32 * CHAINS * (double)rounds;
}

static void read_block(const uint8_t *block, size_t bytes, uint64_t *sink)
{
    __m256i sum[4] = {0};
    for (size_t i = 0; i + 128 <= bytes; i += 128)
        for (int k = 0; k < 4; k++)
            sum[k] = _mm256_xor_si256(sum[k], _mm256_loadu_si256((const __m256i *)(block + i + 32 * k)));
    for (int k = 0; k < 4; k++) *sink += (uint64_t)_mm256_extract_epi64(sum[k], 0);
}

void peaks_avx2(struct cpu_peaks *p)
{
    *p = (struct cpu_peaks){.f32 = f32, .int8 = int8, .read = read_block};
}
