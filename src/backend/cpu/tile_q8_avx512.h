/* tile_q8_avx512.h — panels of codes times many rows of int8 activations with AVX-512 VNNI; the body of
 * gemm_q8_avx512.c and gemm_q8_k_avx512.c.
 *
 * Owns: the shape of a panel, 64 columns wide; the tile of 3 rows × 4 vectors of columns (12 integer sums of a block,
 * 12 sums in f32), or 6 × 2. A vpdpbusd takes four depths of 16 columns and four activations of one row. Depth is taken
 * in chunks whose panel stays in the first-level cache.
 * A file defines PARTS first: 1, or 2 where each half of a block has a scale and an integer sum of its own; and
 * HALF_MINS, 0, or 1 where each half has a minimum, an integer times a scale: the second numbers of a record are then
 * these scales, and pairs of integers of 16 bits follow them. */
#include "backend/cpu/tile_groups.h"
#include "backend/cpu/unpack_avx512.h"

enum { COLS = 64, RECORD = COLS * (BLOCK + 4 + 4 + 4 * HALF_MINS), CHUNK = 8 };

#include "backend/cpu/tile_q8.h"

static ALWAYS_INLINE void store(float *y, __m512 sum, __mmask16 keep, const struct tile *t)
{
    __m512 scale = _mm512_set1_ps(t->scale);
    sum = t->accumulate ? _mm512_fmadd_ps(scale, sum, _mm512_maskz_loadu_ps(keep, y)) : _mm512_mul_ps(scale, sum);
    _mm512_mask_storeu_ps(y, keep, sum);
}

static ALWAYS_INLINE __m512i broadcast_word(const void *p)
{
    int word;
    memcpy(&word, p, sizeof word);
    return _mm512_set1_epi32(word);
}

/* What Σ q of the two halves of a block is multiplied with for part p. */
static ALWAYS_INLINE __m512i minus_zero(int zero, const size_t p)
{
    uint32_t minus = (uint16_t)-zero;
    return _mm512_set1_epi32((int)(PARTS == 1 ? minus << 16 | minus : minus << 16 * p));
}

/* A part's integer sum scaled, and what minimums of halves add to it. */
static ALWAYS_INLINE __m512 scaled(__m512i dot, const float *scales, __m512i halves)
{
    __m512 sum = _mm512_mul_ps(_mm512_cvtepi32_ps(dot), _mm512_load_ps(scales));
    if (!HALF_MINS) return sum;
    __m512i mins = _mm512_madd_epi16(halves, _mm512_load_si512(scales + 2 * COLS));
    return _mm512_fmadd_ps(_mm512_cvtepi32_ps(mins), _mm512_load_ps(scales + COLS), sum);
}

/* `rows` rows from row m, `vectors` vectors of columns: both constants after inlining. */
static ALWAYS_INLINE void tile_rows(const size_t rows, const size_t vectors, const struct tile *t, size_t m)
{
    const struct cpu_q8_rows x = cpu_q8_rows_at(t->x, m, 0);
    const uint8_t *record = t->panel;
    const __m512i zero[2] = {minus_zero(t->zero, 0), minus_zero(t->zero, PARTS - 1)};
    __m512 sum[6][4];
#pragma GCC unroll 16
    for (size_t r = 0; r < rows; r++)
#pragma GCC unroll 16
        for (size_t c = 0; c < vectors; c++) sum[r][c] = _mm512_setzero_ps();
    for (size_t b = 0; b < t->blocks; b++, record += RECORD) {
        const float *scales = (const float *)(const void *)(record + COLS * BLOCK), *mins = scales + COLS;
#pragma GCC unroll 2
        for (size_t p = 0; p < PARTS; p++) {
            __m512i dot[6][4];
#pragma GCC unroll 16
            for (size_t r = 0; r < rows; r++) {
                __m512i start = _mm512_madd_epi16(broadcast_word(x.halves + 2 * (r * x.ldd + b)), zero[p]);
#pragma GCC unroll 16
                for (size_t c = 0; c < vectors; c++) dot[r][c] = start;
            }
#pragma GCC unroll 16
            for (size_t j = p * 4; j < (p + 1) * BLOCK / 4 / PARTS; j++) {
                __m512i codes[4];
#pragma GCC unroll 16
                for (size_t c = 0; c < vectors; c++) codes[c] = _mm512_load_si512(record + 4 * (j * COLS + 16 * c));
#pragma GCC unroll 16
                for (size_t r = 0; r < rows; r++) {
                    __m512i q = broadcast_word(x.q + r * x.ldq + b * BLOCK + 4 * j);
#pragma GCC unroll 16
                    for (size_t c = 0; c < vectors; c++) dot[r][c] = _mm512_dpbusd_epi32(dot[r][c], codes[c], q);
                }
            }
#pragma GCC unroll 16
            for (size_t r = 0; r < rows; r++) {
                __m512 d = _mm512_set1_ps(x.d[r * x.ldd + b]);
                __m512i halves = broadcast_word(x.halves + 2 * (r * x.ldd + b));
#pragma GCC unroll 16
                for (size_t c = 0; c < vectors; c++)
                    sum[r][c] = _mm512_fmadd_ps(scaled(dot[r][c], scales + p * COLS + 16 * c, halves), d, sum[r][c]);
            }
        }
        if (!t->min) continue;
#pragma GCC unroll 16
        for (size_t r = 0; r < rows; r++)
#pragma GCC unroll 16
            for (size_t c = 0; c < vectors; c++)
                sum[r][c] =
                    _mm512_fmadd_ps(_mm512_load_ps(mins + 16 * c), _mm512_set1_ps(x.sum[r * x.ldd + b]), sum[r][c]);
    }
#pragma GCC unroll 16
    for (size_t r = 0; r < rows; r++)
#pragma GCC unroll 16
        for (size_t c = 0; c < vectors; c++)
            if (16 * c < t->cols) store(t->y + (m + r) * t->ldy + 16 * c, sum[r][c], first16(t->cols - 16 * c), t);
}

TILES_3(4)
TILES_6(2)

static void tile_chunk(const struct tile *t, size_t rows)
{
    if (t->cols <= 32)
        tile_all_rows(t, rows, tiles_2, 6);
    else
        tile_all_rows(t, rows, tiles_4, 3);
}
