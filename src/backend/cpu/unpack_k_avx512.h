/* unpack_k_avx512.h — 32 consecutive weights of a row of any format, the k-quants among them, for the AVX-512 files.
 *
 * What belongs to 32 weights of a super-block lies in several places of it: a position is a row and a column. */
#ifndef CPU_UNPACK_K_AVX512_H
#define CPU_UNPACK_K_AVX512_H

#include "backend/cpu/k_scales.h"
#include "backend/cpu/unpack_avx512.h"

static ALWAYS_INLINE bool is_k(enum quant_type type)
{
    return type == QUANT_Q4_K || type == QUANT_Q5_K || type == QUANT_Q6_K;
}

/* Where the super-block of column `col` starts. */
static ALWAYS_INLINE const uint8_t *super_at(enum quant_type type, const struct quant_matrix *w, size_t row, size_t col)
{
    const size_t bytes = type == QUANT_Q4_K ? Q4_K_BYTES : type == QUANT_Q5_K ? Q5_K_BYTES : Q6_K_BYTES;
    return w->data + row * w->row_bytes + col / K_SUPER * bytes;
}

/* 32 bytes shifted right; what belongs to a neighbour byte comes in from above. */
static ALWAYS_INLINE __m256i load_shifted(const uint8_t *p, size_t bits)
{
    return _mm256_srl_epi16(_mm256_loadu_si256((const __m256i *)p), _mm_cvtsi32_si128((int)bits));
}

/* The codes of block (quarter) j of a super-block, a byte each; of Q4_K the low four bits count. */
static ALWAYS_INLINE __m256i codes_k(enum quant_type type, const uint8_t *super, size_t j)
{
    const __m256i low = _mm256_set1_epi8(15);
    if (type == QUANT_Q6_K) {
        __m256i nibbles = load_shifted(super + j / 4 * 64 + j % 2 * 32, j % 4 / 2 * 4);
        __m256i high = load_shifted(super + Q6_K_HIGH + j / 4 * 32, j % 4 * 2);
        high = _mm256_and_si256(high, _mm256_set1_epi8(3));
        return _mm256_or_si256(_mm256_and_si256(nibbles, low), _mm256_slli_epi16(high, 4));
    }
    __m256i nibbles = load_shifted(super + (type == QUANT_Q4_K ? Q4_K_NIBBLES : Q5_K_NIBBLES) + j / 2 * 32, j % 2 * 4);
    if (type == QUANT_Q4_K) return nibbles;
    __m256i fifths = load_shifted(super + Q5_K_HIGH, j);
    fifths = _mm256_slli_epi16(_mm256_and_si256(fifths, _mm256_set1_epi8(1)), 4);
    return _mm256_or_si256(_mm256_and_si256(nibbles, low), fifths);
}

/* d·s and dmin·m of block j. */
static ALWAYS_INLINE void scales_k(const uint8_t *super, size_t j, __m512 *d, __m512 *min)
{
    float s, m;
    uint32_t halves;
    k_scale_of(super, j, &s, &m);
    memcpy(&halves, super, sizeof halves);
    __m128 dm = _mm_mul_ps(_mm_cvtph_ps(_mm_cvtsi32_si128((int)halves)), _mm_setr_ps(s, m, 0, 0));
    *d = _mm512_broadcastss_ps(dm);
    *min = _mm512_broadcastss_ps(_mm_movehdup_ps(dm));
}

/* The 16 values of block j of Q4_K. */
static ALWAYS_INLINE __m512 table_q4_k(const uint8_t *super, size_t j)
{
    const __m512 codes = _mm512_setr_ps(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
    __m512 d, min;
    scales_k(super, j, &d, &min);
    return _mm512_fmsub_ps(codes, d, min);
}

static ALWAYS_INLINE void unpack32_k(enum quant_type type, const uint8_t *super, size_t j, __m512 v[2])
{
    __m256i bytes = codes_k(type, super, j);
    __m512i codes[2] = {_mm512_cvtepu8_epi32(_mm256_castsi256_si128(bytes)),
                        _mm512_cvtepu8_epi32(_mm256_extracti128_si256(bytes, 1))};
    if (type == QUANT_Q4_K) { /* a lookup takes the low four bits of its index */
        __m512 table = table_q4_k(super, j);
        for (int i = 0; i < 2; i++) v[i] = _mm512_permutexvar_ps(codes[i], table);
    } else if (type == QUANT_Q5_K) {
        __m512 d, min;
        scales_k(super, j, &d, &min);
        for (int i = 0; i < 2; i++) v[i] = _mm512_fmsub_ps(_mm512_cvtepi32_ps(codes[i]), d, min);
    } else {
        __m512 d = broadcast_half(super + Q6_K_D);
        for (int i = 0; i < 2; i++) {
            __m512 s = _mm512_set1_ps((float)(int8_t)super[Q6_K_SCALES + 2 * j + (size_t)i]);
            __m512i code = _mm512_sub_epi32(codes[i], _mm512_set1_epi32(32));
            v[i] = _mm512_mul_ps(_mm512_cvtepi32_ps(code), _mm512_mul_ps(d, s));
        }
    }
}

/* v[0], v[1] = the n (1..32; 32 for a quantised type) elements from column `col` on, a multiple of 32, then zeros. */
static ALWAYS_INLINE void unpack_at(enum quant_type type, const struct quant_matrix *w, size_t row, size_t col,
                                    size_t n, __m512 v[2])
{
    if (is_k(type))
        unpack32_k(type, super_at(type, w, row, col), col % K_SUPER / BLOCK, v);
    else
        unpack32(type, weight_at(type, w, row, col), n, v);
}

#endif
