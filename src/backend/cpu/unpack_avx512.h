/* unpack_avx512.h — 32 consecutive weights of a row as two vectors of f32, exact, for the AVX-512 files.
 *
 * A 4-bit block has 16 possible values: they are computed once (q·d is exact in f32, so that the fused q·d + m rounds
 * as the two operations do) and then looked up. */
#ifndef CPU_UNPACK_AVX512_H
#define CPU_UNPACK_AVX512_H

#include "backend/cpu/families.h"

#include <immintrin.h>
#include <string.h>

#define ALWAYS_INLINE inline __attribute__((always_inline))

enum { BLOCK = 32 };

static ALWAYS_INLINE uint16_t load_u16(const uint8_t *p)
{
    uint16_t h;
    memcpy(&h, p, sizeof h);
    return h;
}

static ALWAYS_INLINE __m512 broadcast_half(const uint8_t *p)
{
    return _mm512_cvtph_ps(_mm256_set1_epi16((short)load_u16(p)));
}

static ALWAYS_INLINE __mmask16 first16(size_t n)
{
    return n < 16 ? (__mmask16)((1u << n) - 1) : 0xFFFF;
}

static ALWAYS_INLINE __mmask32 first32(size_t n)
{
    return n < 32 ? (1u << n) - 1 : 0xFFFFFFFF;
}

/* The 16 values of a 4-bit block. */
static ALWAYS_INLINE __m512 table_q4(enum quant_type type, const uint8_t *block)
{
    const __m512 codes = _mm512_setr_ps(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
    __m512 d = broadcast_half(block);
    return type == QUANT_Q4_0 ? _mm512_mul_ps(_mm512_sub_ps(codes, _mm512_set1_ps(8)), d)
                              : _mm512_fmadd_ps(codes, d, broadcast_half(block + 2));
}

static ALWAYS_INLINE const uint8_t *codes_q4(enum quant_type type, const uint8_t *block)
{
    return block + (type == QUANT_Q4_0 ? 2 : 4);
}

/* Where element `col` of a row starts; col is a multiple of the block. */
static ALWAYS_INLINE const uint8_t *weight_at(enum quant_type type, const struct quant_matrix *w, size_t row,
                                              size_t col)
{
    static const unsigned char bytes32[] = {128, 64, 64, 18, 20, 34}; /* of 32 elements; no k-quants */
    return w->data + row * w->row_bytes + col / BLOCK * bytes32[type] +
           (type < QUANT_Q4_0 ? col % BLOCK * bytes32[type] / BLOCK : 0);
}

/* v[0], v[1] = the n (1..32; 32 for a quantised type) elements at p, followed by zeros. */
static ALWAYS_INLINE void unpack32(enum quant_type type, const uint8_t *p, size_t n, __m512 v[2])
{
    if (type == QUANT_F32) {
        v[0] = _mm512_maskz_loadu_ps(first16(n), p);
        v[1] = _mm512_maskz_loadu_ps(first16(n < 16 ? 0 : n - 16), p + 64);
    } else if (type == QUANT_F16 || type == QUANT_BF16) {
        __m512i h = _mm512_maskz_loadu_epi16(first32(n), p);
        for (int i = 0; i < 2; i++) {
            __m256i part = i ? _mm512_extracti64x4_epi64(h, 1) : _mm512_castsi512_si256(h);
            v[i] = type == QUANT_F16 ? _mm512_cvtph_ps(part)
                                     : _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(part), 16));
        }
    } else if (type == QUANT_Q8_0) {
        __m512 d = broadcast_half(p);
        for (int i = 0; i < 2; i++) {
            __m128i codes = _mm_loadu_si128((const __m128i *)(p + 2 + 16 * i));
            v[i] = _mm512_mul_ps(_mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(codes)), d);
        }
    } else { /* a lookup takes the low four bits of its index */
        __m512 table = table_q4(type, p);
        __m512i codes = _mm512_cvtepu8_epi32(_mm_loadu_si128((const __m128i *)codes_q4(type, p)));
        v[0] = _mm512_permutexvar_ps(codes, table);
        v[1] = _mm512_permutexvar_ps(_mm512_srli_epi32(codes, 4), table);
    }
}

/* 16 unquantised elements at p, those that are kept. */
static ALWAYS_INLINE __m512 unpack16(enum quant_type type, const uint8_t *p, __mmask16 keep)
{
    if (type == QUANT_F32) return _mm512_maskz_loadu_ps(keep, p);
    __m256i h = _mm256_maskz_loadu_epi16(keep, p);
    return type == QUANT_F16 ? _mm512_cvtph_ps(h)
                             : _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(h), 16));
}

/* r (16, 16) of 32-bit elements, in place. */
static ALWAYS_INLINE void transpose16(__m512i r[16])
{
    __m512i t[16];
    for (int i = 0; i < 16;
         i += 2) { /* rows in pairs: lane l of t[i] holds columns 4l, 4l + 1, of t[i + 1] the next two */
        t[i] = _mm512_unpacklo_epi32(r[i], r[i + 1]);
        t[i + 1] = _mm512_unpackhi_epi32(r[i], r[i + 1]);
    }
    for (int i = 0; i < 16; i += 4) { /* lane l of r[i + c] holds column 4l + c of rows i .. i + 3 */
        r[i] = _mm512_unpacklo_epi64(t[i], t[i + 2]);
        r[i + 1] = _mm512_unpackhi_epi64(t[i], t[i + 2]);
        r[i + 2] = _mm512_unpacklo_epi64(t[i + 1], t[i + 3]);
        r[i + 3] = _mm512_unpackhi_epi64(t[i + 1], t[i + 3]);
    }
    for (int c = 0; c < 4; c++) { /* lanes (4, 4) for each c */
        __m512i even0 = _mm512_shuffle_i32x4(r[c], r[c + 4], 0x88),
                even1 = _mm512_shuffle_i32x4(r[c + 8], r[c + 12], 0x88);
        __m512i odd0 = _mm512_shuffle_i32x4(r[c], r[c + 4], 0xDD),
                odd1 = _mm512_shuffle_i32x4(r[c + 8], r[c + 12], 0xDD);
        r[c] = _mm512_shuffle_i32x4(even0, even1, 0x88);
        r[c + 4] = _mm512_shuffle_i32x4(odd0, odd1, 0x88);
        r[c + 8] = _mm512_shuffle_i32x4(even0, even1, 0xDD);
        r[c + 12] = _mm512_shuffle_i32x4(odd0, odd1, 0xDD);
    }
}

#endif
