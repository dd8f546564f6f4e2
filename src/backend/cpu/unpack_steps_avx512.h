/* unpack_steps_avx512.h — four blocks of 32 weights of a row as unsigned bytes, for gemv_q8_avx512.c.
 *
 * value = d · (code − zero) + min, with a d and, in Q4_1 and Q5_1, a min of each block. Codes of a table are looked up,
 * plus their zero. Words of 16 bits are brought to their places by one shuffle of two loads that overlap. Reads nothing
 * past the blocks: the last ones are loaded under masks. */
#ifndef CPU_UNPACK_STEPS_AVX512_H
#define CPU_UNPACK_STEPS_AVX512_H

#include "backend/cpu/code_tables.h"
#include "backend/cpu/unpack_avx512.h"

enum { STEP = 4 };

static const struct stepped {
    uint8_t block_bytes; /* of 32 weights */
    uint8_t zero;
    bool minimum;
} stepped[QUANT_TYPES] = {
    [QUANT_Q4_0] = {18, 8, false},     [QUANT_Q4_1] = {20, 0, true},         [QUANT_Q8_0] = {34, 128, false},
    [QUANT_Q5_0] = {22, 16, false},    [QUANT_Q5_1] = {24, 0, true},         [QUANT_IQ4_NL] = {18, 128, false},
    [QUANT_IQ4_XS] = {17, 128, false}, [QUANT_GGML_MXFP4] = {17, 12, false},
};

struct w_step {
    __m512i low, high; /* values 0 .. 15 of the blocks, and 16 .. 31: word 4 j + i of 32 bits is the j-th of block i */
    /* Of block i in words 4 j + i: d as f16, of MXFP4 as E8M0. second: min as f16; of IQ4_XS an integer, times which d
     * is the block's. */
    __m256i d, second;
};
static ALWAYS_INLINE bool has_second(enum quant_type type)
{
    return stepped[type].minimum || type == QUANT_IQ4_XS;
}

/* ---- words ----------------------------------------------------------------------------------------------------- */

/* `words` words of 16 bits from p on, the rest 0; 32 or more: all of them. */
static ALWAYS_INLINE __m512i load_words(const uint8_t *p, size_t words)
{
    return words >= 32 ? _mm512_loadu_si512(p) : _mm512_maskz_loadu_epi16(first32(words), p);
}
static ALWAYS_INLINE __m512i load_bytes(const uint8_t *p, size_t bytes)
{
    return bytes >= 64 ? _mm512_loadu_si512(p) : _mm512_maskz_loadu_epi8(((uint64_t)1 << bytes) - 1, p);
}
/* Of `words` words those from `from` on. */
static ALWAYS_INLINE size_t beyond(size_t words, size_t from)
{
    return words > from ? words - from : 0;
}

/* Words of one load, or of two: those of the second are 32 .. 63. */
static ALWAYS_INLINE __m256i pick(__m512i words, const uint16_t index[16])
{
    __m512i at = _mm512_castsi256_si512(_mm256_loadu_si256((const __m256i *)(const void *)index));
    return _mm512_castsi512_si256(_mm512_permutexvar_epi16(at, words));
}
static ALWAYS_INLINE __m512i pick2(__m512i first, const uint16_t index[32], __m512i second)
{
    return _mm512_permutex2var_epi16(first, _mm512_loadu_si512(index), second);
}

static ALWAYS_INLINE void split_nibbles(struct w_step *w, __m512i nibbles)
{
    const __m512i mask = _mm512_set1_epi8(15);
    w->low = _mm512_and_si512(nibbles, mask);
    w->high = _mm512_and_si512(_mm512_srli_epi16(nibbles, 4), mask);
}
static ALWAYS_INLINE void look_up_nibbles(struct w_step *w, const uint8_t table[16])
{
    const __m512i all = _mm512_broadcast_i32x4(_mm_loadu_si128((const __m128i *)table));
    w->low = _mm512_shuffle_epi8(all, w->low), w->high = _mm512_shuffle_epi8(all, w->high);
}

