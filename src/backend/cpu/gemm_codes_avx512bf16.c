/* gemm_codes_avx512bf16.c — panels in bf16 of formats without other bf16 kernels: FP8, mxfp8, Q2_K, and nibbles that
 * are numbers of a table. A panel has the bits that unpacking to f32 and rounding gives.
 *
 * 16 rows are walked side by side, 32 columns at a time. A code's value is looked up among 32 words of bf16, which a
 * group's scale makes anew; E4M3 has too many values and goes through f16. */
#include "backend/cpu/families.h"
#include "backend/cpu/prefetch.h"
#include "backend/cpu/unpack_avx512.h"
#include "quant/planes.h"

enum { COLS = 64, PAIR = 2 * COLS, HIGH = 16, SUPER = 256, NEAR = 128 };

/* A row on the way. */
struct coded {
    const uint8_t *codes; /* Q2_K: the super-block */
    size_t group, left;   /* columns left in it; planes alone */
    float scale;
    __m512i table[2]; /* Q2_K: of four blocks each; nibbles: [0], of columns 0 .. 15, then of 16 .. 31 */
};

static ALWAYS_INLINE bool is_e4m3(enum quant_type type)
{
    return type == QUANT_FP8 || type == QUANT_MXFP8;
}

static ALWAYS_INLINE __m512i round_two(__m512 first, __m512 last)
{
    return (__m512i)_mm512_cvtne2ps_pbh(last, first);
}

/* ---- E4M3 ------------------------------------------------------------------------------------------------------ */

/* Shifted, the bits are an f16 of a 256th of the number. */
static ALWAYS_INLINE __m512i values_e4m3(const uint8_t *codes, float scale, float factor)
{
    const __m512i sign = _mm512_set1_epi16((short)0x8000), size = _mm512_set1_epi16(0x3F80);
    const __m256i bytes = _mm256_loadu_si256((const __m256i *)codes), none = _mm256_set1_epi8(0x7F);
    const __m512 unit = _mm512_set1_ps(256), s = _mm512_set1_ps(scale), f = _mm512_set1_ps(factor);
    __m512i x = _mm512_cvtepu8_epi16(bytes);
    x = _mm512_or_si512(_mm512_and_si512(_mm512_slli_epi16(x, 8), sign),
                        _mm512_and_si512(_mm512_slli_epi16(x, 7), size));
    __m512 low = _mm512_mul_ps(_mm512_cvtph_ps(_mm512_castsi512_si256(x)), unit);
    __m512 high = _mm512_mul_ps(_mm512_cvtph_ps(_mm512_extracti64x4_epi64(x, 1)), unit);
    x = round_two(_mm512_mul_ps(_mm512_mul_ps(low, s), f), _mm512_mul_ps(_mm512_mul_ps(high, s), f));
    __mmask32 nan = _mm256_cmpeq_epi8_mask(_mm256_and_si256(bytes, none), none);
    return _mm512_mask_mov_epi16(x, nan, _mm512_set1_epi16(0x7FC0));
}

/* ---- nibbles --------------------------------------------------------------------------------------------------- */

static ALWAYS_INLINE __m512i table_of(enum quant_type type, const struct quant_planes *p, size_t group)
{
    const __m512 table = _mm512_loadu_ps(planes_table(type)), factor = _mm512_set1_ps(p->factor);
    __m512 half[2];
    for (size_t i = 0; i < 2; i++) {
        float scale = scale_at(p->scale_type, p->scales, group + (planes_halves(type) ? i : 0));
        half[i] = _mm512_mul_ps(_mm512_mul_ps(table, _mm512_set1_ps(scale)), factor);
    }
    return round_two(half[0], half[1]);
}

static ALWAYS_INLINE __m512i values_nibbles(enum quant_type type, const uint8_t *codes, __m512i table)
{
    const bool high_first = type == QUANT_NF4 || type == QUANT_FP4;
    const __m512i half = _mm512_inserti64x4(_mm512_setzero_si512(), _mm256_set1_epi16(16), 1);
    __m512i x = _mm512_cvtepu8_epi32(_mm_loadu_si128((const __m128i *)codes));
    x = high_first ? _mm512_or_si512(_mm512_srli_epi32(x, 4), _mm512_slli_epi32(x, 16))
                   : _mm512_or_si512(x, _mm512_slli_epi32(x, 12));
    x = _mm512_ternarylogic_epi32(x, _mm512_set1_epi16(15), half, 0xEA); /* (x & 15) | half */
    return _mm512_permutexvar_epi16(x, table);
}

/* ---- Q2_K ------------------------------------------------------------------------------------------------------ */

/* The values of codes 0 .. 3 in each half of the super-block's blocks. */
static ALWAYS_INLINE void tables_q2_k(__m512i table[2], const uint8_t *super)
{
    const __m512 codes = _mm512_setr_ps(0, 1, 2, 3, 0, 1, 2, 3, 0, 1, 2, 3, 0, 1, 2, 3);
    const __m512i part = _mm512_setr_epi32(0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3);
    const __m512i both = _mm512_cvtepu8_epi32(_mm_loadu_si128((const __m128i *)super));
    const __m512i low = _mm512_and_si512(both, _mm512_set1_epi32(15)), high = _mm512_srli_epi32(both, 4);
    const __m512 d = _mm512_mul_ps(_mm512_cvtepi32_ps(low), broadcast_half(super + 80));
    const __m512 m = _mm512_mul_ps(_mm512_cvtepi32_ps(high), broadcast_half(super + 82));
    __m512 four[4];
    for (int i = 0; i < 4; i++) {
        const __m512i at = _mm512_add_epi32(part, _mm512_set1_epi32(4 * i));
        four[i] = _mm512_fmsub_ps(codes, _mm512_permutexvar_ps(at, d), _mm512_permutexvar_ps(at, m));
    }
    table[0] = round_two(four[0], four[1]), table[1] = round_two(four[2], four[3]);
}

