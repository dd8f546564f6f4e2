/* unpack_planes_avx512.c — rows of the formats in planes (quant/planes.h) to f32, 16 at a time, the scalar's bits.
 *
 * Codes of 2 to 6 bits: each lies in the two bytes that a shuffle brings to its lane, and is shifted down there. Up to
 * 4 bits a group has 16 values at most: they are computed once and looked up. */
#include "backend/cpu/families.h"
#include "quant/planes.h"

#include <immintrin.h>
#include <string.h>

enum { LANES = 16 };

/* Where the codes of 16 columns lie: for each the byte of its first bit, the next byte, and the bits before it. */
struct lane_codes {
    int bits;
    uint8_t bytes[2 * LANES];
    uint16_t shift[LANES];
};
#define BYTES(b, i) (i) * (b) / 8, (i) * (b) / 8 < 2 * (b)-1 ? (i) * (b) / 8 + 1 : 2 * (b)-1
#define SHIFT(b, i) (i) * (b) % 8
#define IN_ORDER(f, b)                                                                                                 \
    f(b, 0), f(b, 1), f(b, 2), f(b, 3), f(b, 4), f(b, 5), f(b, 6), f(b, 7), f(b, 8), f(b, 9), f(b, 10), f(b, 11),      \
        f(b, 12), f(b, 13), f(b, 14), f(b, 15)
#define SWAPPED(f, b)                                                                                                  \
    f(b, 1), f(b, 0), f(b, 3), f(b, 2), f(b, 5), f(b, 4), f(b, 7), f(b, 6), f(b, 9), f(b, 8), f(b, 11), f(b, 10),      \
        f(b, 13), f(b, 12), f(b, 15), f(b, 14)
#define CODES(b)                                                                                                       \
    {                                                                                                                  \
        b, {IN_ORDER(BYTES, b)},                                                                                       \
        {                                                                                                              \
            IN_ORDER(SHIFT, b)                                                                                         \
        }                                                                                                              \
    }

static const struct lane_codes lane_codes[] = {
    [2] = CODES(2), [3] = CODES(3), [4] = CODES(4), [5] = CODES(5), [6] = CODES(6), [8] = {.bits = 8}};
static const struct lane_codes high_first = {4, {SWAPPED(BYTES, 4)}, {SWAPPED(SHIFT, 4)}};

static inline int code_bits(enum quant_type type)
{
    return type < QUANT_MXFP4 ? planes_bits(type) : planes_nibbles(type) ? 4 : 8;
}

static inline __attribute__((always_inline)) const struct lane_codes *lanes_of(enum quant_type type)
{
    return type == QUANT_NF4 || type == QUANT_FP4 ? &high_first : &lane_codes[code_bits(type)];
}

static inline size_t lane_bytes(const struct lane_codes *l)
{
    return 2 * (size_t)l->bits;
}

static inline __m128i load_words(const uint8_t *p, size_t bytes) /* 4 to 12, without touching more */
{
    uint32_t last;
    __m128i x = bytes < 8 ? _mm_loadu_si32(p) : _mm_loadl_epi64((const __m128i *)p);
    if (bytes == 6) return _mm_insert_epi16(x, p[4] | p[5] << 8, 2);
    if (bytes == 10) return _mm_insert_epi16(x, p[8] | p[9] << 8, 4);
    if (bytes != 12) return x;
    memcpy(&last, p + 8, sizeof last);
    return _mm_insert_epi32(x, (int)last, 2);
}

/* Masked loads took ten times as long. */
static inline __attribute__((always_inline)) __m512i codes_at(const struct lane_codes *l, const uint8_t *p)
{
    if (l->bits == 8) return _mm512_cvtepu8_epi32(_mm_loadu_si128((const __m128i *)p));
    __m128i x = load_words(p, lane_bytes(l));
    __m256i bytes = _mm256_loadu_si256((const __m256i *)l->bytes),
            shift = _mm256_loadu_si256((const __m256i *)l->shift);
    __m256i words = _mm256_srlv_epi16(_mm256_shuffle_epi8(_mm256_broadcastsi128_si256(x), bytes), shift);
    return _mm512_cvtepu16_epi32(_mm256_and_si256(words, _mm256_set1_epi16((short)((1 << l->bits) - 1))));
}

/* ---- values --------------------------------------------------------------------------------- */

static inline __attribute__((always_inline)) __m512 rounded(enum scale_type type, __m512 x)
{
    if (type == SCALE_F16) return _mm512_cvtph_ps(_mm512_cvtps_ph(x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC));
    if (type != SCALE_BF16) return x;
    __m512i bits = _mm512_castps_si512(x), odd = _mm512_and_si512(_mm512_srli_epi32(bits, 16), _mm512_set1_epi32(1));
    __m512i up = _mm512_add_epi32(bits, _mm512_add_epi32(odd, _mm512_set1_epi32(0x7FFF)));
    up = _mm512_and_si512(up, _mm512_set1_epi32((int)0xFFFF0000));
    return _mm512_mask_mov_ps(_mm512_castsi512_ps(up), _mm512_cmp_ps_mask(x, x, _CMP_UNORD_Q), x);
}

