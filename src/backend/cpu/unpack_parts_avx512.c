/* unpack_parts_avx512.c — rows of ggml's formats of small blocks to f32, a part of 16 at a time, and their products
 * with one row of activations: quant/ggml_quants.c says what a part is. d · code is exact, so that a fused d · code + m
 * rounds as the scalar does. */
#include "backend/cpu/families.h"
#include "quant/parts.h"

#include <immintrin.h>

#define ALWAYS_INLINE inline __attribute__((always_inline))

struct part {
    __m128i codes; /* i8 */
    float d, m;    /* m: −0 where the format has none */
};

static ALWAYS_INLINE float half_at(const uint8_t *p)
{
    return _cvtsh_ss(part_u16(p));
}
static ALWAYS_INLINE __m128i load16(const uint8_t *p)
{
    return _mm_loadu_si128((const __m128i *)p);
}
static ALWAYS_INLINE __m128i nibbles(const uint8_t *p, size_t j)
{
    return _mm_and_si128(_mm_srl_epi16(load16(p), _mm_cvtsi32_si128(j ? 4 : 0)), _mm_set1_epi8(15));
}
/* Bits shift, shift + 1 of each byte. */
static ALWAYS_INLINE __m128i crumbs(const uint8_t *p, size_t shift)
{
    return _mm_and_si128(_mm_srl_epi16(load16(p), _mm_cvtsi32_si128((int)shift)), _mm_set1_epi8(3));
}

static ALWAYS_INLINE struct part part_q5_0(const uint8_t *b, size_t j)
{
    __m128i q = nibbles(b + 6, j), sixteen = _mm_set1_epi8(16);
    return (struct part){_mm_mask_sub_epi8(q, (__mmask16)~part_u16(b + 2 + 2 * j), q, sixteen), half_at(b), NO_MINIMUM};
}
static ALWAYS_INLINE struct part part_q5_1(const uint8_t *b, size_t j)
{
    __m128i q = nibbles(b + 8, j);
    return (struct part){_mm_mask_add_epi8(q, part_u16(b + 4 + 2 * j), q, _mm_set1_epi8(16)), half_at(b),
                         half_at(b + 2)};
}
static ALWAYS_INLINE struct part part_q2_k(const uint8_t *b, size_t j)
{
    __m128i q = crumbs(b + 16 + j / 8 * 32 + j % 2 * PART, j / 2 % 4 * 2);
    return (struct part){q, half_at(b + 80) * (float)(b[j] & 15), -(half_at(b + 82) * (float)(b[j] >> 4))};
}
static ALWAYS_INLINE struct part part_q3_k(const uint8_t *b, size_t j)
{
    const uint8_t *s = b + 96;
    int scale = (j < 8 ? s[j] & 15 : s[j - 8] >> 4) | (s[8 + j % 4] >> j / 4 * 2 & 3) << 4;
    __m128i q = crumbs(b + 32 + j / 8 * 32 + j % 2 * PART, j / 2 % 4 * 2);
    __mmask16 high = _mm_test_epi8_mask(load16(b + j % 2 * PART), _mm_set1_epi8((char)(1 << j / 2)));
    return (struct part){_mm_mask_sub_epi8(q, (__mmask16)~high, q, _mm_set1_epi8(4)),
                         half_at(b + 108) * (float)(scale - 32), NO_MINIMUM};
}
static ALWAYS_INLINE __m128i nonlinear(__m128i q)
{
    return _mm_shuffle_epi8(_mm_setr_epi8(-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113), q);
}
static ALWAYS_INLINE struct part part_iq4_nl(const uint8_t *b, size_t j)
{
    return (struct part){nonlinear(nibbles(b + 2, j)), half_at(b), NO_MINIMUM};
}
static ALWAYS_INLINE struct part part_iq4_xs(const uint8_t *b, size_t j)
{
    size_t k = j / 2;
    int scale = (b[4 + k / 2] >> k % 2 * 4 & 15) | (part_u16(b + 2) >> 2 * k & 3) << 4;
    return (struct part){nonlinear(nibbles(b + 8 + PART * k, j % 2)), half_at(b) * (float)(scale - 32), NO_MINIMUM};
}
static ALWAYS_INLINE struct part part_mxfp4(const uint8_t *b, size_t j)
{
    uint32_t bits = b[0] < 2 ? 0x00200000u << b[0] : (uint32_t)(b[0] - 1) << 23;
    const __m128i table = _mm_setr_epi8(0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12);
    return (struct part){_mm_shuffle_epi8(table, nibbles(b + 1, j)),
                         _mm_cvtss_f32(_mm_castsi128_ps(_mm_cvtsi32_si128((int)bits))), NO_MINIMUM};
}
static ALWAYS_INLINE struct part part_tq2_0(const uint8_t *b, size_t j)
{
    __m128i q = crumbs(b + j / 8 * 32 + j % 2 * PART, j / 2 % 4 * 2);
    return (struct part){_mm_sub_epi8(q, _mm_set1_epi8(1)), half_at(b + 64), NO_MINIMUM};
}

static ALWAYS_INLINE __m512 values(struct part p)
{
    return _mm512_fmadd_ps(_mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(p.codes)), _mm512_set1_ps(p.d), _mm512_set1_ps(p.m));
}

/* unpack_NAME for pieces of a row, whole parts of which are ours; gemv_NAME in two chains of sums. */
#define FORMAT(name, block, bytes)                                                                                     \
    static void unpack_##name(float *y, const struct quant_matrix *w, size_t row, size_t col, size_t n)                \
    {                                                                                                                  \
        const uint8_t *data = w->data + row * w->row_bytes;                                                            \
        size_t before = (PART - col % PART) % PART < n ? (PART - col % PART) % PART : n;                               \
        if (before) quant_dequantize(y, w, row, col, before);                                                          \
        for (col += before, y += before, n -= before; n >= PART; col += PART, y += PART, n -= PART)                    \
            _mm512_storeu_ps(y, values(part_##name(data + col / (block) * (bytes), col % (block) / PART)));            \
        if (n) quant_dequantize(y, w, row, col, n);                                                                    \
    }
FORMAT(q5_0, 32, 22)
FORMAT(q5_1, 32, 24)
FORMAT(q2_k, 256, 84)
FORMAT(q3_k, 256, 110)
FORMAT(iq4_nl, 32, 18)
FORMAT(iq4_xs, 256, 136)
FORMAT(mxfp4, 32, 17)
FORMAT(tq2_0, 256, 66)

void unpack_parts_avx512(struct cpu_kernels *t)
{
#define ENTRY(type, name) t->unpack[type] = unpack_##name
    ENTRY(QUANT_Q5_0, q5_0);
    ENTRY(QUANT_Q5_1, q5_1);
    ENTRY(QUANT_Q2_K, q2_k);
    ENTRY(QUANT_Q3_K, q3_k);
    ENTRY(QUANT_IQ4_NL, iq4_nl);
    ENTRY(QUANT_IQ4_XS, iq4_xs);
    ENTRY(QUANT_GGML_MXFP4, mxfp4);
    ENTRY(QUANT_TQ2_0, tq2_0);
}
