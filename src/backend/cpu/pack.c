/* pack.c — see pack.h. A format without kernels of its own is unpacked to f32, a piece of a panel at a time, and packed
 * as an f32 matrix, or goes to bf16 with the same bits: so its products are those of its exact values. */
#include "backend/cpu/pack.h"
#include "quant/planes.h"

static void unpack(const struct cpu_kernels *k, float *y, const struct quant_matrix *w, size_t row, size_t col,
                   size_t n)
{
    (k->unpack[w->type] ? k->unpack[w->type] : quant_dequantize)(y, w, row, col, n);
}

enum { PIECE_ROWS = 64, PIECE_COLS = 256 }; /* as many as a panel has columns; of depth, even */

typedef void pack_fn(void *panel, const struct cpu_kernels *k, bool transposed, const struct quant_matrix *w,
                     size_t row, size_t rows, size_t col, size_t cols);

static void pack_f32(void *panel, const struct cpu_kernels *k, bool transposed, const struct quant_matrix *w,
                     size_t row, size_t rows, size_t col, size_t cols)
{
    (transposed ? k->pack_f32_t : k->pack_f32)(panel, w, row, rows, col, cols);
}

static void pack_bf16(void *panel, const struct cpu_kernels *k, bool transposed, const struct quant_matrix *w,
                      size_t row, size_t rows, size_t col, size_t cols)
{
    (transposed ? k->pack_bf16_t : k->pack_bf16)(panel, w, row, rows, col, cols);
}

/* The depth runs along cols, or transposed along rows; a piece of it takes depth · tile_cols numbers of the panel. */
static void pack_pieces(const struct cpu_kernels *k, char *panel, bool bf16, bool transposed,
                        const struct quant_matrix *w, size_t row, size_t rows, size_t col, size_t cols)
{
    float piece[PIECE_ROWS * PIECE_COLS];
    size_t depth = transposed ? rows : cols, most = transposed ? PIECE_ROWS : PIECE_COLS;
    for (size_t d = 0, n; d < depth; d += n, panel += n * k->tile_cols * (bf16 ? 2 : 4)) {
        n = depth - d < most ? depth - d : most;
        size_t high = transposed ? n : rows, wide = transposed ? cols : n;
        struct quant_matrix f32 = {QUANT_F32, (const uint8_t *)piece, high, wide, wide * sizeof *piece, {0}};
        for (size_t i = 0; i < high; i++)
            unpack(k, piece + i * wide, w, row + (transposed ? d : 0) + i, col + (transposed ? 0 : d), wide);
        (bf16 ? pack_bf16 : pack_f32)(panel, k, transposed, &f32, 0, high, 0, wide);
    }
}

void cpu_pack(const struct cpu_kernels *k, void *panel, bool bf16, bool transposed, const struct quant_matrix *w,
              size_t row, size_t rows, size_t col, size_t cols)
{
    if (bf16 && !transposed && k->pack_bf16_of[w->type] && quant_in_blocks(w))
        k->pack_bf16_of[w->type](panel, w, row, rows, col, cols);
    else if (w->type < QUANT_OWN_KERNELS)
        (bf16 ? pack_bf16 : pack_f32)(panel, k, transposed, w, row, rows, col, cols);
    else
        pack_pieces(k, panel, bf16, transposed, w, row, rows, col, cols);
}

void cpu_dequantize(const struct cpu_kernels *k, float *y, const struct quant_matrix *w, size_t row)
{
    if (w->type < QUANT_OWN_KERNELS)
        k->dequantize(y, w, row);
    else
        unpack(k, y, w, row, 0, w->cols);
}

void cpu_gemv_f32(const struct cpu_kernels *k, float *y, const struct quant_matrix *w, size_t row, size_t rows,
                  const float *x, float *spare)
{
    if (k->gemv_f32[w->type] && quant_in_blocks(w)) {
        k->gemv_f32[w->type](y, w, row, rows, x);
        return;
    }
    struct quant_matrix one = {QUANT_F32, (const uint8_t *)spare, 1, w->cols, w->cols * sizeof *spare, {0}};
    for (size_t i = 0; i < rows; i++) {
        unpack(k, spare, w, row + i, 0, w->cols);
        k->gemv_f32[QUANT_F32](y + i, &one, 0, 1, x);
    }
}