#define FOUR(a, b, c, d) a, b, c, d, a, b, c, d, a, b, c, d, a, b, c, d
/* Pairs of words from a, b, c, d on, then the next ... */
#define PAIRS(a, b, c, d, j) a + j, a + j + 1, b + j, b + j + 1, c + j, c + j + 1, d + j, d + j + 1
#define RUNS(a, b, c, d)     PAIRS(a, b, c, d, 0), PAIRS(a, b, c, d, 2), PAIRS(a, b, c, d, 4), PAIRS(a, b, c, d, 6)
#define SAME(a, b, c, d)     PAIRS(a, b, c, d, 0), PAIRS(a, b, c, d, 0), PAIRS(a, b, c, d, 0), PAIRS(a, b, c, d, 0)

/* ---- Q4_0, IQ4_NL, Q4_1, Q8_0 ---------------------------------------------------------------------------------- */

/* Blocks of 9 words: d, 8 words of nibbles. The second load starts at word 4: words 28 .. 35 are 56 .. 63. */
static ALWAYS_INLINE struct w_step unpack_q4_0(const uint8_t *p, size_t count)
{
    static const uint16_t nibbles[32] = {1, 2, 10, 11, 19, 20, 56, 57, 3, 4, 12, 13, 21, 22, 58, 59,
                                         5, 6, 14, 15, 23, 24, 60, 61, 7, 8, 16, 17, 25, 26, 62, 63};
    static const uint16_t scales[16] = {FOUR(0, 9, 18, 27)};
    __m512i w0 = load_words(p, 9 * count), w1 = load_words(p + 8, beyond(9 * count, 4));
    struct w_step w = {.d = pick(w0, scales)};
    split_nibbles(&w, pick2(w0, nibbles, w1));
    return w;
}
static ALWAYS_INLINE struct w_step unpack_iq4_nl(const uint8_t *p, size_t count)
{
    struct w_step w = unpack_q4_0(p, count);
    look_up_nibbles(&w, nonlinear_128);
    return w;
}

/* Blocks of 10 words: d, min, 8 words of nibbles. The second load starts at word 8: words 32 .. 39 are 56 .. 63. */
static ALWAYS_INLINE struct w_step unpack_q4_1(const uint8_t *p, size_t count)
{
    static const uint16_t nibbles[32] = {RUNS(2, 12, 22, 56)};
    static const uint16_t scales[16] = {FOUR(0, 10, 20, 30)}, minima[16] = {FOUR(1, 11, 21, 31)};
    __m512i w0 = load_words(p, 10 * count), w1 = load_words(p + 16, beyond(10 * count, 8));
    struct w_step w = {.d = pick(w0, scales), .second = pick(w0, minima)};
    split_nibbles(&w, pick2(w0, nibbles, w1));
    return w;
}

/* Blocks of 17 words: d, 16 words of codes. The low halves' loads start at words 0 and 32, the high ones' at 4 and 36.
 */
static ALWAYS_INLINE struct w_step unpack_q8_0(const uint8_t *p, size_t count)
{
    static const uint16_t low[32] = {RUNS(1, 18, 35, 52)}, high[32] = {RUNS(5, 22, 39, 56)};
    static const uint16_t scales[32] = {FOUR(0, 17, 34, 51)};
    const __m512i top = _mm512_set1_epi8((char)0x80);
    size_t words = 17 * count;
    __m512i w0 = load_words(p, words), w1 = load_words(p + 64, beyond(words, 32));
    __m512i h0 = load_words(p + 8, words - 4), h1 = load_words(p + 72, beyond(words, 36));
    return (struct w_step){
        .low = _mm512_xor_si512(pick2(w0, low, w1), top),
        .high = _mm512_xor_si512(pick2(h0, high, h1), top),
        .d = _mm512_castsi512_si256(pick2(w0, scales, w1)),
    };
}

