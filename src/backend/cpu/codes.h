/* codes.h — weights of the formats without kernels of their own as unsigned bytes: value = d · (code − zero) + m, d and
 * m those of code_scales.h. For the files of AVX2 and AVX-VNNI, 32 neighbours of a row in a vector, and of AVX-512, of
 * two rows.
 *
 * A row is taken in chunks of 256 columns, of which the last may be shorter, and in steps of 32. d and m belong to a
 * step, or to each half of one (halves). NF4 and FP4 are tables of fractions: code counts 128 and `rest` 1 of 16256ths
 * of d. Where affine values are rounded to the type of their scales (quant/planes.h), this leaves the rounding out, as
 * MLX's own products do. Of FP8 and mxfp8 the codes are numbers (gemv_e4m3.h).
 * Reads nothing past a row. */
#ifndef CPU_CODES_H
#define CPU_CODES_H

#include "backend/cpu/code_tables.h"
#include "backend/cpu/unpack_avx2.h"
#include "quant/planes.h"

enum { CHUNK = 256, STEPS = CHUNK / BLOCK };

/* ---- what a format is ------------------------------------------------------------------------------------------ */

static const struct coded {
    uint16_t chunk_bytes;
    uint8_t zero; /* codes above 127 belong to zero 128 alone: codes_dot relies on it */
    bool halves, minimum;
} coded[QUANT_TYPES] = {
    [QUANT_Q5_0] = {176, 16, false, false},      [QUANT_Q5_1] = {192, 0, false, true},
    [QUANT_Q2_K] = {84, 0, true, true},          [QUANT_Q3_K] = {110, 4, true, false},
    [QUANT_IQ4_NL] = {144, 128, false, false},   [QUANT_IQ4_XS] = {136, 128, false, false},
    [QUANT_TQ2_0] = {66, 1, false, false},       [QUANT_GGML_MXFP4] = {136, 12, false, false},
    [QUANT_GGML_NVFP4] = {144, 12, true, false}, [QUANT_Q1_0] = {36, 1, false, false},
    [QUANT_Q2_0] = {72, 1, false, false},        [QUANT_AFFINE2] = {64, 0, false, true},
    [QUANT_AFFINE3] = {96, 0, false, true},      [QUANT_AFFINE4] = {128, 0, false, true},
    [QUANT_AFFINE5] = {160, 0, false, true},     [QUANT_AFFINE6] = {192, 0, false, true},
    [QUANT_AFFINE8] = {256, 128, false, true},   [QUANT_MXFP4] = {128, 12, false, false},
    [QUANT_NVFP4] = {128, 12, true, false},      [QUANT_NF4] = {128, 128, false, false},
    [QUANT_FP4] = {128, 128, false, false},      [QUANT_INT8] = {256, 128, false, false},
    [QUANT_GRID1] = {128, 9, true, false},       [QUANT_GRID2] = {128, 43, true, false},
    [QUANT_GRID3] = {128, 62, false, false},     [QUANT_GRID3_S] = {128, 15, false, false},
    [QUANT_MXFP8] = {256, 0, false, false},      [QUANT_FP8] = {256, 0, false, false},
};

static ALWAYS_INLINE bool codes_fractions(enum quant_type type)
{
    return type == QUANT_NF4 || type == QUANT_FP4;
}

/* ---- vectors --------------------------------------------------------------------------------------------------- */

/* 32 bytes of one row, or of each of two. */
#ifdef __AVX512VL__
typedef __m512i vec;
typedef __m512 vecf;
enum { TOGETHER = 2 };
#define V(op)   _mm512_##op
#define VSI(op) _mm512_##op##_si512
#define ALL128  _mm512_broadcast_i32x4
static ALWAYS_INLINE vec both(__m256i first, __m256i second)
{
    return _mm512_inserti64x4(_mm512_castsi256_si512(first), second, 1);
}
#define EACH_ROW(load) both(load(row[0] + at), load(row[1] + at))
#else
typedef __m256i vec;
typedef __m256 vecf;
enum { TOGETHER = 1 };
#define V(op)          _mm256_##op
#define VSI(op)        _mm256_##op##_si256
#define ALL128         _mm256_broadcastsi128_si256
#define EACH_ROW(load) load(row[0] + at)
#endif

