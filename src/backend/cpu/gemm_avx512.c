/* gemm_avx512.c — matrix products by panels of 64 columns in f32 with AVX-512.
 *
 * Owns: f32 panels of every format, the tile of 6 rows × 4 vectors (24 of the 32 registers; every product has its own
 * chain over d, so bits do not depend on how rows are grouped), rounding to bf16, the outer product. */
#include "backend/cpu/tile_groups.h"
#include "backend/cpu/unpack_k_avx512.h"

enum { COLS = 64, ROWS = 12, CHUNK = 128 };

/* ---- panels ------------------------------------------------------------------------------------------------ */

/* 16 rows (those past `rows` are zero) × n <= 32 columns at col become n rows of the panel, 16 wide. */
static ALWAYS_INLINE void pack_16x32(enum quant_type type, float *panel, const struct quant_matrix *w, size_t row,
                                     size_t rows, size_t col, size_t n)
{
    __m512 v[16][2];
    for (size_t i = 0; i < 16; i++) {
        v[i][0] = v[i][1] = _mm512_setzero_ps();
        if (i < rows) unpack_at(type, w, row + i, col, n, v[i]);
    }
    for (size_t half = 0; half < 2; half++) {
        __m512i r[16];
        for (int i = 0; i < 16; i++) r[i] = _mm512_castps_si512(v[i][half]);
        transpose16(r);
        for (size_t d = 0; d < 16 && half * 16 + d < n; d++) _mm512_storeu_si512(panel + (half * 16 + d) * COLS, r[d]);
    }
}

static ALWAYS_INLINE void pack(enum quant_type type, float *panel, const struct quant_matrix *w, size_t row,
                               size_t rows, size_t col, size_t cols)
{
    for (size_t n = 0; n < COLS; n += 16)
        for (size_t d = 0; d < cols; d += BLOCK)
            pack_16x32(type, panel + d * COLS + n, w, row + n, rows > n ? rows - n : 0, col + d,
                       cols - d < BLOCK ? cols - d : BLOCK);
}

static ALWAYS_INLINE void pack_t(enum quant_type type, float *panel, const struct quant_matrix *w, size_t row,
                                 size_t rows, size_t col, size_t cols)
{
    for (size_t d = 0; d < rows; d++, panel += COLS)
        for (size_t n = 0; n < COLS; n += BLOCK) {
            __m512 v[2] = {_mm512_setzero_ps(), _mm512_setzero_ps()};
            size_t count = cols <= n ? 0 : cols - n < BLOCK ? cols - n : BLOCK;
            if (count) unpack_at(type, w, row + d, col + n, count, v);
            _mm512_storeu_ps(panel + n, count < BLOCK ? _mm512_maskz_mov_ps(first16(count), v[0]) : v[0]);
            _mm512_storeu_ps(panel + n + 16,
                             count < BLOCK ? _mm512_maskz_mov_ps(first16(count < 16 ? 0 : count - 16), v[1]) : v[1]);
        }
}

#define PACKER(name, body, type)                                                                                       \
    static void name(float *panel, const struct quant_matrix *w, size_t row, size_t rows, size_t col, size_t cols)     \
    {                                                                                                                  \
        body(type, panel, w, row, rows, col, cols);                                                                    \
    }
