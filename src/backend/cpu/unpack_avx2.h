/* unpack_avx2.h — 8 consecutive weights of a row as a vector of f32, exact, for the AVX2 files. */
#ifndef CPU_UNPACK_AVX2_H
#define CPU_UNPACK_AVX2_H

#include "backend/cpu/families.h"

#include <immintrin.h>
#include <string.h>

#define ALWAYS_INLINE inline __attribute__((always_inline))

enum { BLOCK = 32 };

static ALWAYS_INLINE float load_half(const uint8_t *p)
{
    uint16_t h;
    memcpy(&h, p, sizeof h);
    return _cvtsh_ss(h);
}

static ALWAYS_INLINE __m256i first8(size_t n)
{
    const __m256i lanes = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
    return _mm256_cmpgt_epi32(_mm256_set1_epi32(n < 8 ? (int)n : 8), lanes);
}

/* The first n of 8 words, followed by zeros: the row may end where the memory ends. */
static ALWAYS_INLINE __m128i load_words(const uint8_t *p, size_t n)
{
    uint16_t part[8] = {0};
    if (n >= 8) return _mm_loadu_si128((const __m128i *)p);
    memcpy(part, p, n * sizeof *part);
    return _mm_loadu_si128((const __m128i *)part);
}

/* 8 bytes as 32-bit integers, unsigned and signed. */
static ALWAYS_INLINE __m256i load_u8(const uint8_t *p)
{
    return _mm256_cvtepu8_epi32(_mm_loadl_epi64((const __m128i *)p));
}
static ALWAYS_INLINE __m256i load_i8(const uint8_t *p)
{
    return _mm256_cvtepi8_epi32(_mm_loadl_epi64((const __m128i *)p));
}

/* Elements col .. col + n (n <= 8; 8 for a quantised type) of the row at `row`, then zeros; col is a multiple of 8. */
static ALWAYS_INLINE __m256 unpack8(enum quant_type type, const uint8_t *row, size_t col, size_t n)
{
    size_t block = col / BLOCK, place = col % BLOCK, byte = place % 16;
    if (type == QUANT_F32) return _mm256_maskload_ps((const float *)(const void *)(row + 4 * col), first8(n));
    if (type == QUANT_F16) return _mm256_cvtph_ps(load_words(row + 2 * col, n));
    if (type == QUANT_BF16)
        return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(load_words(row + 2 * col, n)), 16));
    if (type == QUANT_Q8_0) {
        const uint8_t *p = row + block * 34;
        return _mm256_mul_ps(_mm256_cvtepi32_ps(load_i8(p + 2 + place)), _mm256_set1_ps(load_half(p)));
    }
    const uint8_t *p = row + block * (type == QUANT_Q4_0 ? 18 : 20), *nibbles = p + (type == QUANT_Q4_0 ? 2 : 4);
    __m256i codes = load_u8(nibbles + byte);
    codes = place < 16 ? _mm256_and_si256(codes, _mm256_set1_epi32(15)) : _mm256_srli_epi32(codes, 4);
    __m256 d = _mm256_set1_ps(load_half(p));
    if (type == QUANT_Q4_0) return _mm256_mul_ps(_mm256_cvtepi32_ps(_mm256_sub_epi32(codes, _mm256_set1_epi32(8))), d);
    /* q·d is exact in f32: the fused form rounds as the format's two operations do */
    return _mm256_fmadd_ps(_mm256_cvtepi32_ps(codes), d, _mm256_set1_ps(load_half(p + 2)));
}

/* The sum: neighbours, then pairs, then the halves. */
static ALWAYS_INLINE float sum8(__m256 v)
{
    v = _mm256_hadd_ps(v, v);
    v = _mm256_hadd_ps(v, v);
    return _mm_cvtss_f32(_mm_add_ss(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1)));
}

/* r (8, 8) in place */
static ALWAYS_INLINE void transpose8(__m256 r[8])
{
    __m256 t[8];
    for (int i = 0; i < 8; i += 2) { /* lane l of t[i] holds columns 4l, 4l + 1, of t[i + 1] the next two */
        t[i] = _mm256_unpacklo_ps(r[i], r[i + 1]);
        t[i + 1] = _mm256_unpackhi_ps(r[i], r[i + 1]);
    }
    for (int i = 0; i < 8; i += 4) { /* lane l of r[i + c] holds column 4l + c of rows i .. i + 3 */
        r[i] = _mm256_shuffle_ps(t[i], t[i + 2], 0x44);
        r[i + 1] = _mm256_shuffle_ps(t[i], t[i + 2], 0xEE);
        r[i + 2] = _mm256_shuffle_ps(t[i + 1], t[i + 3], 0x44);
        r[i + 3] = _mm256_shuffle_ps(t[i + 1], t[i + 3], 0xEE);
    }
    for (int c = 0; c < 4; c++) {
        __m256 first = _mm256_permute2f128_ps(r[c], r[c + 4], 0x20);
        r[c + 4] = _mm256_permute2f128_ps(r[c], r[c + 4], 0x31);
        r[c] = first;
    }
}

#endif
