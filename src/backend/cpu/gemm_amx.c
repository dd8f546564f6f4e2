/* gemm_amx.c — the bf16 tile with AMX (TDPBF16PS: 16 rows × 32 depths by 32 depths × 16 columns, sums in f32;
 * subnormal factors and sums count as zero).
 *
 * Owns: blocks of 32 rows × 32 columns in four registers of sums, and of 16 rows × 64 columns where fewer rows are
 * left. The panels are gemm_avx512bf16.c's: 16 pairs of depths × 16 columns are a register as they stand, and so are 16
 * rows × 32 depths of x. The last depths, if fewer than 32, are copied beside zeros. */
#include "backend/cpu/families.h"
#include "backend/cpu/tiles_amx.h"

#include <string.h>

#define ALWAYS_INLINE inline __attribute__((always_inline))

enum { COLS = 64, PAIR = 2 * COLS, ROWS = 2 * TILE_ROWS, PAIRS = TILE_DEPTH / 2 };

struct tile {
    float *y; /* (rows, cols) */
    size_t ldy;
    const uint16_t *x; /* (rows, 32 · steps + rest) */
    size_t ldx;
    const uint16_t *panel; /* (16 · steps + rest / 2, COLS, 2) */
    size_t steps, rest, cols;
    float scale;
    bool accumulate;
    uint16_t *last_x, *last_panel; /* (ROWS, 32), (16, COLS, 2): the rest and zeros */
};

/* ---- products ---------------------------------------------------------------------------------------------- */

/* Sums 0 1 / 2 3 += rows 4 / 5 of x by columns 6 7 of the panel. */
static ALWAYS_INLINE void step_32x32(const uint16_t *x, size_t ldx, const uint16_t *panel)
{
    _tile_loadd(4, x, ldx * sizeof *x);
    _tile_loadd(6, panel, PAIR * sizeof *panel);
    _tile_loadd(7, panel + 2 * TILE_COLS, PAIR * sizeof *panel);
    _tile_dpbf16ps(0, 4, 6);
    _tile_dpbf16ps(1, 4, 7);
    _tile_loadd(5, x + TILE_ROWS * ldx, ldx * sizeof *x);
    _tile_dpbf16ps(2, 5, 6);
    _tile_dpbf16ps(3, 5, 7);
}

/* sums (32, 32) of the rows from m by the columns from n */
static void block_32x32(const struct tile *t, size_t m, size_t n, float *sums)
{
    const uint16_t *x = t->x + m * t->ldx, *panel = t->panel + 2 * n;
    _tile_zero(0);
    _tile_zero(1);
    _tile_zero(2);
    _tile_zero(3);
    for (size_t s = 0; s < t->steps; s++, x += TILE_DEPTH, panel += PAIRS * PAIR) step_32x32(x, t->ldx, panel);
    if (t->rest) step_32x32(t->last_x, TILE_DEPTH, t->last_panel + 2 * n);
    _tile_stored(0, sums, 32 * sizeof *sums);
    _tile_stored(1, sums + 16, 32 * sizeof *sums);
    _tile_stored(2, sums + 16 * 32, 32 * sizeof *sums);
    _tile_stored(3, sums + 16 * 32 + 16, 32 * sizeof *sums);
}

/* Sums 0 1 2 3 += rows 4 of x by columns 5 6 7 5 of the panel. */
static ALWAYS_INLINE void step_16x64(const uint16_t *x, size_t ldx, const uint16_t *panel)
{
    _tile_loadd(4, x, ldx * sizeof *x);
    _tile_loadd(5, panel, PAIR * sizeof *panel);
    _tile_dpbf16ps(0, 4, 5);
    _tile_loadd(6, panel + 2 * TILE_COLS, PAIR * sizeof *panel);
    _tile_dpbf16ps(1, 4, 6);
    _tile_loadd(7, panel + 4 * TILE_COLS, PAIR * sizeof *panel);
    _tile_dpbf16ps(2, 4, 7);
    _tile_loadd(5, panel + 6 * TILE_COLS, PAIR * sizeof *panel);
    _tile_dpbf16ps(3, 4, 5);
}

/* sums (16, 64) of the rows from m */
static void block_16x64(const struct tile *t, size_t m, float *sums)
{
    const uint16_t *x = t->x + m * t->ldx, *panel = t->panel;
    _tile_zero(0);
    _tile_zero(1);
    _tile_zero(2);
    _tile_zero(3);
    for (size_t s = 0; s < t->steps; s++, x += TILE_DEPTH, panel += PAIRS * PAIR) step_16x64(x, t->ldx, panel);
    if (t->rest) step_16x64(t->last_x, TILE_DEPTH, t->last_panel);
    _tile_stored(0, sums, 64 * sizeof *sums);
    _tile_stored(1, sums + 16, 64 * sizeof *sums);
    _tile_stored(2, sums + 32, 64 * sizeof *sums);
    _tile_stored(3, sums + 48, 64 * sizeof *sums);
}

