/* gemm_avx2.c — matrix products by panels of 16 columns in f32 with AVX2 and FMA.
 *
 * Owns: f32 panels of every format, the tile of 6 rows × 2 vectors (12 of the 16 registers; every product has its own
 * chain over d, so bits do not depend on how rows are grouped), rounding to bf16, the outer product. */
#include "backend/cpu/tile_groups.h"
#include "backend/cpu/unpack_k_avx2.h"

enum { COLS = 16, ROWS = 12, OUTER = 4, CHUNK = 128 };

/* ---- panels ------------------------------------------------------------------------------------------------ */

/* 8 rows (those past `rows` are zero) × n <= 8 columns at col become n rows of the panel, 8 wide. */
static ALWAYS_INLINE void pack_8x8(enum quant_type type, float *panel, const uint8_t *data, size_t row_bytes,
                                   size_t rows, size_t col, size_t n)
{
    __m256 r[8];
    for (size_t i = 0; i < 8; i++)
        r[i] = i < rows ? unpack8_at(type, data + i * row_bytes, col, n) : _mm256_setzero_ps();
    transpose8(r);
    for (size_t d = 0; d < 8 && d < n; d++) _mm256_storeu_ps(panel + d * COLS, r[d]);
}

static ALWAYS_INLINE void pack(enum quant_type type, float *panel, const struct quant_matrix *w, size_t row,
                               size_t rows, size_t col, size_t cols)
{
    for (size_t n = 0; n < COLS; n += 8)
        for (size_t d = 0; d < cols; d += 8)
            pack_8x8(type, panel + d * COLS + n, w->data + (row + n) * w->row_bytes, w->row_bytes,
                     rows > n ? rows - n : 0, col + d, cols - d < 8 ? cols - d : 8);
}

