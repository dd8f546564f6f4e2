/* unpack_k_avx2.h — 8 consecutive weights of a row of any format, the k-quants among them, for the AVX2 files. */
#ifndef CPU_UNPACK_K_AVX2_H
#define CPU_UNPACK_K_AVX2_H

#include "backend/cpu/k_scales.h"
#include "backend/cpu/unpack_avx2.h"

/* 8 codes of Q4_K or Q5_K: block j, from element `place` on. */
static ALWAYS_INLINE __m256i codes8_k(enum quant_type type, const uint8_t *super, size_t j, size_t place)
{
    const uint8_t *nibbles = super + (type == QUANT_Q4_K ? Q4_K_NIBBLES : Q5_K_NIBBLES) + j / 2 * 32 + place;
    __m256i codes = _mm256_srl_epi32(load_u8(nibbles), _mm_cvtsi32_si128((int)(j % 2 * 4)));
    codes = _mm256_and_si256(codes, _mm256_set1_epi32(15));
    if (type == QUANT_Q4_K) return codes;
    __m256i fifths = _mm256_srl_epi32(load_u8(super + Q5_K_HIGH + place), _mm_cvtsi32_si128((int)j));
    return _mm256_or_si256(codes, _mm256_slli_epi32(_mm256_and_si256(fifths, _mm256_set1_epi32(1)), 4));
}

static ALWAYS_INLINE __m256 unpack8_q6_k(const uint8_t *super, size_t j, size_t place)
{
    __m256i low = load_u8(super + j / 4 * 64 + j % 2 * 32 + place),
            high = load_u8(super + Q6_K_HIGH + j / 4 * 32 + place);
    low = _mm256_srl_epi32(low, _mm_cvtsi32_si128((int)(j % 4 / 2 * 4)));
    high = _mm256_srl_epi32(high, _mm_cvtsi32_si128((int)(j % 4 * 2)));
    high = _mm256_slli_epi32(_mm256_and_si256(high, _mm256_set1_epi32(3)), 4);
    __m256i codes = _mm256_or_si256(_mm256_and_si256(low, _mm256_set1_epi32(15)), high);
    float s = (float)(int8_t)super[Q6_K_SCALES + 2 * j + place / 16];
    __m256 d = _mm256_set1_ps(load_half(super + Q6_K_D) * s);
    return _mm256_mul_ps(_mm256_cvtepi32_ps(_mm256_sub_epi32(codes, _mm256_set1_epi32(32))), d);
}

/* Elements col .. col + n (n <= 8; 8 for a quantised type) of the row at `row`, then zeros; col is a multiple of 8. */
static ALWAYS_INLINE __m256 unpack8_at(enum quant_type type, const uint8_t *row, size_t col, size_t n)
{
    size_t super = col / K_SUPER, j = col % K_SUPER / BLOCK, place = col % BLOCK;
    if (type == QUANT_Q6_K) return unpack8_q6_k(row + super * Q6_K_BYTES, j, place);
    if (type != QUANT_Q4_K && type != QUANT_Q5_K) return unpack8(type, row, col, n);
    const uint8_t *p = row + super * (type == QUANT_Q4_K ? Q4_K_BYTES : Q5_K_BYTES);
    float s, m;
    k_scale_of(p, j, &s, &m);
    __m256 codes = _mm256_cvtepi32_ps(codes8_k(type, p, j, place));
    return _mm256_fmsub_ps(codes, _mm256_set1_ps(load_half(p) * s), _mm256_set1_ps(load_half(p + 2) * m));
}

#endif
