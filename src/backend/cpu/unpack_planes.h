/* unpack_planes.h — rows of the formats in planes (quant/planes.h) to f32, a vector at a time, with the scalar's bits;
 * the body of unpack_planes_avx2.c and unpack_planes_avx512.c.
 *
 * Codes of up to 4 bits have 16 values a group at most: they are computed once and looked up. */
#include "backend/cpu/families.h"
#include "quant/planes.h"

#include <immintrin.h>
#include <string.h>

#define ALWAYS_INLINE inline __attribute__((always_inline))

/* ---- vectors ---------------------------------------------------------------------------------------------------- */

#ifdef __AVX512F__
enum { LANES = 16 };
typedef __m512 vecf;
typedef __m512i veci;
#define V(op)   _mm512_##op
#define VSI(op) _mm512_##op##_si512
#define CAST_I  _mm512_castps_si512
#define CAST_F  _mm512_castsi512_ps

typedef __m512 table16;
static ALWAYS_INLINE table16 table_of(vecf first, vecf last)
{
    (void)last;
    return first;
}
static ALWAYS_INLINE vecf look_up(table16 t, veci codes, const int bits)
{
    (void)bits;
    return _mm512_permutexvar_ps(codes, t);
}
static ALWAYS_INLINE vecf replace_nan(vecf x, vecf maybe)
{
    return _mm512_mask_mov_ps(x, _mm512_cmp_ps_mask(maybe, maybe, _CMP_UNORD_Q), maybe);
}
static ALWAYS_INLINE vecf replace_equal(vecf x, veci a, veci b, vecf with)
{
    return _mm512_mask_mov_ps(x, _mm512_cmpeq_epi32_mask(a, b), with);
}

/* Numbers by their place in a list: up to 32 are kept in registers, which gathering is slow beside. */
struct list {
    const float *at;
    __m512 first, last;
    bool kept;
};
static ALWAYS_INLINE struct list list_of(const float *at, size_t n)
{
    struct list l = {.at = at, .kept = n <= 32};
    __mmask32 mask = n < 32 ? (1u << n) - 1 : 0xFFFFFFFF;
    if (!l.kept) return l;
    l.first = _mm512_maskz_loadu_ps((__mmask16)mask, at);
    l.last = _mm512_maskz_loadu_ps((__mmask16)(mask >> 16), at + 16);
    return l;
}
static ALWAYS_INLINE vecf listed_at(const struct list *l, veci place)
{
    return l->kept ? _mm512_permutex2var_ps(l->first, place, l->last) : _mm512_i32gather_ps(place, l->at, 4);
}
#else
enum { LANES = 8 };
typedef __m256 vecf;
typedef __m256i veci;
#define V(op)   _mm256_##op
#define VSI(op) _mm256_##op##_si256
#define CAST_I  _mm256_castps_si256
#define CAST_F  _mm256_castsi256_ps

typedef struct {
    __m256 first, last;
} table16;
static ALWAYS_INLINE table16 table_of(vecf first, vecf last)
{
    return (table16){first, last};
}
static ALWAYS_INLINE vecf look_up(table16 t, veci codes, const int bits)
{
    vecf low = _mm256_permutevar8x32_ps(t.first, codes);
    if (bits < 4) return low;
    return _mm256_blendv_ps(low, _mm256_permutevar8x32_ps(t.last, codes), CAST_F(_mm256_slli_epi32(codes, 28)));
}
static ALWAYS_INLINE vecf replace_nan(vecf x, vecf maybe)
{
    return _mm256_blendv_ps(x, maybe, _mm256_cmp_ps(maybe, maybe, _CMP_UNORD_Q));
}
static ALWAYS_INLINE vecf replace_equal(vecf x, veci a, veci b, vecf with)
{
    return _mm256_blendv_ps(x, with, CAST_F(_mm256_cmpeq_epi32(a, b)));
}

struct list {
    const float *at;
};
static ALWAYS_INLINE struct list list_of(const float *at, size_t n)
{
    (void)n;
    return (struct list){at};
}
static ALWAYS_INLINE vecf listed_at(const struct list *l, veci place)
{
    return _mm256_i32gather_ps(l->at, place, 4);
}
#endif

/* ---- codes ------------------------------------------------------------------------------------------------------ */