static ALWAYS_INLINE void pack_t(enum quant_type type, float *panel, const struct quant_matrix *w, size_t row,
                                 size_t rows, size_t col, size_t cols)
{
    for (size_t d = 0; d < rows; d++, panel += COLS)
        for (size_t n = 0; n < COLS; n += 8) {
            size_t count = cols <= n ? 0 : cols - n < 8 ? cols - n : 8;
            __m256 v = _mm256_setzero_ps();
            if (count) v = unpack8_at(type, w->data + (row + d) * w->row_bytes, col + n, count);
            _mm256_storeu_ps(panel + n, _mm256_and_ps(v, _mm256_castsi256_ps(first8(count))));
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

static ALWAYS_INLINE void store(float *y, __m256 sum, size_t cols, const struct tile *t)
{
    __m256 scale = _mm256_set1_ps(t->scale);
    __m256i keep = first8(cols);
    sum = t->accumulate ? _mm256_fmadd_ps(scale, sum, _mm256_maskload_ps(y, keep)) : _mm256_mul_ps(scale, sum);
    _mm256_maskstore_ps(y, keep, sum);
}

/* `rows` rows from row m, `vectors` vectors of columns: both constants after inlining. */
static ALWAYS_INLINE void tile_rows(const size_t rows, const size_t vectors, const struct tile *t, size_t m)
{
    const float *x = t->x + m * t->ldx, *panel = t->panel;
    __m256 sum[ROWS][2];
#pragma GCC unroll 16
    for (size_t r = 0; r < rows; r++)
#pragma GCC unroll 16
        for (size_t c = 0; c < vectors; c++) sum[r][c] = _mm256_setzero_ps();
    for (size_t d = 0; d < t->depth; d++, panel += COLS) {
        __m256 p[2];
#pragma GCC unroll 16
        for (size_t c = 0; c < vectors; c++) p[c] = _mm256_loadu_ps(panel + 8 * c);
#pragma GCC unroll 16
        for (size_t r = 0; r < rows; r++) {
            __m256 a = _mm256_broadcast_ss(x + r * t->ldx + d);
#pragma GCC unroll 16
            for (size_t c = 0; c < vectors; c++) sum[r][c] = _mm256_fmadd_ps(a, p[c], sum[r][c]);
        }
    }
#pragma GCC unroll 16
    for (size_t r = 0; r < rows; r++)
#pragma GCC unroll 16
        for (size_t c = 0; c < vectors; c++)
            if (8 * c < t->cols) store(t->y + (m + r) * t->ldy + 8 * c, sum[r][c], t->cols - 8 * c, t);
}

TILES_12(1)
TILES_6(2)

static void tile_f32(float *y, size_t ldy, const float *x, size_t ldx, const float *panel, size_t depth, size_t rows,
                     size_t cols, float scale, bool accumulate)
{
    const struct tile t = {y, ldy, x, ldx, panel, depth, cols, scale, accumulate};
    if (cols <= 8)
        tile_all_rows(&t, rows, tiles_1, 12);
    else
        tile_all_rows(&t, rows, tiles_2, 6);
}

/* ---- bf16, outer ------------------------------------------------------------------------------------------- */

/* float_to_bf16, 8 at once, each in the low half of 32 bits */
static ALWAYS_INLINE __m256i round_bf16(__m256i bits)
{
    const __m256i magnitude = _mm256_set1_epi32(0x7FFFFFFF), infinity = _mm256_set1_epi32(0x7F800000);
    __m256i nan = _mm256_cmpgt_epi32(_mm256_and_si256(bits, magnitude), infinity);
    __m256i odd = _mm256_and_si256(_mm256_srli_epi32(bits, 16), _mm256_set1_epi32(1));
    __m256i up = _mm256_add_epi32(bits, _mm256_add_epi32(odd, _mm256_set1_epi32(0x7FFF)));
    up = _mm256_blendv_epi8(up, _mm256_or_si256(bits, _mm256_set1_epi32(0x400000)), nan);
    return _mm256_srli_epi32(up, 16);
}

static void to_bf16(uint16_t *y, const float *x, size_t n)
{
    size_t i = 0;
    for (; i + 16 <= n; i += 16) {
        __m256i a = round_bf16(_mm256_loadu_si256((const __m256i *)(x + i)));
        __m256i b = round_bf16(_mm256_loadu_si256((const __m256i *)(x + i + 8)));
        _mm256_storeu_si256((__m256i *)(y + i), _mm256_permute4x64_epi64(_mm256_packus_epi32(a, b), 0xD8));
    }
    for (; i < n; i++) y[i] = float_to_bf16(x[i]);
}

/* dw (count, keep) += scale · dyᵀ x: one chain over the rows for each sum. */
static ALWAYS_INLINE void outer_block(const size_t count, float *dw, size_t lddw, const float *dy, size_t lddy,
                                      const float *x, size_t ldx, size_t rows, const __m256i keep[2], float scale)
{
    __m256 sum[OUTER][2];
    for (size_t n = 0; n < count; n++) sum[n][0] = sum[n][1] = _mm256_setzero_ps();
    for (size_t m = 0; m < rows; m++, dy += lddy, x += ldx) {
        __m256 v[2] = {_mm256_maskload_ps(x, keep[0]), _mm256_maskload_ps(x + 8, keep[1])};
        for (size_t n = 0; n < count; n++) {
            __m256 a = _mm256_broadcast_ss(dy + n);
            for (size_t c = 0; c < 2; c++) sum[n][c] = _mm256_fmadd_ps(a, v[c], sum[n][c]);
        }
    }
    for (size_t n = 0; n < count; n++)
        for (size_t c = 0; c < 2; c++) {
            float *out = dw + n * lddw + 8 * c;
            __m256 old = _mm256_maskload_ps(out, keep[c]);
            _mm256_maskstore_ps(out, keep[c], _mm256_fmadd_ps(_mm256_set1_ps(scale), sum[n][c], old));
        }
}

/* Rows in chunks, so that what one block leaves in the cache serves the next; always the same chunks. */
static void outer(float *dw, size_t lddw, const float *dy, size_t lddy, const float *x, size_t ldx, size_t rows,
                  size_t n_count, size_t k_count, float scale)
{
    for (; rows; dy += CHUNK * lddy, x += CHUNK * ldx, rows -= rows < CHUNK ? rows : CHUNK) {
        size_t count = rows < CHUNK ? rows : CHUNK;
        for (size_t k = 0; k < k_count; k += 16) {
            size_t width = k_count - k, n = 0;
            const __m256i keep[2] = {first8(width), first8(width < 8 ? 0 : width - 8)};
            for (; n + OUTER <= n_count; n += OUTER)
                outer_block(OUTER, dw + n * lddw + k, lddw, dy + n, lddy, x + k, ldx, count, keep, scale);
            for (; n < n_count; n++)
                outer_block(1, dw + n * lddw + k, lddw, dy + n, lddy, x + k, ldx, count, keep, scale);
        }
    }
}

void gemm_avx2(struct cpu_kernels *t)
{
    t->tile_cols = COLS;
    t->pack_f32 = pack_any;
    t->pack_f32_t = pack_t_any;
    t->tile_f32 = tile_f32;
    t->to_bf16 = to_bf16;
    t->outer = outer;
}
