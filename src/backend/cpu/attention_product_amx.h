/* attention_product_amx.h — the products of attention with AMX (TDPBF16PS): see attention_bf16.h. Registers are always
 * full: a's rows beyond the last and c's are there, and nobody reads what they become. */
#ifndef CPU_ATTENTION_PRODUCT_AMX_H
#define CPU_ATTENTION_PRODUCT_AMX_H

#include "backend/cpu/attention_bf16.h"
#include "backend/cpu/tiles_amx.h"

enum { PRODUCT_ROWS = 2 * TILE_ROWS, GRAIN = 2 * TILE_COLS, DEPTH_GRAIN = TILE_DEPTH, SIDE_BY_SIDE = true };
enum { PAIRS = TILE_DEPTH / 2 };

INLINE void product_begin(void)
{
    tiles_configure((uint8_t[TILES]){16, 16, 16, 16, 16, 16, 16, 16});
}
INLINE void product_end(void)
{
    _tile_release();
}

/* 32 columns of c: registers 0 1, and where there are more than 16 rows 2 3. */
INLINE void product_block(const struct operands *o, size_t depth, bool accumulate, bool lower)
{
    const pair *a = o->a, *b = o->b;
    size_t ldc = o->ldc * sizeof *o->c, row = o->row * sizeof *a, ldb = o->ldb * sizeof *b;
    float *below = o->c + TILE_ROWS * o->ldc;
    if (accumulate) {
        _tile_loadd(0, o->c, ldc);
        _tile_loadd(1, o->c + TILE_COLS, ldc);
        if (lower) _tile_loadd(2, below, ldc);
        if (lower) _tile_loadd(3, below + TILE_COLS, ldc);
    } else {
        tiles_zero_sums();
    }
    for (size_t k = 0; k < depth; k += PAIRS, a += PAIRS, b += PAIRS * o->ldb) {
        _tile_loadd(4, a, row);
        _tile_loadd(6, b, ldb);
        _tile_dpbf16ps(0, 4, 6);
        _tile_loadd(7, b + TILE_COLS, ldb);
        _tile_dpbf16ps(1, 4, 7);
        if (!lower) continue;
        _tile_loadd(5, a + TILE_ROWS * o->row, row);
        _tile_dpbf16ps(2, 5, 6);
        _tile_dpbf16ps(3, 5, 7);
    }
    _tile_stored(0, o->c, ldc);
    _tile_stored(1, o->c + TILE_COLS, ldc);
    if (lower) _tile_stored(2, below, ldc);
    if (lower) _tile_stored(3, below + TILE_COLS, ldc);
}

static __attribute__((noinline)) void product(struct operands o, size_t rows, size_t cols, size_t depth,
                                              bool accumulate)
{
    tiles_see_memory(o.a);
    for (; cols; cols -= GRAIN, o.c += GRAIN, o.b += GRAIN)
        if (rows > TILE_ROWS)
            product_block(&o, depth, accumulate, true);
        else
            product_block(&o, depth, accumulate, false);
}

#endif