static ALWAYS_INLINE __m256i load32(const uint8_t *p)
{
    return _mm256_loadu_si256((const __m256i *)p);
}
static ALWAYS_INLINE __m128i load16(const uint8_t *p)
{
    return _mm_loadu_si128((const __m128i *)p);
}
static ALWAYS_INLINE __m256i load16_twice(const uint8_t *p)
{
    return _mm256_broadcastsi128_si256(load16(p));
}
static ALWAYS_INLINE vec bytes32(const uint8_t *const *row, size_t at)
{
    return EACH_ROW(load32);
}
static ALWAYS_INLINE vec bytes16_twice(const uint8_t *const *row, size_t at)
{
    return EACH_ROW(load16_twice);
}
/* 16 bytes as words. */
static ALWAYS_INLINE vec bytes16_wide(const uint8_t *const *row, size_t at)
{
#ifdef __AVX512VL__
    return _mm512_cvtepu8_epi16(_mm256_set_m128i(load16(row[1] + at), load16(row[0] + at)));
#else
    return _mm256_cvtepu8_epi16(load16(row[0] + at));
#endif
}
/* The same in every 128 bits, or 256. */
static ALWAYS_INLINE vec all128(const void *p)
{
    return ALL128(load16(p));
}
static ALWAYS_INLINE vec all256(__m256i x)
{
#ifdef __AVX512VL__
    return _mm512_broadcast_i64x4(x);
#else
    return x;
#endif
}

/* ---- codes of a step ------------------------------------------------------------------------------------------- */

/* `value` in byte i where bit i of the 32 bits is set. */
static ALWAYS_INLINE vec bytes_of_bits(const uint8_t *const *row, size_t at, char value)
{
    uint32_t bits[TOGETHER];
    for (int i = 0; i < TOGETHER; i++) memcpy(bits + i, row[i] + at, sizeof *bits);
#ifdef __AVX512VL__
    return _mm512_maskz_mov_epi8(bits[0] | (uint64_t)bits[1] << 32, _mm512_set1_epi8(value));
#else
    const __m256i spread = _mm256_setr_epi64x(0, 0x0101010101010101, 0x0202020202020202, 0x0303030303030303);
    const __m256i bit = _mm256_set1_epi64x((long long)0x8040201008040201);
    __m256i x = _mm256_and_si256(_mm256_shuffle_epi8(_mm256_set1_epi32((int)*bits), spread), bit);
    return _mm256_and_si256(_mm256_cmpeq_epi8(x, bit), _mm256_set1_epi8(value));
#endif
}

static ALWAYS_INLINE vec low_bits(vec x, const int bits)
{
    return VSI(and)(x, V(set1_epi8)((char)((1 << bits) - 1)));
}
/* 16 bytes: the low nibbles are values 0 .. 15, the high ones 16 .. 31. */
static ALWAYS_INLINE vec nibbles_apart(const uint8_t *const *row, size_t at)
{
    const vec shift = all256(_mm256_setr_epi32(0, 0, 0, 0, 4, 4, 4, 4));
    return low_bits(V(srlv_epi32)(bytes16_twice(row, at), shift), 4);
}
/* The low nibble of a byte, then its high one. */
static ALWAYS_INLINE vec nibbles_low_first(const uint8_t *const *row, size_t at)
{
    vec x = bytes16_wide(row, at);
    return low_bits(VSI(or)(x, V(slli_epi16)(x, 4)), 4);
}
static ALWAYS_INLINE vec nibbles_high_first(const uint8_t *const *row, size_t at)
{
    vec x = bytes16_wide(row, at);
    return low_bits(VSI(or)(V(srli_epi16)(x, 4), V(slli_epi16)(x, 8)), 4);
}
/* 8 bytes: their low nibbles, then their high ones; then the next 8. */
static ALWAYS_INLINE vec nibbles_by_eight(const uint8_t *const *row, size_t at)
{
    const vec eight =
        all256(_mm256_setr_epi64x(0x0706050403020100, 0x0706050403020100, 0x0F0E0D0C0B0A0908, 0x0F0E0D0C0B0A0908));
    const vec shift = all256(_mm256_setr_epi64x(0, 4, 0, 4));
    return low_bits(V(srlv_epi64)(V(shuffle_epi8)(bytes16_twice(row, at), eight), shift), 4);
}

/* Bits 2 s and 2 s + 1 of 32 bytes. */
static ALWAYS_INLINE vec bit_pairs(const uint8_t *const *row, size_t at, size_t s)
{
    return low_bits(V(srl_epi16)(bytes32(row, at), _mm_cvtsi32_si128((int)(2 * s))), 2);
}
static ALWAYS_INLINE vec codes_q3_k(const uint8_t *const *row, size_t j)
{
    enum { CODES = 32 };
    vec high = V(srl_epi16)(bytes32(row, 0), _mm_cvtsi32_si128((int)j));
    return VSI(or)(bit_pairs(row, CODES + j / 4 * 32, j % 4), V(slli_epi16)(low_bits(high, 1), 2));
}