static inline __attribute__((always_inline)) __m512 affine(enum scale_type type, __m512 codes, float scale,
                                                           float minimum)
{
    /* The rounding is named so that the compiler fuses nothing. */
    __m512 times = _mm512_mul_round_ps(codes, _mm512_set1_ps(scale), _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
    __m512 product = rounded(type, times);
    return rounded(type, _mm512_add_ps(product, _mm512_set1_ps(minimum)));
}

/* E4M3: the exponent and mantissa as those of a tiny f32, times 2^120. */
static inline __m512 e4m3(__m512i codes)
{
    __m512i size = _mm512_and_si512(codes, _mm512_set1_epi32(0x7F)),
            sign = _mm512_slli_epi32(_mm512_srli_epi32(codes, 7), 31);
    __m512 x = _mm512_mul_ps(_mm512_castsi512_ps(_mm512_slli_epi32(size, 20)), _mm512_set1_ps(0x1p120f));
    x = _mm512_or_ps(x, _mm512_castsi512_ps(sign));
    return _mm512_mask_mov_ps(x, _mm512_cmpeq_epi32_mask(size, _mm512_set1_epi32(0x7F)),
                              _mm512_set1_ps(__builtin_nanf("")));
}

/* What an unscaled code of 8 bits is worth. */
static inline __m512 byte_numbers(enum quant_type type, __m512i codes)
{
    if (type != QUANT_INT8) return e4m3(codes);
    return _mm512_cvtepi32_ps(_mm512_srai_epi32(_mm512_slli_epi32(codes, 24), 24));
}

struct group {
    __m512 table; /* the values of codes 0 .. 15 */
    float scale, minimum;
};

/* scale_at, for halves in one instruction. */
static inline __attribute__((always_inline)) float scale_of(enum scale_type type, const uint8_t *scales, size_t i)
{
    uint16_t half;
    if (type != SCALE_F16 && type != SCALE_BF16) return scale_at(type, scales, i);
    memcpy(&half, scales + 2 * i, sizeof half);
    return type == SCALE_F16 ? _cvtsh_ss(half) : bf16_to_float(half);
}

static inline __attribute__((always_inline)) struct group group_of(const struct quant_matrix *w,
                                                                   const struct lane_codes *l, size_t i)
{
    const struct quant_planes *p = &w->planes;
    const __m512 count = _mm512_setr_ps(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
    struct group g = {.scale = scale_of(p->scale_type, p->scales, i),
                      .minimum = p->mins ? scale_of(p->scale_type, p->mins, i) : 0};
    if (l->bits > 4) return g;
    if (w->type < QUANT_MXFP4)
        g.table = affine(p->scale_type, count, g.scale, g.minimum);
    else
        g.table = _mm512_mul_ps(_mm512_mul_ps(_mm512_loadu_ps(planes_table(w->type)), _mm512_set1_ps(g.scale)),
                                _mm512_set1_ps(p->factor));
    return g;
}

static inline __attribute__((always_inline)) __m512 values(const struct quant_matrix *w, const struct lane_codes *l,
                                                           const struct group *g, const uint8_t *p)
{
    __m512i codes = codes_at(l, p);
    if (l->bits <= 4) return _mm512_permutexvar_ps(codes, g->table);
    if (w->type < QUANT_MXFP4) return affine(w->planes.scale_type, _mm512_cvtepi32_ps(codes), g->scale, g->minimum);
    return _mm512_mul_ps(_mm512_mul_ps(byte_numbers(w->type, codes), _mm512_set1_ps(g->scale)),
                         _mm512_set1_ps(w->planes.factor));
}

static bool in_lanes(const struct quant_matrix *w, size_t col)
{
    return !w->planes.groups && w->planes.group % LANES == 0 && w->cols % LANES == 0 && col % LANES == 0;
}

/* Whole lanes of whole groups; what begins or ends within 16 columns is the scalar's. */
static void unpack(float *y, const struct quant_matrix *w, size_t row, size_t col, size_t n)
{
    size_t group = w->planes.group, flat = row * w->cols + col;
    if (!in_lanes(w, col)) {
        planes_dequantize(y, w, row, col, n);
        return;
    }
    const struct lane_codes *l = lanes_of(w->type);
    const uint8_t *p = w->data + row * w->row_bytes + col / LANES * lane_bytes(l);
    while (n >= LANES) {
        struct group g = group_of(w, l, flat / group);
        size_t left = (group - flat % group) / LANES, lanes = n / LANES < left ? n / LANES : left;
        for (size_t i = 0; i < lanes; i++, p += lane_bytes(l), y += LANES) _mm512_storeu_ps(y, values(w, l, &g, p));
        flat += lanes * LANES, col += lanes * LANES, n -= lanes * LANES;
    }
    if (n) planes_dequantize(y, w, row, col, n);
}

void unpack_planes_avx512(struct cpu_kernels *t)
{
    for (enum quant_type type = QUANT_PLANES; type < QUANT_TYPES; type++) t->unpack[type] = unpack;
}
