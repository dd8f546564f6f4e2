/* codes.h — weights of the formats without kernels of their own as unsigned bytes, with their scales: value = d · (code
 * − zero) + m. For the files of AVX2 and AVX-VNNI, 32 neighbours of a row in a vector, and of AVX-512, of two rows.
 *
 * A row is taken in chunks of 256 columns, of which the last may be shorter: first the chunk's scales, then its codes
 * in steps of 32. d and m belong to a step, or to each half of one (codes_halves). NF4 and FP4 are tables of fractions:
 * code counts 128 and `rest` 1 of 16256ths of d. Where affine values are rounded to the type of their scales
 * (quant/planes.h), this leaves the rounding out, as MLX's own products do.
 * Of FP8 and mxfp8, whose codes are numbers (gemv_e4m3.h), this has the scales.
 * Reads nothing past a row. */
#ifndef CPU_CODES_H
#define CPU_CODES_H

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

/* The tables' numbers plus the format's zero. */
static const uint8_t nonlinear_128[16] = {1, 24, 45, 63, 79, 93, 106, 118, 129, 141, 153, 166, 181, 197, 217, 241};
static const uint8_t grid1_9[16] = {0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 9, 9, 9, 9, 9, 9};
static const uint8_t grid2_43[16] = {0, 18, 35, 51, 68, 86, 43, 43, 43, 43, 43, 43, 43, 43, 43, 43};
static const uint8_t grid3_62[16] = {0, 10, 18, 26, 34, 42, 50, 58, 66, 74, 82, 90, 98, 106, 114, 124};
static const uint8_t grid3_s_15[16] = {0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30};
static const uint8_t e2m1_12[16] = {12, 13, 14, 15, 16, 18, 20, 24, 12, 11, 10, 9, 8, 6, 4, 0};

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

/* ---- scales of a chunk ----------------------------------------------------------------------------------------- */

/* Of step j in lane j of d[0] and m[0]; of halves the first eight in [0], the last in [1]. Beyond the chunk's end they
 * are zero. */
struct chunk_scales {
    __m256 d[2], m[2];
};

static ALWAYS_INLINE uint64_t word_at(const uint8_t *p)
{
    uint64_t x;
    memcpy(&x, p, sizeof x);
    return x;
}

/* Bytes at .. at + n of p, n <= 16, and zeros; none beyond them is read, but some before. */
static ALWAYS_INLINE __m128i load_few(const uint8_t *p, size_t at, size_t n)
{
    uint64_t low = 0;
    if (n == 16) return load16(p + at);
    if (n >= 8)
        return _mm_set_epi64x(n > 8 ? (long long)(word_at(p + at + n - 8) >> 8 * (16 - n)) : 0,
                              (long long)word_at(p + at));
    if (n && at + n >= 8)
        low = word_at(p + at + n - 8) >> 8 * (8 - n);
    else
        memcpy(&low, p + at, n);
    return _mm_cvtsi64_si128((long long)low);
}

static ALWAYS_INLINE __m256 floats_few(const float *p, size_t n)
{
    /* Masked loads from memory took five times as long. */
    if (n == 8) return _mm256_loadu_ps(p);
    if (n == 4) return _mm256_zextps128_ps256(_mm_loadu_ps(p));
    if (n == 1) return _mm256_zextps128_ps256(_mm_load_ss(p));
    return _mm256_maskload_ps(p, first8(n));
}

static ALWAYS_INLINE __m256 numbers_e8m0(__m128i bytes)
{
    __m256i e = _mm256_cvtepu8_epi32(bytes), bits = _mm256_slli_epi32(e, 23);
    bits = _mm256_blendv_epi8(bits, _mm256_set1_epi32(0x00400000), _mm256_cmpeq_epi32(e, _mm256_setzero_si256()));
    return _mm256_castsi256_ps(
        _mm256_blendv_epi8(bits, _mm256_set1_epi32(0x7FC00000), _mm256_cmpeq_epi32(e, _mm256_set1_epi32(255))));
}

static ALWAYS_INLINE __m256 numbers_e4m3(__m128i bytes)
{
    __m256i e = _mm256_cvtepu8_epi32(bytes), size = _mm256_and_si256(e, _mm256_set1_epi32(0x7F));
    __m256 x = _mm256_mul_ps(_mm256_castsi256_ps(_mm256_slli_epi32(size, 20)), _mm256_set1_ps(0x1p120f));
    x = _mm256_blendv_ps(x, _mm256_set1_ps(__builtin_nanf("")),
                         _mm256_castsi256_ps(_mm256_cmpeq_epi32(size, _mm256_set1_epi32(0x7F))));
    return _mm256_or_ps(x, _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_srli_epi32(e, 7), 31)));
}