/* Codes of 2, 3, 5 or 6 bits one after the other. Each 128 bits hold 16 of them from byte `from` on; a shuffle brings
 * the two bytes around a code to a word, a product shifts it to the word's top. Words 0 .. 7 of either half first. */
struct bit_places {
    uint8_t bytes[2][32];
    uint16_t shift[2][16];
};
#define PLACE(b, from, i) (from) + (i) * (b) / 8, (from) + (i) * (b) / 8 < 15 ? (from) + (i) * (b) / 8 + 1 : 15
#define PLACES(b, from, i)                                                                                             \
    PLACE(b, from, i), PLACE(b, from, i + 1), PLACE(b, from, i + 2), PLACE(b, from, i + 3), PLACE(b, from, i + 4),     \
        PLACE(b, from, i + 5), PLACE(b, from, i + 6), PLACE(b, from, i + 7)
#define UP(b, i) 1 << (16 - (b) - (i) * (b) % 8)
#define UPS(b, i)                                                                                                      \
    UP(b, i), UP(b, i + 1), UP(b, i + 2), UP(b, i + 3), UP(b, i + 4), UP(b, i + 5), UP(b, i + 6), UP(b, i + 7)
#define BIT_PLACES(b, from)                                                                                            \
    {                                                                                                                  \
        {{PLACES(b, 0, 0), PLACES(b, from, 0)}, {PLACES(b, 0, 8), PLACES(b, from, 8)}},                                \
        {                                                                                                              \
            {UPS(b, 0), UPS(b, 0)},                                                                                    \
            {                                                                                                          \
                UPS(b, 8), UPS(b, 8)                                                                                   \
            }                                                                                                          \
        }                                                                                                              \
    }
static const struct bit_places bit_places[7] = {
    [2] = BIT_PLACES(2, 4), [3] = BIT_PLACES(3, 2), [5] = BIT_PLACES(5, 6), [6] = BIT_PLACES(6, 4)};

#ifdef __AVX512VBMI__
/* The same of 8 codes at a time: their bytes are brought to 64 bits, of which a byte takes any 8. */
static const struct bit_eights {
    uint8_t bytes[32];
    uint64_t shift;
} bit_eights[7] = {
#define RUN(b, from) (from), (from) + 1, (from) + 2, (from) + 3, (from) + 4, (from) + 5, (from) + 6, (from) + 7
#define SHIFTS(b)                                                                                                      \
    ((uint64_t)(b) << 8 | (uint64_t)(2 * (b)) << 16 | (uint64_t)(3 * (b)) << 24 | (uint64_t)(4 * (b)) << 32 |          \
     (uint64_t)(5 * (b)) << 40 | (uint64_t)(6 * (b)) << 48 | (uint64_t)(7 * (b)) << 56)
#define BIT_EIGHTS(b, from)                                                                                            \
    {                                                                                                                  \
        {RUN(b, 0), RUN(b, b), RUN(b, from), RUN(b, (from) + (b))}, SHIFTS(b)                                          \
    }
    [2] = BIT_EIGHTS(2, 4), [3] = BIT_EIGHTS(3, 2), [5] = BIT_EIGHTS(5, 6), [6] = BIT_EIGHTS(6, 4)};
#endif

/* `bytes` bytes, 8 to 24, so that the first half of the codes lies in the first 128 bits, the other in the others. */
static ALWAYS_INLINE __m256i load_halves(const uint8_t *p, const size_t bytes)
{
    if (bytes == 8) return _mm256_broadcastq_epi64(_mm_loadl_epi64((const __m128i *)p));
    if (bytes < 16)
        return _mm256_set_m128i(_mm_loadl_epi64((const __m128i *)(p + bytes - 8)), _mm_loadl_epi64((const __m128i *)p));
    return _mm256_set_m128i(load16(p + bytes - 16), load16(p));
}
static ALWAYS_INLINE vec codes_in_bits(const int bits, const uint8_t *const *row, size_t at)
{
    const size_t bytes = 4 * (size_t)bits;
    const struct bit_places *places = &bit_places[bits];
#ifdef __AVX512VL__
    vec x = both(load_halves(row[0] + at, bytes), load_halves(row[1] + at, bytes)), words[2];
#else
    vec x = load_halves(row[0] + at, bytes), words[2];
#endif
#ifdef __AVX512VBMI__
    vec eights = V(shuffle_epi8)(x, all256(load32(bit_eights[bits].bytes)));
    return low_bits(V(multishift_epi64_epi8)(V(set1_epi64)((long long)bit_eights[bits].shift), eights), bits);
#endif
    for (int i = 0; i < 2; i++) {
        vec up = all256(load32((const uint8_t *)places->shift[i])), place = all256(load32(places->bytes[i]));
        words[i] = V(srli_epi16)(V(mullo_epi16)(V(shuffle_epi8)(x, place), up), 16 - bits);
    }
    return V(packus_epi16)(words[0], words[1]);
}

