/* tile_q8_avx2.h — panels of codes times many rows of int8 activations in 256 bits; the body of gemm_q8_avx2.h and
 * gemm_q8_k_avx2.h.
 *
 * Owns: the shape of a panel, 16 columns wide; the tile of 3 rows × 2 vectors of columns. Depth is taken in chunks
 * whose panel stays in the first-level cache. A file defines first: PARTS, 1, or 2 where each half of a block has a
 * scale and an integer sum of its own; STEPS, after how many times four depths a running sum of dot_avx2.h is brought
 * to 32 bits. */
#include "backend/cpu/dot_avx2.h"
#include "backend/cpu/tile_groups.h"

enum { COLS = 16, RECORD = COLS * (BLOCK + 4 + 4), CHUNK = 32 };

#include "backend/cpu/tile_q8.h"

static ALWAYS_INLINE void store(float *y, __m256 sum, size_t cols, const struct tile *t)
{
    __m256 scale = _mm256_set1_ps(t->scale);
    __m256i keep = first8(cols);
    sum = t->accumulate ? _mm256_fmadd_ps(scale, sum, _mm256_maskload_ps(y, keep)) : _mm256_mul_ps(scale, sum);
    _mm256_maskstore_ps(y, keep, sum);
}

static ALWAYS_INLINE __m256i broadcast_word(const void *p)
{
    int word;
    memcpy(&word, p, sizeof word);
    return _mm256_set1_epi32(word);
}

/* Σ code · q − zero · Σ q of part p of a block; x and halves: the block's of the first row. */
static ALWAYS_INLINE void dot_rows(__m256i dot[3][2], const size_t rows, const size_t vectors, const struct tile *t,
                                   const int8_t *q, const int16_t *halves, const uint8_t *record, const size_t p)
{
    const size_t depth = BLOCK / PARTS / 4;
#pragma GCC unroll 16
    for (size_t r = 0; r < rows; r++) {
        const int16_t *h = halves + 2 * r * t->x.ldd;
        __m256i start = _mm256_set1_epi32(-t->zero * (PARTS == 1 ? h[0] + h[1] : h[p]));
#pragma GCC unroll 16
        for (size_t c = 0; c < vectors; c++) dot[r][c] = start;
    }
#pragma GCC unroll 16
    for (size_t first = p * depth; first < (p + 1) * depth; first += STEPS) {
        __m256i sum[3][2];
#pragma GCC unroll 16
        for (size_t r = 0; r < rows; r++)
#pragma GCC unroll 16
            for (size_t c = 0; c < vectors; c++) sum[r][c] = _mm256_setzero_si256();
#pragma GCC unroll 16
        for (size_t j = first; j < first + STEPS; j++) {
            const __m256i *codes = (const __m256i *)(record + 4 * j * COLS);
#pragma GCC unroll 16
            for (size_t r = 0; r < rows; r++) {
                __m256i word = broadcast_word(q + r * t->x.ldq + 4 * j);
#pragma GCC unroll 16
                for (size_t c = 0; c < vectors; c++) sum[r][c] = dot_add(sum[r][c], _mm256_load_si256(codes + c), word);
            }
        }
#pragma GCC unroll 16
        for (size_t r = 0; r < rows; r++)
#pragma GCC unroll 16
            for (size_t c = 0; c < vectors; c++) dot[r][c] = dot_finish(sum[r][c], dot[r][c]);
    }
}

/* `rows` rows from row m, `vectors` vectors of columns: both constants after inlining. */
static ALWAYS_INLINE void tile_rows(const size_t rows, const size_t vectors, const struct tile *t, size_t m)
{
    const struct cpu_q8_rows x = cpu_q8_rows_at(t->x, m, 0);
    const uint8_t *record = t->panel;
    __m256 sum[3][2];
#pragma GCC unroll 16
    for (size_t r = 0; r < rows; r++)
#pragma GCC unroll 16
        for (size_t c = 0; c < vectors; c++) sum[r][c] = _mm256_setzero_ps();
    for (size_t b = 0; b < t->blocks; b++, record += RECORD) {
        const float *scales = (const float *)(const void *)(record + COLS * BLOCK), *mins = scales + COLS;
#pragma GCC unroll 2
        for (size_t p = 0; p < PARTS; p++) {
            __m256i dot[3][2];
            dot_rows(dot, rows, vectors, t, x.q + b * BLOCK, x.halves + 2 * b, record, p);
#pragma GCC unroll 16
            for (size_t r = 0; r < rows; r++) {
                __m256 d = _mm256_broadcast_ss(x.d + r * x.ldd + b);
#pragma GCC unroll 16
                for (size_t c = 0; c < vectors; c++) {
                    __m256 scale = _mm256_load_ps(scales + p * COLS + 8 * c);
                    sum[r][c] = _mm256_fmadd_ps(_mm256_mul_ps(_mm256_cvtepi32_ps(dot[r][c]), scale), d, sum[r][c]);
                }
            }
        }
        if (!t->min) continue;
#pragma GCC unroll 16
        for (size_t r = 0; r < rows; r++)
#pragma GCC unroll 16
            for (size_t c = 0; c < vectors; c++)
                sum[r][c] = _mm256_fmadd_ps(_mm256_load_ps(mins + 8 * c), _mm256_broadcast_ss(x.sum + r * x.ldd + b),
                                            sum[r][c]);
    }
#pragma GCC unroll 16
    for (size_t r = 0; r < rows; r++)
#pragma GCC unroll 16
        for (size_t c = 0; c < vectors; c++)
            if (8 * c < t->cols) store(t->y + (m + r) * t->ldy + 8 * c, sum[r][c], t->cols - 8 * c, t);
}

TILES_3(2)

static void tile_chunk(const struct tile *t, size_t rows)
{
    tile_all_rows(t, rows, tiles_2, 3);
}