/* The first n; what stands for nothing must not be a subnormal, which products take long with. */
static ALWAYS_INLINE __m256 keep_few(__m256 x, size_t n)
{
    return _mm256_and_ps(x, _mm256_castsi256_ps(first8(n)));
}

/* Scales first .. first + n of a plane, n <= 8, the rest 0. */
static ALWAYS_INLINE __m256 plane_scales(enum scale_type type, const uint8_t *scales, size_t first, size_t n)
{
    switch (type) {
    case SCALE_F32:
        return floats_few((const float *)(const void *)(scales + 4 * first), n);
    case SCALE_F16:
        return _mm256_cvtph_ps(load_few(scales, 2 * first, 2 * n));
    case SCALE_BF16:
        return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(load_few(scales, 2 * first, 2 * n)), 16));
    case SCALE_E8M0:
        return keep_few(numbers_e8m0(load_few(scales, first, n)), n);
    default:
        return numbers_e4m3(load_few(scales, first, n));
    }
}

/* What the numbers behind the codes are counted in. */
static ALWAYS_INLINE float plane_unit(enum quant_type type)
{
    return type == QUANT_MXFP4 || type == QUANT_NVFP4 ? 0.5f : codes_fractions(type) ? 1.0f / FRACTIONS : 1;
}

/* A row on the way: its chunk, and where in its groups it is. */
struct coded_row {
    const uint8_t *chunk;
    size_t group, left; /* columns left in it; planes alone */
};

/* From a column on that begins a block. */
static ALWAYS_INLINE struct coded_row coded_row_at(enum quant_type type, const struct quant_matrix *w, size_t row,
                                                   size_t col)
{
    struct coded_row r = {.chunk = w->data + row * w->row_bytes + col * coded[type].chunk_bytes / CHUNK};
    if (type < QUANT_PLANES) return r;
    size_t flat = row * w->cols + col;
    r.group = flat / w->planes.group, r.left = w->planes.group - flat % w->planes.group;
    return r;
}

/* Rows from a column on, one after the other: divisions are slow. */
struct coded_rows {
    struct coded_row next;
    size_t row_bytes, group, groups, rest; /* a row: whole groups, and columns of another */
    size_t scale_bytes, chunk_scales;      /* bytes of a scale, and of a chunk's */
};
static ALWAYS_INLINE struct coded_rows coded_rows_from(enum quant_type type, const struct quant_matrix *w, size_t row,
                                                       size_t col)
{
    struct coded_rows r = {.next = coded_row_at(type, w, row, col), .row_bytes = w->row_bytes};
    if (type < QUANT_PLANES) return r;
    r.group = w->planes.group, r.groups = w->cols / r.group, r.rest = w->cols % r.group;
    r.scale_bytes = scale_bytes(w->planes.scale_type), r.chunk_scales = CHUNK * r.scale_bytes / r.group;
    return r;
}
static ALWAYS_INLINE struct coded_row next_row(enum quant_type type, struct coded_rows *r)
{
    const struct coded_row row = r->next;
    r->next.chunk += r->row_bytes;
    if (type < QUANT_PLANES) return row;
    r->next.group += r->groups;
    if (r->next.left <= r->rest) r->next.group++, r->next.left += r->group;
    r->next.left -= r->rest;
    return row;
}

/* n groups from `first` on; step j belongs to first + lane j. */
struct groups {
    size_t first, n;
    __m256i lane;
};

/* Each step's by itself. */
static inline struct groups walk_groups(size_t group, struct coded_row *r, size_t steps)
{
    int lane[STEPS] = {0}, last = 0;
    const size_t first = r->group;
    for (size_t j = 0; j < steps; j++) {
        lane[j] = last = (int)(r->group - first);
        r->left -= BLOCK;
        if (!r->left) r->group++, r->left = group;
    }
    return (struct groups){first, (size_t)last + 1, _mm256_loadu_si256((const __m256i *)lane)};
}

/* Moves the row on by `steps`. */
static ALWAYS_INLINE struct groups next_groups(size_t group, struct coded_row *r, size_t steps)
{
    const __m256i lane = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
    const size_t first = r->group, cols = steps * BLOCK;
    if (r->left == group && !(group & (group - 1)) && group <= CHUNK) { /* a short chunk is the row's last */
        int shift = __builtin_ctzll(group);
        size_t n = (cols + group - 1) >> shift;
        r->group += n;
        return (struct groups){first, n, _mm256_srlv_epi32(lane, _mm256_set1_epi32(shift - 5))};
    }
    if (r->left <= cols) return walk_groups(group, r, steps);
    r->left -= cols;
    return (struct groups){first, 1, _mm256_setzero_si256()};
}