/* ---- MXFP4, IQ4_XS --------------------------------------------------------------------------------------------- */

/* Blocks of 17 bytes: d, 16 bytes of nibbles. Those of blocks 0 and 2 stand at even places of a load from byte 1, those
 * of 1 and 3 of one from byte 4: words 7 .. 14 and 24 .. 31. */
static ALWAYS_INLINE struct w_step unpack_mxfp4(const uint8_t *p, size_t count)
{
    static const uint16_t nibbles[32] = {RUNS(0, 39, 17, 56)}, scales[16] = {FOUR(0, 8, 17, 25)};
    const __m256i odd = _mm256_set1_epi64x(0x0008000000080000);
    const size_t bytes = 17 * count;
    __m256i d = _mm256_srlv_epi16(pick(load_bytes(p, bytes), scales), odd);
    struct w_step w = {.d = _mm256_and_si256(d, _mm256_set1_epi16(255))};
    split_nibbles(&w, pick2(load_bytes(p + 1, bytes - 1), nibbles, load_bytes(p + 4, bytes - 4)));
    look_up_nibbles(&w, e2m1_12);
    return w;
}
/* 2^(e − 128) */
static ALWAYS_INLINE __m512 halves_e8m0(__m256i words)
{
    __m512i e = _mm512_cvtepu16_epi32(words), one = _mm512_set1_epi32(1);
    __m512i bits = _mm512_slli_epi32(_mm512_sub_epi32(e, one), 23);
    return _mm512_castsi512_ps(
        _mm512_mask_sllv_epi32(bits, _mm512_cmple_epu32_mask(e, one), _mm512_set1_epi32(0x00200000), e));
}

/* Half a super-block of 136 bytes: d, 16 and 32 bits of scales, two and four for each block, 128 bytes of nibbles. */
static ALWAYS_INLINE struct w_step unpack_iq4_xs(const uint8_t *super, size_t half)
{
    enum { TOP = 2, SCALES = 4, NIBBLES = 8 };
    const __m512i blocks = _mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
    const __m256i fours = _mm256_set1_epi64x(0x000C000800040000), twos = _mm256_set1_epi64x(0x0006000400020000);
    __m256i low = _mm256_set1_epi16((short)load_u16(super + SCALES + 2 * half));
    __m256i high = _mm256_srlv_epi16(_mm256_set1_epi16(super[TOP + half]), twos);
    low = _mm256_and_si256(_mm256_srlv_epi16(low, fours), _mm256_set1_epi16(15));
    high = _mm256_slli_epi16(_mm256_and_si256(high, _mm256_set1_epi16(3)), 4);
    struct w_step w = {.d = _mm256_set1_epi16((short)load_u16(super)),
                       .second = _mm256_sub_epi16(_mm256_or_si256(low, high), _mm256_set1_epi16(32))};
    split_nibbles(&w, _mm512_permutexvar_epi32(blocks, _mm512_loadu_si512(super + NIBBLES + 64 * half)));
    look_up_nibbles(&w, nonlinear_128);
    return w;
}

/* ---- Q5_0, Q5_1 ------------------------------------------------------------------------------------------------ */

/* Word 4 j + i has the 32 fifth bits of block i, bit k of value k. */
static ALWAYS_INLINE void add_fifths(struct w_step *w, __m512i fifths)
{
    const __m512i first = _mm512_broadcast_i32x4(_mm_setr_epi32(0, 0x04040404, 0x08080808, 0x0C0C0C0C));
    const __m512i low = _mm512_mask_add_epi8(first, 0xFFFFFFFF00000000, first, _mm512_set1_epi8(1)); /* of value 4 j */
    const __m512i high = _mm512_add_epi8(low, _mm512_set1_epi8(2)), fifth = _mm512_set1_epi8(16);
    const long long even = 0x0804020108040201, odd = (long long)0x8040201080402010;
    const __m512i bit = _mm512_broadcast_i64x4(_mm256_setr_epi64x(even, even, odd, odd));
    __mmask64 lows = _mm512_test_epi8_mask(_mm512_shuffle_epi8(fifths, low), bit);
    __mmask64 highs = _mm512_test_epi8_mask(_mm512_shuffle_epi8(fifths, high), bit);
    w->low = _mm512_mask_add_epi8(w->low, lows, w->low, fifth);
    w->high = _mm512_mask_add_epi8(w->high, highs, w->high, fifth);
}

