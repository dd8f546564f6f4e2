/* gemm_avx512bf16.c — matrix products by panels of 64 columns in bf16 with AVX-512 BF16 (vdpbf16ps: two products an
 * element, sums in f32; subnormal factors count as zero).
 *
 * Owns: bf16 panels of every format, each value rounded once, the tile of 24 sums (6 rows × 4 vectors of
 * columns, 12 × 2, or 12 × 1), rounding of activations (subnormal ones become zero).
 * A panel row holds a pair of depths: panel[d/2][n][d%2]. */
#include "backend/cpu/tile_groups.h"
#include "backend/cpu/unpack_k_avx512.h"

enum { COLS = 64, ROWS = 12, PAIR = 2 * COLS };

/* ---- panels ------------------------------------------------------------------------------------------------ */

static ALWAYS_INLINE __m512i round_pair(const __m512 v[2])
{
    return (__m512i)_mm512_cvtne2ps_pbh(v[1], v[0]);
}

/* Block j of a super-block of Q4_K. */
static ALWAYS_INLINE __m512i unpack_bf16_q4_k(const uint8_t *super, size_t j)
{
    __m512i table = _mm512_castsi256_si512((__m256i)_mm512_cvtneps_pbh(table_q4_k(super, j)));
    __m512i codes = _mm512_cvtepu8_epi16(_mm256_and_si256(codes_k(QUANT_Q4_K, super, j), _mm256_set1_epi8(15)));
    return _mm512_permutexvar_epi16(codes, table);
}

/* The n (1..32) elements from column `col` on as bf16, followed by zeros. */
static ALWAYS_INLINE __m512i unpack_bf16(enum quant_type type, const struct quant_matrix *w, size_t row, size_t col,
                                         size_t n)
{
    if (type == QUANT_Q4_K) return unpack_bf16_q4_k(super_at(type, w, row, col), col % K_SUPER / BLOCK);
    if (type == QUANT_BF16) return _mm512_maskz_loadu_epi16(first32(n), weight_at(type, w, row, col));
    if (type == QUANT_Q4_0 || type == QUANT_Q4_1) { /* a lookup among 16 words takes the low four bits of its index */
        const uint8_t *p = weight_at(type, w, row, col);
        __m256i table = (__m256i)_mm512_cvtneps_pbh(table_q4(type, p));
        __m256i codes = _mm256_cvtepu8_epi16(_mm_loadu_si128((const __m128i *)codes_q4(type, p)));
        __m256i low = _mm256_permutexvar_epi16(codes, table);
        __m256i high = _mm256_permutexvar_epi16(_mm256_srli_epi16(codes, 4), table);
        return _mm512_inserti64x4(_mm512_castsi256_si512(low), high, 1);
    }
    __m512 v[2];
    unpack_at(type, w, row, col, n, v);
    return round_pair(v);
}

/* 16 rows (those past `rows` are zero) × n <= 32 columns at col become (n + 1) / 2 rows of the panel, 16 pairs wide. */
static ALWAYS_INLINE void pack_16x32(enum quant_type type, uint16_t *panel, const struct quant_matrix *w, size_t row,
                                     size_t rows, size_t col, size_t n)
{
    __m512i r[16];
    for (size_t i = 0; i < 16; i++) r[i] = i < rows ? unpack_bf16(type, w, row + i, col, n) : _mm512_setzero_si512();
    transpose16(r);
    for (size_t d = 0; d < 16 && 2 * d < n; d++) _mm512_storeu_si512(panel + d * PAIR, r[d]);
}

static ALWAYS_INLINE void pack(enum quant_type type, uint16_t *panel, const struct quant_matrix *w, size_t row,
                               size_t rows, size_t col, size_t cols)
{
    for (size_t n = 0; n < COLS; n += 16)
        for (size_t d = 0; d < cols; d += BLOCK)
            pack_16x32(type, panel + d * COLS + 2 * n, w, row + n, rows > n ? rows - n : 0, col + d,
                       cols - d < BLOCK ? cols - d : BLOCK);
}