static ALWAYS_INLINE struct chunk_scales scales_of_planes(enum quant_type type, const struct quant_planes *p,
                                                          struct coded_row *r, size_t steps)
{
    struct chunk_scales s;
    if (coded[type].halves) { /* groups of 16 */
        const __m256 unit = _mm256_set1_ps(p->factor * plane_unit(type));
        for (size_t i = 0, n = 2 * steps; i < 2; i++, r->group += n < 8 ? n : 8, n -= n < 8 ? n : 8)
            s.d[i] = _mm256_mul_ps(plane_scales(p->scale_type, p->scales, r->group, n < 8 ? n : 8), unit);
        return s;
    }
    const struct groups g = next_groups(p->group, r, steps);
    s.d[0] = _mm256_permutevar8x32_ps(plane_scales(p->scale_type, p->scales, g.first, g.n), g.lane);
    if (!coded[type].minimum) {
        s.d[0] = _mm256_mul_ps(s.d[0], _mm256_set1_ps(p->factor * plane_unit(type)));
        return s;
    }
    s.m[0] = _mm256_permutevar8x32_ps(plane_scales(p->scale_type, p->mins, g.first, g.n), g.lane);
    if (coded[type].zero) s.m[0] = _mm256_fmadd_ps(s.d[0], _mm256_set1_ps(coded[type].zero), s.m[0]);
    return s;
}

/* ---- scales of blocks ---- */

static ALWAYS_INLINE __m256 times(__m256i x, float d)
{
    return _mm256_mul_ps(_mm256_cvtepi32_ps(x), _mm256_set1_ps(d));
}

static ALWAYS_INLINE struct chunk_scales scales_q2_k(const uint8_t *super)
{
    const __m128i both = load16(super), low = _mm_set1_epi8(15);
    const __m128i d = _mm_and_si128(both, low), m = _mm_and_si128(_mm_srli_epi16(both, 4), low);
    float scale = load_half(super + 80), min = -load_half(super + 82);
    return (struct chunk_scales){
        {times(_mm256_cvtepu8_epi32(d), scale), times(_mm256_cvtepu8_epi32(_mm_srli_si128(d, 8)), scale)},
        {times(_mm256_cvtepu8_epi32(m), min), times(_mm256_cvtepu8_epi32(_mm_srli_si128(m, 8)), min)}};
}

/* Six bits less 32: four low ones from nibbles of 8 bytes, two high ones from 4 bytes. */
static ALWAYS_INLINE __m128i scale_bytes_q3_k(const uint8_t *super)
{
    enum { SCALES = 96 };
    uint32_t top;
    memcpy(&top, super + SCALES + 8, sizeof top);
    __m128i x = _mm_loadl_epi64((const __m128i *)(super + SCALES));
    __m128i low = _mm_and_si128(_mm_unpacklo_epi64(x, _mm_srli_epi16(x, 4)), _mm_set1_epi8(15));
    __m128i high = _mm_srlv_epi32(_mm_set1_epi32((int)top), _mm_setr_epi32(0, 2, 4, 6));
    high = _mm_slli_epi16(_mm_and_si128(high, _mm_set1_epi8(3)), 4);
    return _mm_sub_epi8(_mm_or_si128(low, high), _mm_set1_epi8(32));
}
static ALWAYS_INLINE struct chunk_scales scales_q3_k(const uint8_t *super)
{
    const __m128i scale = scale_bytes_q3_k(super);
    float d = load_half(super + 108);
    return (struct chunk_scales){
        .d = {times(_mm256_cvtepi8_epi32(scale), d), times(_mm256_cvtepi8_epi32(_mm_srli_si128(scale, 8)), d)}};
}

static ALWAYS_INLINE struct chunk_scales scales_iq4_xs(const uint8_t *super)
{
    uint32_t nibbles;
    uint16_t top;
    memcpy(&top, super + 2, sizeof top), memcpy(&nibbles, super + 4, sizeof nibbles);
    const __m256i lane = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
    __m256i low = _mm256_srlv_epi32(_mm256_set1_epi32((int)nibbles), _mm256_slli_epi32(lane, 2));
    __m256i high = _mm256_srlv_epi32(_mm256_set1_epi32(top), _mm256_slli_epi32(lane, 1));
    low = _mm256_and_si256(low, _mm256_set1_epi32(15)), high = _mm256_and_si256(high, _mm256_set1_epi32(3));
    __m256i scale = _mm256_or_si256(low, _mm256_slli_epi32(high, 4));
    return (struct chunk_scales){.d = {times(_mm256_sub_epi32(scale, _mm256_set1_epi32(32)), load_half(super))}};
}