/* Block j. */
static ALWAYS_INLINE __m512i values_q2_k(const struct coded *r, size_t j)
{
    const __m512i half = _mm512_inserti64x4(_mm512_setzero_si512(), _mm256_set1_epi16(4), 1);
    const __m256i bytes = _mm256_loadu_si256((const __m256i *)(r->codes + 16 + j / 4 * 32));
    __m512i x = _mm512_srl_epi16(_mm512_cvtepu8_epi16(bytes), _mm_cvtsi32_si128((int)(j % 4 * 2)));
    const __m512i place = _mm512_add_epi16(half, _mm512_set1_epi16((short)(j % 4 * 8)));
    x = _mm512_ternarylogic_epi32(x, _mm512_set1_epi16(3), place, 0xEA); /* (x & 3) | place */
    return _mm512_permutexvar_epi16(x, r->table[j / 4]);
}

/* ---- panels ---------------------------------------------------------------------------------------------------- */

static ALWAYS_INLINE size_t bytes_of(enum quant_type type, size_t cols)
{
    return type == QUANT_Q2_K ? cols / SUPER * 84 : is_e4m3(type) ? cols : cols / 2;
}

static ALWAYS_INLINE void begin_group(enum quant_type type, struct coded *r, const struct quant_planes *p)
{
    if (type == QUANT_Q2_K)
        tables_q2_k(r->table, r->codes);
    else if (is_e4m3(type))
        r->scale = scale_at(p->scale_type, p->scales, r->group);
    else
        r->table[0] = table_of(type, p, r->group);
}

/* Columns that share a table or a scale. */
static ALWAYS_INLINE size_t span_of(enum quant_type type, const struct quant_planes *p)
{
    return planes_halves(type) ? 2 * p->group : p->group;
}

static ALWAYS_INLINE void begin_row(enum quant_type type, struct coded *r, const struct quant_matrix *w, size_t row,
                                    size_t col)
{
    r->codes = w->data + row * w->row_bytes + bytes_of(type, col);
    if (type >= QUANT_PLANES) {
        size_t flat = row * w->cols + col, span = span_of(type, &w->planes);
        r->group = flat / w->planes.group, r->left = span - flat % span;
    }
    begin_group(type, r, &w->planes);
}

/* 32 columns from `col` on; moves the row on. */
static ALWAYS_INLINE __m512i next_values(enum quant_type type, struct coded *r, const struct quant_matrix *w,
                                         size_t col)
{
    __m512i x;
    if (type == QUANT_Q2_K) {
        if (col % SUPER == 0) begin_group(type, r, &w->planes);
        x = values_q2_k(r, col % SUPER / BLOCK);
        if (col % SUPER == SUPER - BLOCK) r->codes += bytes_of(type, SUPER);
        return x;
    }
    if (!r->left) {
        r->left = span_of(type, &w->planes), r->group += r->left / w->planes.group;
        begin_group(type, r, &w->planes);
    }
    if (is_e4m3(type))
        x = values_e4m3(r->codes, r->scale, w->planes.factor);
    else
        x = values_nibbles(type, r->codes, r->table[0]);
    r->codes += bytes_of(type, BLOCK), r->left -= BLOCK;
    return x;
}

/* What a product takes next, 256 columns on, is asked for; and what comes next here, into the first-level cache. */
static ALWAYS_INLINE void pack(enum quant_type type, uint16_t *panel, const struct quant_matrix *w, size_t row,
                               size_t rows, size_t col, size_t cols)
{
    for (size_t n = 0; n < COLS; n += HIGH) {
        struct coded r[HIGH];
        const size_t count = rows < n ? 0 : rows - n < HIGH ? rows - n : HIGH;
        for (size_t i = 0; i < count; i++) begin_row(type, r + i, w, row + n + i, col);
        for (size_t d = 0; d < cols; d += BLOCK) {
            __m512i v[HIGH];
            for (size_t i = 0; i < count; i++) {
                prefetch((uintptr_t)r[i].codes + bytes_of(type, SUPER), 1);
                prefetch_near((uintptr_t)r[i].codes + NEAR, 1);
                v[i] = next_values(type, r + i, w, col + d);
            }
            for (size_t i = count; i < HIGH; i++) v[i] = _mm512_setzero_si512();
            transpose16(v);
            for (size_t k = 0; k < HIGH; k++) _mm512_storeu_si512(panel + d * COLS + k * PAIR + 2 * n, v[k]);
        }
    }
}

#define EACH(f) f(Q2_K) f(MXFP4) f(NVFP4) f(GRID1) f(GRID2) f(GRID3) f(GRID3_S) f(NF4) f(FP4) f(MXFP8) f(FP8)
#define PACKER(type)                                                                                                   \
    static void pack_##type(uint16_t *panel, const struct quant_matrix *w, size_t row, size_t rows, size_t col,        \
                            size_t cols)                                                                               \
    {                                                                                                                  \
        pack(QUANT_##type, panel, w, row, rows, col, cols);                                                            \
    }
EACH(PACKER)

void gemm_codes_avx512bf16(struct cpu_kernels *t)
{
#define ENTRY(type) t->pack_bf16_of[QUANT_##type] = pack_##type;
    EACH(ENTRY)
}