static ALWAYS_INLINE void pack_t(enum quant_type type, uint16_t *panel, const struct quant_matrix *w, size_t row,
                                 size_t rows, size_t col, size_t cols)
{
    __m512i first, second; /* a0 b0 a1 b1 ... of the first and of the last 16 columns */
    short index[2][32];
    for (short i = 0; i < 32; i++) {
        index[0][i] = (short)(i / 2 + i % 2 * 32);
        index[1][i] = (short)(i / 2 + i % 2 * 32 + 16);
    }
    first = _mm512_loadu_si512(index[0]), second = _mm512_loadu_si512(index[1]);
    for (size_t d = 0; d < rows; d += 2, panel += PAIR)
        for (size_t n = 0; n < COLS; n += BLOCK) {
            __m512i a = _mm512_setzero_si512(), b = a;
            size_t count = cols <= n ? 0 : cols - n < BLOCK ? cols - n : BLOCK;
            if (count) a = unpack_bf16(type, w, row + d, col + n, count);
            if (count && d + 1 < rows) b = unpack_bf16(type, w, row + d + 1, col + n, count);
            if (count < BLOCK) {
                a = _mm512_maskz_mov_epi16(first32(count), a);
                b = _mm512_maskz_mov_epi16(first32(count), b);
            }
            _mm512_storeu_si512(panel + 2 * n, _mm512_permutex2var_epi16(a, first, b));
            _mm512_storeu_si512(panel + 2 * n + 32, _mm512_permutex2var_epi16(a, second, b));
        }
}

#define PACKER(name, body, type)                                                                                       \
    static void name(uint16_t *panel, const struct quant_matrix *w, size_t row, size_t rows, size_t col, size_t cols)  \
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
    static void name##_any(uint16_t *panel, const struct quant_matrix *w, size_t row, size_t rows, size_t col,         \
                           size_t cols)                                                                                \
    {                                                                                                                  \
        static void (*const by_type[QUANT_TYPES])(uint16_t *, const struct quant_matrix *, size_t, size_t, size_t,     \
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
    const uint16_t *x; /* (rows, pairs, 2) */
    size_t ldx;
    const uint16_t *panel; /* (pairs, COLS, 2) */
    size_t pairs, cols;
    float scale;
    bool accumulate;
};

static ALWAYS_INLINE void store(float *y, __m512 sum, __mmask16 keep, const struct tile *t)
{
    __m512 scale = _mm512_set1_ps(t->scale);
    sum = t->accumulate ? _mm512_fmadd_ps(scale, sum, _mm512_maskz_loadu_ps(keep, y)) : _mm512_mul_ps(scale, sum);
    _mm512_mask_storeu_ps(y, keep, sum);
}

static ALWAYS_INLINE __m512bh broadcast_pair(const uint16_t *x)
{
    int pair;
    memcpy(&pair, x, sizeof pair);
    return (__m512bh)_mm512_set1_epi32(pair);
}

/* `rows` rows from row m, `vectors` vectors of columns: both constants after inlining. */
static ALWAYS_INLINE void tile_rows(const size_t rows, const size_t vectors, const struct tile *t, size_t m)
{
    const uint16_t *x = t->x + m * t->ldx, *panel = t->panel;
    __m512 sum[ROWS][4];
#pragma GCC unroll 16
    for (size_t r = 0; r < rows; r++)
#pragma GCC unroll 16
        for (size_t c = 0; c < vectors; c++) sum[r][c] = _mm512_setzero_ps();
    for (size_t d = 0; d < t->pairs; d++, panel += PAIR) {
        __m512bh p[4];
#pragma GCC unroll 16
        for (size_t c = 0; c < vectors; c++) p[c] = (__m512bh)_mm512_loadu_si512(panel + 32 * c);
#pragma GCC unroll 16
        for (size_t r = 0; r < rows; r++) {
            __m512bh a = broadcast_pair(x + r * t->ldx + 2 * d);
#pragma GCC unroll 16
            for (size_t c = 0; c < vectors; c++) sum[r][c] = _mm512_dpbf16_ps(sum[r][c], a, p[c]);
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

static void tile_bf16(float *y, size_t ldy, const uint16_t *x, size_t ldx, const uint16_t *panel, size_t depth,
                      size_t rows, size_t cols, float scale, bool accumulate)
{
    const struct tile t = {y, ldy, x, ldx, panel, (depth + 1) / 2, cols, scale, accumulate};
    if (cols <= 16)
        tile_all_rows(&t, rows, tiles_1, 12);
    else if (cols <= 32)
        tile_all_rows(&t, rows, tiles_2, 12);
    else
        tile_all_rows(&t, rows, tiles_4, 6);
}

static void to_bf16(uint16_t *y, const float *x, size_t n)
{
    for (; n >= 32; y += 32, x += 32, n -= 32) {
        const __m512 v[2] = {_mm512_loadu_ps(x), _mm512_loadu_ps(x + 16)};
        _mm512_storeu_si512(y, round_pair(v));
    }
    const __m512 v[2] = {_mm512_maskz_loadu_ps(first16(n), x),
                         _mm512_maskz_loadu_ps(first16(n < 16 ? 0 : n - 16), x + 16)};
    _mm512_mask_storeu_epi16(y, first32(n), round_pair(v));
}

void gemm_avx512bf16(struct cpu_kernels *t)
{
    t->pack_bf16 = pack_any;
    t->pack_bf16_t = pack_t_any;
    t->tile_bf16 = tile_bf16;
    t->to_bf16 = to_bf16;
}
