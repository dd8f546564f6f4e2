/* attention_product_avx512bf16.h — the products of attention with AVX-512 BF16 (vdpbf16ps): see attention_bf16.h. */
#ifndef CPU_ATTENTION_PRODUCT_AVX512BF16_H
#define CPU_ATTENTION_PRODUCT_AVX512BF16_H

#include "backend/cpu/attention_bf16.h"

enum { PRODUCT_ROWS = 6, GRAIN = LANES, DEPTH_GRAIN = 2, SIDE_BY_SIDE = false };
enum { PRODUCT_COLS = TILE_VECTORS * LANES };

INLINE void product_begin(void) {}
INLINE void product_end(void) {}

/* i < rows, j < vectors · LANES; both known when compiling. */
INLINE void product_tile(struct operands o, size_t depth, bool accumulate, size_t rows, size_t vectors)
{
    __m512 sum[PRODUCT_ROWS][TILE_VECTORS];
#pragma GCC unroll 8
    for (size_t i = 0; i < rows; i++)
#pragma GCC unroll 8
        for (size_t j = 0; j < vectors; j++)
            sum[i][j] = accumulate ? _mm512_loadu_ps(o.c + i * o.ldc + j * LANES) : _mm512_setzero_ps();
    for (size_t k = 0; k < depth; k++, o.a += o.step, o.b += o.ldb) {
        __m512bh b[TILE_VECTORS];
#pragma GCC unroll 8
        for (size_t j = 0; j < vectors; j++) b[j] = (__m512bh)_mm512_loadu_si512(o.b + j * LANES);
#pragma GCC unroll 8
        for (size_t i = 0; i < rows; i++) {
            __m512bh a = (__m512bh)_mm512_set1_epi32((int)o.a[i * o.row]);
#pragma GCC unroll 8
            for (size_t j = 0; j < vectors; j++) sum[i][j] = _mm512_dpbf16_ps(sum[i][j], a, b[j]);
        }
    }
#pragma GCC unroll 8
    for (size_t i = 0; i < rows; i++)
#pragma GCC unroll 8
        for (size_t j = 0; j < vectors; j++) _mm512_storeu_ps(o.c + i * o.ldc + j * LANES, sum[i][j]);
}

INLINE void product_rows(struct operands o, size_t depth, bool accumulate, size_t rows, size_t vectors)
{
    switch (rows) {
    case 6:
        product_tile(o, depth, accumulate, 6, vectors);
        break;
    case 5:
        product_tile(o, depth, accumulate, 5, vectors);
        break;
    case 4:
        product_tile(o, depth, accumulate, 4, vectors);
        break;
    case 3:
        product_tile(o, depth, accumulate, 3, vectors);
        break;
    case 2:
        product_tile(o, depth, accumulate, 2, vectors);
        break;
    default:
        product_tile(o, depth, accumulate, 1, vectors);
    }
}

/* rows <= PRODUCT_ROWS; cols: a multiple of GRAIN. Not inlined: one copy of the tiles. */
static __attribute__((noinline)) void product(struct operands o, size_t rows, size_t cols, size_t depth,
                                              bool accumulate)
{
    size_t width;
    for (size_t left = cols; left; left -= width, o.c += width, o.b += width) {
        width = left >= PRODUCT_COLS ? PRODUCT_COLS : left >= 2 * LANES ? 2 * LANES : LANES;
        if (width == PRODUCT_COLS)
            product_rows(o, depth, accumulate, rows, TILE_VECTORS);
        else if (width == 2 * LANES)
            product_rows(o, depth, accumulate, rows, 2);
        else
            product_rows(o, depth, accumulate, rows, 1);
    }
}

#endif