/* 8 codes of up to 8 bits, one after the other, or as nibbles the high one of a byte first. */
static ALWAYS_INLINE __m256i eight_codes(const int bits, const bool high_first, const uint8_t *p)
{
    const __m256i lane = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
    if (bits == 8) return _mm256_cvtepu8_epi32(_mm_loadl_epi64((const __m128i *)p));
    const __m256i wide = _mm256_mullo_epi32(lane, _mm256_set1_epi32(bits)); /* where a code begins */
    uint64_t x = 0;
    memcpy(&x, p, (size_t)bits);
    __m256i mask = _mm256_set1_epi32((1 << bits) - 1), words = _mm256_set1_epi32((int)(uint32_t)x), shift = wide;
    if (high_first) shift = _mm256_xor_si256(wide, _mm256_set1_epi32(4));
    if (bits > 4) {
        words = _mm256_set_m128i(_mm_set1_epi32((int)(uint32_t)(x >> 4 * bits)), _mm256_castsi256_si128(words));
        shift = _mm256_set_m128i(_mm256_castsi256_si128(wide), _mm256_castsi256_si128(wide));
    }
    return _mm256_and_si256(_mm256_srlv_epi32(words, shift), mask);
}

static ALWAYS_INLINE veci codes_at(const int bits, const bool high_first, const uint8_t *p)
{
#ifdef __AVX512F__
    if (bits == 8) return _mm512_cvtepu8_epi32(_mm_loadu_si128((const __m128i *)p));
    return _mm512_inserti64x4(_mm512_castsi256_si512(eight_codes(bits, high_first, p)),
                              eight_codes(bits, high_first, p + bits), 1);
#else
    return eight_codes(bits, high_first, p);
#endif
}

/* ---- values ----------------------------------------------------------------------------------------------------- */

static ALWAYS_INLINE vecf rounded(enum scale_type type, vecf x)
{
    const int nearest = _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC;
    if (type == SCALE_F16) return V(cvtph_ps)(V(cvtps_ph)(x, nearest));
    if (type != SCALE_BF16) return x;
    veci bits = CAST_I(x), odd = VSI(and)(V(srli_epi32)(bits, 16), V(set1_epi32)(1));
    veci up = V(add_epi32)(bits, V(add_epi32)(odd, V(set1_epi32)(0x7FFF)));
    return replace_nan(CAST_F(VSI(and)(up, V(set1_epi32)((int)0xFFFF0000))), x);
}

static ALWAYS_INLINE vecf affine(enum scale_type type, vecf codes, float scale, float minimum)
{
    vecf times = V(mul_ps)(codes, V(set1_ps)(scale));
    __asm__("" : "+v"(times)); /* so that the compiler fuses nothing */
    return rounded(type, V(add_ps)(rounded(type, times), V(set1_ps)(minimum)));
}

/* E4M3: the exponent and mantissa as those of a tiny f32, times 2^120. */
static ALWAYS_INLINE vecf e4m3(veci codes)
{
    const veci none = V(set1_epi32)(0x7F);
    veci size = VSI(and)(codes, none), sign = V(slli_epi32)(V(srli_epi32)(codes, 7), 31);
    vecf x = V(mul_ps)(CAST_F(V(slli_epi32)(size, 20)), V(set1_ps)(0x1p120f));
    return replace_equal(CAST_F(VSI(or)(CAST_I(x), sign)), size, none, V(set1_ps)(__builtin_nanf("")));
}

static ALWAYS_INLINE vecf byte_numbers(enum quant_type type, veci codes)
{
    if (type != QUANT_INT8) return e4m3(codes);
    return V(cvtepi32_ps)(V(srai_epi32)(V(slli_epi32)(codes, 24), 24));
}

struct group {
    table16 table; /* the values of codes 0 .. 15 */
    float scale, minimum;
};

/* scale_at, for halves in one instruction. */
static ALWAYS_INLINE float scale_of(enum scale_type type, const uint8_t *scales, size_t i)
{
    uint16_t half;
    if (type != SCALE_F16) return scale_at(type, scales, i);
    memcpy(&half, scales + 2 * i, sizeof half);
    return _cvtsh_ss(half);
}

static ALWAYS_INLINE int code_bits(enum quant_type type)
{
    return type < QUANT_MXFP4 ? planes_bits(type) : planes_nibbles(type) ? 4 : 8;
}

/* Numbers `from` on of the 16 that codes are worth under the group's scale. */
static ALWAYS_INLINE vecf worth(enum quant_type type, const struct quant_planes *p, const struct group *g, int from)
{
    static const float count[16] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
    if (type < QUANT_MXFP4) return affine(p->scale_type, V(loadu_ps)(count + from), g->scale, g->minimum);
    return V(mul_ps)(V(mul_ps)(V(loadu_ps)(planes_table(type) + from), V(set1_ps)(g->scale)), V(set1_ps)(p->factor));
}