/* `bytes` bytes at the head of each of n <= 8 blocks, `stride` apart, one after the other; beyond them 0. */
static ALWAYS_INLINE __m128i heads(const uint8_t *p, const size_t stride, size_t n, const size_t bytes)
{
    uint64_t part[2] = {0};
    for (size_t i = 0; i < n; i++, p += stride) {
        uint64_t head = 0;
        memcpy(&head, p, bytes);
        part[i * bytes / 8] |= head << 8 * (i * bytes % 8);
    }
    return _mm_set_epi64x((long long)part[1], (long long)part[0]);
}
/* Unrolled for a whole chunk, and for two blocks: rows of 576 end so. */
static ALWAYS_INLINE __m128i heads_of(const uint8_t *p, const size_t stride, size_t n, const size_t all,
                                      const size_t bytes)
{
    return n == all ? heads(p, stride, all, bytes) : n == 2 ? heads(p, stride, 2, bytes) : heads(p, stride, n, bytes);
}

/* 2^(e − 128) */
static ALWAYS_INLINE __m256 half_e8m0(__m128i bytes)
{
    __m256i e = _mm256_cvtepu8_epi32(bytes), one = _mm256_set1_epi32(1);
    __m256i small = _mm256_sllv_epi32(_mm256_set1_epi32(0x00200000), e);
    __m256i bits = _mm256_slli_epi32(_mm256_sub_epi32(e, one), 23);
    return _mm256_castsi256_ps(_mm256_blendv_epi8(small, bits, _mm256_cmpgt_epi32(e, one)));
}

/* As quant/ggml_quants.c has it. */
static ALWAYS_INLINE __m256 half_ue4m3(__m128i bytes)
{
    __m256i e = _mm256_cvtepu8_epi32(bytes), size = _mm256_and_si256(e, _mm256_set1_epi32(0x7F));
    __m256 x = _mm256_mul_ps(_mm256_castsi256_ps(_mm256_slli_epi32(size, 20)), _mm256_set1_ps(0x1p119f));
    __m256i none = _mm256_cmpeq_epi32(e, _mm256_set1_epi32(0x7F));
    return _mm256_andnot_ps(_mm256_castsi256_ps(none), x);
}

/* Formats of blocks shorter than a chunk. */
static ALWAYS_INLINE struct chunk_scales scales_of_blocks(enum quant_type type, const uint8_t *chunk, size_t steps)
{
    const __m256i pairs = _mm256_setr_epi32(0, 0, 1, 1, 2, 2, 3, 3), fours = _mm256_setr_epi32(0, 0, 0, 0, 1, 1, 1, 1);
    const size_t stride = coded[type].chunk_bytes / STEPS;
    struct chunk_scales s;
    __m128i wide;
    switch (type) {
    case QUANT_GGML_MXFP4:
        s.d[0] = keep_few(half_e8m0(heads_of(chunk, stride, steps, 8, 1)), steps);
        return s;
    case QUANT_GGML_NVFP4:
        wide = heads_of(chunk, 2 * stride, steps / 2, 4, 4);
        s.d[0] = half_ue4m3(wide), s.d[1] = half_ue4m3(_mm_srli_si128(wide, 8));
        return s;
    case QUANT_Q1_0:
        s.d[0] = _mm256_permutevar8x32_ps(_mm256_cvtph_ps(heads_of(chunk, 18, steps / 4, 2, 2)), fours);
        return s;
    case QUANT_Q2_0:
        s.d[0] = _mm256_permutevar8x32_ps(_mm256_cvtph_ps(heads_of(chunk, 18, steps / 2, 4, 2)), pairs);
        return s;
    default:
        s.d[0] = _mm256_cvtph_ps(heads_of(chunk, stride, steps, 8, 2));
        if (type == QUANT_Q5_1) s.m[0] = _mm256_cvtph_ps(heads_of(chunk + 2, stride, steps, 8, 2));
        return s;
    }
}

/* Of the row's chunk, which has `steps` steps; the formats of 256 have them all. Moves the row to the next. */
static ALWAYS_INLINE struct chunk_scales next_scales(enum quant_type type, const struct quant_matrix *w,
                                                     struct coded_row *r, size_t steps)
{
    const uint8_t *chunk = r->chunk;
    r->chunk += coded[type].chunk_bytes;
    if (type >= QUANT_PLANES) return scales_of_planes(type, &w->planes, r, steps);
    if (type == QUANT_Q2_K) return scales_q2_k(chunk);
    if (type == QUANT_Q3_K) return scales_q3_k(chunk);
    if (type == QUANT_IQ4_XS) return scales_iq4_xs(chunk);
    if (type == QUANT_TQ2_0) return (struct chunk_scales){.d = {_mm256_set1_ps(load_half(chunk + 64))}};
    return scales_of_blocks(type, chunk, steps);
}

#endif
