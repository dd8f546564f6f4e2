/* gemm_amx.c — the bf16 tile with AMX (TDPBF16PS: 16 rows × 32 depths by 32 depths × 16 columns, sums in f32;
 * subnormal factors and sums count as zero).
 *
 * A block of 32 rows × 32 columns loads one register for each product, which the second-level cache can just feed:
 * half to 60 % of the peak on Emerald Rapids. A wider block would need more than eight registers. Rows of x that lie a
 * multiple of 4 KiB apart share a set of the first-level cache and cost about a sixth of that.
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

/* Registers 0 1 / 2 3 += rows 4 / 5 of x by columns 6 7 of the panel. */
static ALWAYS_INLINE void step_32x32(const uint16_t *x, size_t ldx, const uint16_t *panel)
{
    _tile_loadd(4, x, ldx * sizeof *x);
    _tile_loadd(6, panel, PAIR * sizeof *panel);
    _tile_dpbf16ps(0, 4, 6);
    _tile_loadd(7, panel + 2 * TILE_COLS, PAIR * sizeof *panel);
    _tile_dpbf16ps(1, 4, 7);
    _tile_loadd(5, x + TILE_ROWS * ldx, ldx * sizeof *x);
    _tile_dpbf16ps(2, 5, 6);
    _tile_dpbf16ps(3, 5, 7);
}

/* sums (32, 32) (+)= the rows from m by the columns from n */
static void block_32x32(const struct tile *t, size_t m, size_t n, float *sums, size_t ld, bool add)
{
    const uint16_t *x = t->x + m * t->ldx, *panel = t->panel + 2 * n;
    float *lower = sums + TILE_ROWS * ld;
    size_t stride = ld * sizeof *sums;
    if (add) {
        _tile_loadd(0, sums, stride);
        _tile_loadd(1, sums + TILE_COLS, stride);
        _tile_loadd(2, lower, stride);
        _tile_loadd(3, lower + TILE_COLS, stride);
    } else {
        tiles_zero_sums();
    }
    for (size_t s = 0; s < t->steps; s++, x += TILE_DEPTH, panel += PAIRS * PAIR) step_32x32(x, t->ldx, panel);
    if (t->rest) step_32x32(t->last_x, TILE_DEPTH, t->last_panel + 2 * n);
    _tile_stored(0, sums, stride);
    _tile_stored(1, sums + TILE_COLS, stride);
    _tile_stored(2, lower, stride);
    _tile_stored(3, lower + TILE_COLS, stride);
}

/* Registers 0 1 2 3 += rows 4 of x by columns 5 6 7 5 of the panel. */
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

/* sums (16, 64) (+)= the rows from m by all columns (n is 0) */
static void block_16x64(const struct tile *t, size_t m, size_t n, float *sums, size_t ld, bool add)
{
    const uint16_t *x = t->x + m * t->ldx, *panel = t->panel;
    size_t stride = ld * sizeof *sums;
    if (add) {
        _tile_loadd(0, sums, stride);
        _tile_loadd(1, sums + TILE_COLS, stride);
        _tile_loadd(2, sums + 2 * TILE_COLS, stride);
        _tile_loadd(3, sums + 3 * TILE_COLS, stride);
    } else {
        tiles_zero_sums();
    }
    for (size_t s = 0; s < t->steps; s++, x += TILE_DEPTH, panel += PAIRS * PAIR) step_16x64(x, t->ldx, panel);
    if (t->rest) step_16x64(t->last_x, TILE_DEPTH, t->last_panel);
    _tile_stored(0, sums, stride);
    _tile_stored(1, sums + TILE_COLS, stride);
    _tile_stored(2, sums + 2 * TILE_COLS, stride);
    _tile_stored(3, sums + 3 * TILE_COLS, stride);
}

/* ---- results ----------------------------------------------------------------------------------------------- */

static ALWAYS_INLINE __mmask16 first(size_t n)
{
    return n < TILE_COLS ? (__mmask16)((1u << n) - 1) : (__mmask16)0xFFFF;
}

/* sums (rows, wide) = y's (rows, cols) */
static void load_block(float *sums, size_t wide, const float *y, size_t ldy, size_t rows, size_t cols)
{
    for (size_t r = 0; r < rows; r++, sums += wide, y += ldy)
        for (size_t c = 0; c < cols; c += TILE_COLS)
            _mm512_store_ps(sums + c, _mm512_maskz_loadu_ps(first(cols - c), y + c));
}

/* y's (rows, cols) = scale · sums (rows, wide), or += */
static void store_block(float *y, size_t ldy, const float *sums, size_t wide, size_t rows, size_t cols, float scale,
                        bool add)
{
    for (size_t r = 0; r < rows; r++, sums += wide, y += ldy)
        for (size_t c = 0; c < cols; c += TILE_COLS) {
            __m512 factor = _mm512_set1_ps(scale), sum = _mm512_load_ps(sums + c);
            __mmask16 keep = first(cols - c);
            sum = add ? _mm512_fmadd_ps(factor, sum, _mm512_maskz_loadu_ps(keep, y + c)) : _mm512_mul_ps(factor, sum);
            _mm512_mask_storeu_ps(y + c, keep, sum);
        }
}

/* A block of y, `wide` columns of which `cols` are there. Sums without a scale begin with y itself; where the block is
 * whole they need no other place. */