static ALWAYS_INLINE struct group group_of(enum quant_type type, const struct quant_planes *p, size_t i)
{
    struct group g = {.scale = scale_of(p->scale_type, p->scales, i),
                      .minimum = p->mins ? scale_of(p->scale_type, p->mins, i) : 0};
    if (code_bits(type) <= 4) {
        vecf first = worth(type, p, &g, 0);
        g.table = table_of(first, LANES < 16 && code_bits(type) == 4 ? worth(type, p, &g, 8) : first);
    }
    return g;
}

static ALWAYS_INLINE vecf values(enum quant_type type, const struct quant_planes *p, const struct group *g,
                                 const uint8_t *from)
{
    const int bits = code_bits(type);
    veci codes = codes_at(bits, type == QUANT_NF4 || type == QUANT_FP4, from);
    if (bits <= 4) return look_up(g->table, codes, bits);
    if (type < QUANT_MXFP4) return affine(p->scale_type, V(cvtepi32_ps)(codes), g->scale, g->minimum);
    return V(mul_ps)(V(mul_ps)(byte_numbers(type, codes), V(set1_ps)(g->scale)), V(set1_ps)(p->factor));
}

/* ---- rows ------------------------------------------------------------------------------------------------------- */

static ALWAYS_INLINE bool in_lanes(const struct quant_matrix *w, size_t col)
{
    return !w->planes.groups && w->planes.group % LANES == 0 && w->cols % LANES == 0 && col % LANES == 0;
}

/* Columns that say which group each is of: affine codes with scales in f32, as GPTQ's become. */
static ALWAYS_INLINE bool listed(enum quant_type type, const struct quant_matrix *w, size_t col)
{
    return type < QUANT_MXFP4 && w->planes.groups && w->planes.scale_type == SCALE_F32 && w->planes.mins &&
           w->cols % LANES == 0 && col % LANES == 0;
}

static ALWAYS_INLINE size_t unpack_listed(enum quant_type type, float *y, const struct quant_matrix *w, size_t row,
                                          size_t col, size_t n)
{
    const size_t count = w->cols / w->planes.group, bytes = (size_t)code_bits(type) * LANES / 8;
    const struct list scales = list_of((const float *)(const void *)w->planes.scales + row * count, count);
    const struct list mins = list_of((const float *)(const void *)w->planes.mins + row * count, count);
    const uint8_t *p = w->data + row * w->row_bytes + col / LANES * bytes;
    size_t i = 0;
    for (; i + LANES <= n; i += LANES, p += bytes) {
        veci group = VSI(loadu)((const veci *)(const void *)(w->planes.groups + col + i));
        vecf times = V(mul_ps)(V(cvtepi32_ps)(codes_at(code_bits(type), false, p)), listed_at(&scales, group));
        __asm__("" : "+v"(times)); /* so that the compiler fuses nothing */
        V(storeu_ps)(y + i, V(add_ps)(times, listed_at(&mins, group)));
    }
    return i;
}

/* Whole vectors of whole groups; what begins or ends within one is the scalar's. */
static ALWAYS_INLINE void unpack(enum quant_type type, float *y, const struct quant_matrix *w, size_t row, size_t col,
                                 size_t n)
{
    const size_t group = w->planes.group, bytes = (size_t)code_bits(type) * LANES / 8;
    if (!in_lanes(w, col)) {
        size_t done = listed(type, w, col) ? unpack_listed(type, y, w, row, col, n) : 0;
        if (done < n) planes_dequantize(y + done, w, row, col + done, n - done);
        return;
    }
    const uint8_t *p = w->data + row * w->row_bytes + col / LANES * bytes;
    size_t flat = row * w->cols + col, i = flat / group, left = (group - flat % group) / LANES;
    for (; n >= LANES; i++, left = group / LANES) {
        const struct group g = group_of(type, &w->planes, i);
        for (; left && n >= LANES; left--, p += bytes, y += LANES, col += LANES, n -= LANES)
            V(storeu_ps)(y, values(type, &w->planes, &g, p));
    }
    if (n) planes_dequantize(y, w, row, col, n);
}

#define UNPACK(type)                                                                                                   \
    static void unpack_##type(float *y, const struct quant_matrix *w, size_t row, size_t col, size_t n)                \
    {                                                                                                                  \
        unpack(QUANT_##type, y, w, row, col, n);                                                                       \
    }
#define EACH(f)                                                                                                        \
    f(AFFINE2) f(AFFINE3) f(AFFINE4) f(AFFINE5) f(AFFINE6) f(AFFINE8) f(MXFP4) f(NVFP4) f(GRID1) f(GRID2) f(GRID3)     \
        f(GRID3_S) f(NF4) f(FP4) f(MXFP8) f(INT8) f(FP8)
EACH(UNPACK)

static void fill_unpack(struct cpu_kernels *t)
{
#define ENTRY(type) t->unpack[QUANT_##type] = unpack_##type;
    EACH(ENTRY)
}