/* Blocks of 11 words: d, 2 words of fifth bits, 8 words of nibbles. The second load starts at word 12: from word 32 on
 * they are 52 .. 63. */
static ALWAYS_INLINE struct w_step unpack_q5_0(const uint8_t *p, size_t count)
{
    static const uint16_t nibbles[32] = {RUNS(3, 14, 45, 56)}, fifths[32] = {SAME(1, 12, 23, 54)};
    static const uint16_t scales[32] = {FOUR(0, 11, 22, 53)};
    __m512i w0 = load_words(p, 11 * count), w1 = load_words(p + 24, beyond(11 * count, 12));
    struct w_step w = {.d = _mm512_castsi512_si256(pick2(w0, scales, w1))};
    split_nibbles(&w, pick2(w0, nibbles, w1));
    add_fifths(&w, pick2(w0, fifths, w1));
    return w;
}

/* Blocks of 12 words: d, min, 2 words of fifth bits, 8 words of nibbles. The second load starts at word 16: from word
 * 32 on they are 48 .. 63. */
static ALWAYS_INLINE struct w_step unpack_q5_1(const uint8_t *p, size_t count)
{
    static const uint16_t nibbles[32] = {RUNS(4, 16, 44, 56)}, fifths[32] = {SAME(2, 14, 26, 54)};
    static const uint16_t scales[32] = {FOUR(0, 12, 24, 52), FOUR(1, 13, 25, 53)};
    __m512i w0 = load_words(p, 12 * count), w1 = load_words(p + 32, beyond(12 * count, 16));
    __m512i both = pick2(w0, scales, w1);
    struct w_step w = {.d = _mm512_castsi512_si256(both), .second = _mm512_extracti64x4_epi64(both, 1)};
    split_nibbles(&w, pick2(w0, nibbles, w1));
    add_fifths(&w, pick2(w0, fifths, w1));
    return w;
}

/* ---- all ------------------------------------------------------------------------------------------------------- */

/* Blocks b .. b + count of a row; b is a multiple of STEP. Those missing to STEP have codes that meet activations of 0.
 */
static ALWAYS_INLINE struct w_step unpack_step(enum quant_type type, const uint8_t *row, size_t b, size_t count)
{
    const uint8_t *p = row + b * stepped[type].block_bytes;
    switch (type) {
    case QUANT_Q4_0:
        return unpack_q4_0(p, count);
    case QUANT_Q4_1:
        return unpack_q4_1(p, count);
    case QUANT_Q8_0:
        return unpack_q8_0(p, count);
    case QUANT_IQ4_NL:
        return unpack_iq4_nl(p, count);
    case QUANT_Q5_0:
        return unpack_q5_0(p, count);
    case QUANT_Q5_1:
        return unpack_q5_1(p, count);
    case QUANT_GGML_MXFP4:
        return unpack_mxfp4(p, count);
    default: /* IQ4_XS: its second half is found from the super-block's head */
        return unpack_iq4_xs(p - b / STEP % 2 * STEP * stepped[type].block_bytes, b / STEP % 2);
    }
}

/* A block's scale of what unpack_step gave. */
static ALWAYS_INLINE __m512 scales_of(enum quant_type type, __m256i d, __m256i second)
{
    if (type == QUANT_GGML_MXFP4) return halves_e8m0(d);
    __m512 scale = _mm512_cvtph_ps(d);
    if (type != QUANT_IQ4_XS) return scale;
    return _mm512_mul_ps(scale, _mm512_cvtepi32_ps(_mm512_cvtepi16_epi32(second)));
}

#endif
