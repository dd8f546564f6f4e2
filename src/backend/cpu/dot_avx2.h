/* dot_avx2.h — unsigned codes times int8 in 256 bits: by vpdpbusd where the file is compiled for AVX-VNNI, else by
 * vpmaddubsw, whose sums of pairs take 16 bits. The results are the same integers. */
#ifndef CPU_DOT_AVX2_H
#define CPU_DOT_AVX2_H

#include "backend/cpu/unpack_avx2.h"

/* A running sum: eight of 32 bits, or sixteen of 16 bits, which hold eight products of nibbles and int8 in pairs. */
#ifdef __AVXVNNI__
static ALWAYS_INLINE __m256i dot_add(__m256i sum, __m256i codes, __m256i q)
{
    return _mm256_dpbusd_avx_epi32(sum, codes, q);
}
/* `start` (32 bits) plus the sum */
static ALWAYS_INLINE __m256i dot_finish(__m256i sum, __m256i start)
{
    return _mm256_add_epi32(sum, start);
}
#else
static ALWAYS_INLINE __m256i dot_add(__m256i sum, __m256i codes, __m256i q)
{
    return _mm256_add_epi16(sum, _mm256_maddubs_epi16(codes, q));
}
static ALWAYS_INLINE __m256i dot_finish(__m256i sum, __m256i start)
{
    return _mm256_add_epi32(_mm256_madd_epi16(sum, _mm256_set1_epi16(1)), start);
}
#endif

#endif