/* Of the planes of nibbles, the low one first; NULL: they are the codes. */
static ALWAYS_INLINE const uint8_t *table_of(enum quant_type type)
{
    switch (type) {
    case QUANT_MXFP4:
    case QUANT_NVFP4:
        return e2m1_12;
    case QUANT_GRID1:
        return grid1_9;
    case QUANT_GRID2:
        return grid2_43;
    case QUANT_GRID3:
        return grid3_62;
    case QUANT_GRID3_S:
        return grid3_s_15;
    default:
        return NULL;
    }
}
static ALWAYS_INLINE vec look_up(const uint8_t table[16], vec nibbles)
{
    return V(shuffle_epi8)(all128(table), nibbles);
}

/* Step j of the chunk that begins at each row. */
static ALWAYS_INLINE vec codes_at(enum quant_type type, const uint8_t *const *row, size_t j)
{
    switch (type) {
    case QUANT_Q5_0:
        return VSI(or)(nibbles_apart(row, 22 * j + 6), bytes_of_bits(row, 22 * j + 2, 16));
    case QUANT_Q5_1:
        return VSI(or)(nibbles_apart(row, 24 * j + 8), bytes_of_bits(row, 24 * j + 4, 16));
    case QUANT_Q2_K:
        return bit_pairs(row, 16 + j / 4 * 32, j % 4);
    case QUANT_Q3_K:
        return codes_q3_k(row, j);
    case QUANT_TQ2_0:
        return bit_pairs(row, j / 4 * 32, j % 4);
    case QUANT_IQ4_NL:
        return look_up(nonlinear_128, nibbles_apart(row, 18 * j + 2));
    case QUANT_IQ4_XS:
        return look_up(nonlinear_128, nibbles_apart(row, 8 + 16 * j));
    case QUANT_GGML_MXFP4:
        return look_up(e2m1_12, nibbles_apart(row, 17 * j + 1));
    case QUANT_GGML_NVFP4:
        return look_up(e2m1_12, nibbles_by_eight(row, j / 2 * 36 + 4 + j % 2 * 16));
    case QUANT_Q1_0:
        return bytes_of_bits(row, j / 4 * 18 + 2 + j % 4 * 4, 2);
    case QUANT_Q2_0:
        return codes_in_bits(2, row, j / 2 * 18 + 2 + j % 2 * 8);
    case QUANT_AFFINE4:
        return nibbles_low_first(row, 16 * j);
    case QUANT_AFFINE8:
        return bytes32(row, 32 * j);
    case QUANT_INT8:
        return VSI(xor)(bytes32(row, 32 * j), V(set1_epi8)((char)0x80));
    case QUANT_MXFP4:
    case QUANT_NVFP4:
    case QUANT_GRID1:
    case QUANT_GRID2:
    case QUANT_GRID3:
    case QUANT_GRID3_S:
        return look_up(table_of(type), nibbles_low_first(row, 16 * j));
    default:
        return codes_in_bits(planes_bits(type), row, 4 * (size_t)planes_bits(type) * j);
    }
}

/* NF4 and FP4: a number is 128 (code - 128) + rest - 64 of 16256ths, off by 3.1e-5 at most. */
static const uint8_t nf4_codes[16] = {1, 40, 61, 78, 92, 105, 116, 128, 138, 148, 159, 171, 184, 199, 220, 255};
static const uint8_t nf4_rests[16] = {64, 11, 104, 44, 48, 4, 120, 64, 78, 120, 97, 53, 60, 122, 40, 64};
static const uint8_t fp4_codes[16] = {128, 129, 213, 255, 170, 192, 149, 160, 128, 127, 43, 1, 86, 64, 107, 96};
static const uint8_t fp4_rests[16] = {64, 21, 21, 64, 107, 0, 85, 32, 64, 107, 107, 64, 21, 128, 43, 96};
enum { FRACTIONS = 16256, FRACTION_ZERO = 64 };

#endif