static ALWAYS_INLINE void block(const struct tile *t, size_t m, size_t rows, size_t n, size_t wide,
                                void (*sum_block)(const struct tile *, size_t, size_t, float *, size_t, bool))
{
    _Alignas(64) float sums[ROWS * ROWS];
    float *y = t->y + m * t->ldy + n;
    size_t cols = t->cols - n < wide ? t->cols - n : wide;
    bool begin_with_y = t->scale == 1 && t->accumulate;
    if (t->scale == 1 && cols == wide) {
        sum_block(t, m, n, y, t->ldy, begin_with_y);
        return;
    }
    if (begin_with_y) load_block(sums, wide, y, t->ldy, rows, cols);
    tiles_see_memory(sums);
    sum_block(t, m, n, sums, wide, begin_with_y);
    store_block(y, t->ldy, sums, wide, rows, cols, t->scale, t->accumulate && !begin_with_y);
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
    if (t->rest) copy_last_x(t, m, rows);
    for (size_t n = 0; n < t->cols; n += 32) block(t, m, rows, n, 32, block_32x32);
}

/* At most 16 rows. */
static void rows_16(const struct tile *t, size_t m, size_t rows)
{
    if (t->rest) copy_last_x(t, m, rows);
    block(t, m, rows, 0, COLS, block_16x64);
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

/* ---- strips ------------------------------------------------------------------------------------------------ */

/* Asks for the rows first .. last of the next strip's x. */
static ALWAYS_INLINE void ask_for_rows(const struct cpu_strip *o, size_t d, size_t first, size_t last)
{
    for (size_t r = first; r < last; r++) _mm_prefetch((const char *)(o->x + (ROWS + r) * o->ldx + d), _MM_HINT_T1);
}

/* Asks for what the step after the next one reads of the panel. */
static ALWAYS_INLINE void ask_for_panel(const uint16_t *panel)
{
    for (size_t pair = 2 * PAIRS; pair < 3 * PAIRS; pair++) {
        _mm_prefetch((const char *)(panel + pair * PAIR), _MM_HINT_T0);
        _mm_prefetch((const char *)(panel + pair * PAIR + 2 * TILE_COLS), _MM_HINT_T0);
    }
}

/* More than 16 rows × 32 columns from n on, of `cols`: as much of the next strip is asked for. */
static void strip_32x32(float *y, size_t ldy, const struct cpu_strip *operands, size_t count, size_t n, size_t cols)
{
    size_t first = n * ROWS / cols, last = (n + 32) * ROWS / cols;
    float *lower = y + TILE_ROWS * ldy;
    size_t stride = ldy * sizeof *y;
    tiles_zero_sums();
    for (const struct cpu_strip *o = operands; o < operands + count; o++) {
        const uint16_t *panel = o->panels + n / COLS * COLS * o->depth + n % COLS * 2;
        for (size_t d = 0; d < o->depth; d += TILE_DEPTH, panel += PAIRS * PAIR) {
            step_32x32(o->x + d, o->ldx, panel);
            ask_for_rows(o, d, first, last);
            ask_for_panel(panel);
        }
    }
    _tile_stored(0, y, stride);
    _tile_stored(1, y + TILE_COLS, stride);
    _tile_stored(2, lower, stride);
    _tile_stored(3, lower + TILE_COLS, stride);
}

/* At most 16 rows × 64 columns from n on. */
static void strip_16x64(float *y, size_t ldy, const struct cpu_strip *operands, size_t count, size_t n)
{
    size_t stride = ldy * sizeof *y;
    tiles_zero_sums();
    for (const struct cpu_strip *o = operands; o < operands + count; o++) {
        const uint16_t *panel = o->panels + n * o->depth;
        for (size_t d = 0; d < o->depth; d += TILE_DEPTH, panel += PAIRS * PAIR) step_16x64(o->x + d, o->ldx, panel);
    }
    _tile_stored(0, y, stride);
    _tile_stored(1, y + TILE_COLS, stride);
    _tile_stored(2, y + 2 * TILE_COLS, stride);
    _tile_stored(3, y + 3 * TILE_COLS, stride);
}

static void strip_bf16(float *y, size_t ldy, const struct cpu_strip *operands, size_t count, size_t rows, size_t cols)
{
    tiles_see_memory(operands);
    if (rows > TILE_ROWS) {
        configure_32(rows);
        for (size_t n = 0; n < cols; n += 32) strip_32x32(y + n, ldy, operands, count, n, cols);
    } else {
        configure_16(rows);
        for (size_t n = 0; n < cols; n += COLS) strip_16x64(y + n, ldy, operands, count, n);
    }
    _tile_release();
}

/* Without int8 tiles: TDPBSUD takes 64 depths, but scales belong to 32. Half-filled registers have bf16's speed, of
 * which bringing the sums to f32 at every block leaves a quarter; AVX-512's VPDPBUSD has an eighth to a tenth. */
void gemm_amx(struct cpu_kernels *t)
{
    t->tile_bf16 = tile_bf16;
    t->strip_bf16 = strip_bf16;
    t->q8_record = 0;
    t->quantize_q8_rows = NULL;
    memset(t->pack_q8, 0, sizeof t->pack_q8);
    memset(t->tile_q8, 0, sizeof t->tile_q8);
}