#define PACKERS(name, body)                                                                                            \
    PACKER(name##_f32, body, QUANT_F32)                                                                                \
    PACKER(name##_f16, body, QUANT_F16)                                                                                \
    PACKER(name##_bf16, body, QUANT_BF16)                                                                              \
    PACKER(name##_q4_0, body, QUANT_Q4_0)                                                                              \
    PACKER(name##_q4_1, body, QUANT_Q4_1)                                                                              \
    PACKER(name##_q8_0, body, QUANT_Q8_0)                                                                              \
    PACKER(name##_q4_k, body, QUANT_Q4_K)                                                                              \
    PACKER(name##_q5_k, body, QUANT_Q5_K)                                                                              \
    PACKER(name##_q6_k, body, QUANT_Q6_K)                                                                              \
    static void name##_any(float *panel, const struct quant_matrix *w, size_t row, size_t rows, size_t col,            \
                           size_t cols)                                                                                \
    {                                                                                                                  \
        static void (*const by_type[QUANT_TYPES])(float *, const struct quant_matrix *, size_t, size_t, size_t,        \
                                                  size_t) = {name##_f32,  name##_f16,  name##_bf16,                    \
                                                             name##_q4_0, name##_q4_1, name##_q8_0,                    \
                                                             name##_q4_k, name##_q5_k, name##_q6_k};                   \
        by_type[w->type](panel, w, row, rows, col, cols);                                                              \
    }
PACKERS(pack, pack)
PACKERS(pack_t, pack_t)

/* ---- tile -------------------------------------------------------------------------------------------------- */

struct tile {
    float *y; /* (rows, cols) */
    size_t ldy;
    const float *x; /* (rows, depth) */
    size_t ldx;
    const float *panel; /* (depth, COLS) */
    size_t depth, cols;
    float scale;
    bool accumulate;
};

static ALWAYS_INLINE void store(float *y, __m512 sum, __mmask16 keep, const struct tile *t)
{
    __m512 scale = _mm512_set1_ps(t->scale);
    sum = t->accumulate ? _mm512_fmadd_ps(scale, sum, _mm512_maskz_loadu_ps(keep, y)) : _mm512_mul_ps(scale, sum);
    _mm512_mask_storeu_ps(y, keep, sum);
}

/* `rows` rows from row m, `vectors` vectors of columns: both constants after inlining. */
static ALWAYS_INLINE void tile_rows(const size_t rows, const size_t vectors, const struct tile *t, size_t m)
{
    const float *x = t->x + m * t->ldx, *panel = t->panel;
    __m512 sum[ROWS][4];
#pragma GCC unroll 16
    for (size_t r = 0; r < rows; r++)
#pragma GCC unroll 16
        for (size_t c = 0; c < vectors; c++) sum[r][c] = _mm512_setzero_ps();
    for (size_t d = 0; d < t->depth; d++, panel += COLS) {
        __m512 p[4];
#pragma GCC unroll 16
        for (size_t c = 0; c < vectors; c++) p[c] = _mm512_loadu_ps(panel + 16 * c);
#pragma GCC unroll 16
        for (size_t r = 0; r < rows; r++) {
            __m512 a = _mm512_set1_ps(x[r * t->ldx + d]);
#pragma GCC unroll 16
            for (size_t c = 0; c < vectors; c++) sum[r][c] = _mm512_fmadd_ps(a, p[c], sum[r][c]);
        }
    }
#pragma GCC unroll 16
    for (size_t r = 0; r < rows; r++)
#pragma GCC unroll 16
        for (size_t c = 0; c < vectors; c++)
            if (16 * c < t->cols) store(t->y + (m + r) * t->ldy + 16 * c, sum[r][c], first16(t->cols - 16 * c), t);
}

TILES_12(1)
TILES_12(2)
TILES_6(4)

static void tile_f32(float *y, size_t ldy, const float *x, size_t ldx, const float *panel, size_t depth, size_t rows,
                     size_t cols, float scale, bool accumulate)
{
    const struct tile t = {y, ldy, x, ldx, panel, depth, cols, scale, accumulate};
    if (cols <= 16)
        tile_all_rows(&t, rows, tiles_1, 12);
    else if (cols <= 32)
        tile_all_rows(&t, rows, tiles_2, 12);
    else
        tile_all_rows(&t, rows, tiles_4, 6);
}

/* ---- bf16, outer ------------------------------------------------------------------------------------------- */

/* float_to_bf16, 16 at once */
static ALWAYS_INLINE __m256i round_bf16(__m512i bits)
{
    const __m512i magnitude = _mm512_set1_epi32(0x7FFFFFFF), infinity = _mm512_set1_epi32(0x7F800000);
    __mmask16 nan = _mm512_cmpgt_epi32_mask(_mm512_and_si512(bits, magnitude), infinity);
    __m512i odd = _mm512_and_si512(_mm512_srli_epi32(bits, 16), _mm512_set1_epi32(1));
    __m512i up = _mm512_add_epi32(bits, _mm512_add_epi32(odd, _mm512_set1_epi32(0x7FFF)));
    up = _mm512_mask_or_epi32(up, nan, bits, _mm512_set1_epi32(0x400000));
    return _mm512_cvtepi32_epi16(_mm512_srli_epi32(up, 16));
}

static void to_bf16(uint16_t *y, const float *x, size_t n)
{
    for (size_t i = 0; i < n; i += 16) {
        __mmask16 keep = first16(n - i);
        _mm256_mask_storeu_epi16(y + i, keep, round_bf16(_mm512_maskz_loadu_epi32(keep, x + i)));
    }
}

/* dw (count, keep) += scale · dyᵀ x: one chain over the rows for each sum. */
static ALWAYS_INLINE void outer_block(const size_t count, const size_t vectors, float *dw, size_t lddw, const float *dy,
                                      size_t lddy, const float *x, size_t ldx, size_t rows, const __mmask16 keep[2],
                                      float scale)
{
    __m512 sum[8][2];
    for (size_t n = 0; n < count; n++)
        for (size_t c = 0; c < vectors; c++) sum[n][c] = _mm512_setzero_ps();
    for (size_t m = 0; m < rows; m++, dy += lddy, x += ldx) {
        __m512 v[2];
        for (size_t c = 0; c < vectors; c++) {
            v[c] = _mm512_maskz_loadu_ps(keep[c], x + 16 * c);
            _mm_prefetch((const char *)x + 128 + 64 * c, _MM_HINT_T1); /* the next block's: rows may lie pages apart */
        }
        for (size_t n = 0; n < count; n++) {
            __m512 a = _mm512_set1_ps(dy[n]);
            for (size_t c = 0; c < vectors; c++) sum[n][c] = _mm512_fmadd_ps(a, v[c], sum[n][c]);
        }
    }
    for (size_t n = 0; n < count; n++)
        for (size_t c = 0; c < vectors; c++) {
            float *out = dw + n * lddw + 16 * c;
            __m512 old = _mm512_maskz_loadu_ps(keep[c], out);
            _mm512_mask_storeu_ps(out, keep[c], _mm512_fmadd_ps(_mm512_set1_ps(scale), sum[n][c], old));
        }
}

/* Rows in chunks, so that what one block leaves in the cache serves the next; always the same chunks. */
static void outer(float *dw, size_t lddw, const float *dy, size_t lddy, const float *x, size_t ldx, size_t rows,
                  size_t n_count, size_t k_count, float scale)
{
    for (; rows; dy += CHUNK * lddy, x += CHUNK * ldx, rows -= rows < CHUNK ? rows : CHUNK) {
        size_t count = rows < CHUNK ? rows : CHUNK;
        for (size_t k = 0; k < k_count; k += 32) {
            size_t width = k_count - k, n = 0;
            const __mmask16 keep[2] = {first16(width), first16(width < 16 ? 0 : width - 16)};
            for (; n + 8 <= n_count; n += 8)
                if (width > 16)
                    outer_block(8, 2, dw + n * lddw + k, lddw, dy + n, lddy, x + k, ldx, count, keep, scale);
                else
                    outer_block(8, 1, dw + n * lddw + k, lddw, dy + n, lddy, x + k, ldx, count, keep, scale);
            for (; n < n_count; n++)
                outer_block(1, 2, dw + n * lddw + k, lddw, dy + n, lddy, x + k, ldx, count, keep, scale);
        }
    }
}

void gemm_avx512(struct cpu_kernels *t)
{
    t->tile_cols = COLS;
    t->pack_f32 = pack_any;
    t->pack_f32_t = pack_t_any;
    t->tile_f32 = tile_f32;
    t->to_bf16 = to_bf16;
    t->outer = outer;
}