/* ---- results ----------------------------------------------------------------------------------------------- */

static ALWAYS_INLINE void store(float *y, const float *sums, __mmask16 keep, const struct tile *t)
{
    __m512 scale = _mm512_set1_ps(t->scale), sum = _mm512_load_ps(sums);
    sum = t->accumulate ? _mm512_fmadd_ps(scale, sum, _mm512_maskz_loadu_ps(keep, y)) : _mm512_mul_ps(scale, sum);
    _mm512_mask_storeu_ps(y, keep, sum);
}

/* y's rows from m and columns n .. n + cols from sums (rows, ld) */
static void store_block(const struct tile *t, size_t m, size_t rows, size_t n, size_t cols, const float *sums,
                        size_t ld)
{
    for (size_t r = 0; r < rows; r++, sums += ld) {
        float *y = t->y + (m + r) * t->ldy + n;
        for (size_t c = 0; c < cols; c += TILE_COLS)
            store(y + c, sums + c, cols - c < TILE_COLS ? (__mmask16)((1u << (cols - c)) - 1) : (__mmask16)0xFFFF, t);
    }
}

/* ---- the tile ---------------------------------------------------------------------------------------------- */

static void copy_last_panel(const struct tile *t)
{
    size_t used = t->rest / 2 * PAIR;
    memcpy(t->last_panel, t->panel + t->steps * PAIRS * PAIR, used * sizeof *t->panel);
    memset(t->last_panel + used, 0, (PAIRS * PAIR - used) * sizeof *t->panel);
    tiles_see_memory(t->last_panel);
}

static void copy_last_x(const struct tile *t, size_t m, size_t rows)
{
    const uint16_t *x = t->x + m * t->ldx + t->steps * TILE_DEPTH;
    for (size_t r = 0; r < rows; r++, x += t->ldx) memcpy(t->last_x + r * TILE_DEPTH, x, t->rest * sizeof *x);
    tiles_see_memory(t->last_x);
}

/* More than 16 rows, at most 32. */
static void rows_32(const struct tile *t, size_t m, size_t rows)
{
    _Alignas(64) float sums[ROWS * 32];
    if (t->rest) copy_last_x(t, m, rows);
    for (size_t n = 0; n < t->cols; n += 32) {
        block_32x32(t, m, n, sums);
        store_block(t, m, rows, n, t->cols - n < 32 ? t->cols - n : 32, sums, 32);
    }
}

/* At most 16 rows. */
static void rows_16(const struct tile *t, size_t m, size_t rows)
{
    _Alignas(64) float sums[TILE_ROWS * COLS];
    if (t->rest) copy_last_x(t, m, rows);
    block_16x64(t, m, sums);
    store_block(t, m, rows, 0, t->cols, sums, COLS);
}

static void configure_32(size_t rows)
{
    uint8_t upper = (uint8_t)(rows - TILE_ROWS);
    tiles_configure((uint8_t[TILES]){16, 16, upper, upper, 16, upper, 16, 16});
}
static void configure_16(size_t rows)
{
    uint8_t few = (uint8_t)rows;
    tiles_configure((uint8_t[TILES]){few, few, few, few, few, 16, 16, 16});
}

static void tile_bf16(float *y, size_t ldy, const uint16_t *x, size_t ldx, const uint16_t *panel, size_t depth,
                      size_t rows, size_t cols, float scale, bool accumulate)
{
    _Alignas(64) uint16_t last_x[ROWS * TILE_DEPTH] = {0}, last_panel[PAIRS * PAIR];
    size_t even = (depth + 1) & ~(size_t)1;
    const struct tile t = {y,    ldy,   x,          ldx,    panel,     even / TILE_DEPTH, even % TILE_DEPTH,
                           cols, scale, accumulate, last_x, last_panel};
    size_t m = 0, whole = rows / ROWS * ROWS;
    if (t.rest) copy_last_panel(&t);
    if (whole) configure_32(ROWS);
    for (; m < whole; m += ROWS) rows_32(&t, m, ROWS);
    if (rows - m > TILE_ROWS) {
        configure_32(rows - m);
        rows_32(&t, m, rows - m);
    } else if (rows > m) {
        configure_16(rows - m);
        rows_16(&t, m, rows - m);
    }
    _tile_release();
}

void gemm_amx(struct cpu_kernels *t)
{
    t->tile_bf16 = tile_bf16;
}
