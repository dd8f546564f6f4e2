/* gemm_scalar.c — matrix products by panels in plain C: the specification of every faster tile and packer.
 *
 * Owns: panels of any format (through quant/format.h), the f32 tile, the rounding to bf16, the outer product of
 * gradients. Refuses: a bf16 product (its entries stay NULL; the rounding alone would only cost precision here). */
#include "backend/cpu/families.h"

#include <string.h>

enum { COLS = 8, BLOCK = 256 }; /* columns of a panel; elements of the largest block */

/* y[i] = W[row][col + i], i < n; col may lie inside a block. */
static void unpack(float *y, const struct quant_matrix *w, size_t row, size_t col, size_t n)
{
    const struct quant_format *f = &quant_formats[w->type];
    const uint8_t *data = w->data + row * w->row_bytes + col / f->block * f->block_bytes;
    if (f->block == 1) {
        f->dequantize(y, data, n);
        return;
    }
    for (size_t skip = col % f->block, take; n; y += take, n -= take, skip = 0, data += f->block_bytes) {
        float block[BLOCK];
        take = f->block - skip < n ? f->block - skip : n;
        f->dequantize(block, data, f->block);
        memcpy(y, block + skip, take * sizeof *y);
    }
}

static void pack(float *panel, const struct quant_matrix *w, size_t row, size_t rows, size_t col, size_t cols)
{
    memset(panel, 0, cols * COLS * sizeof *panel);
    for (size_t n = 0; n < rows; n++)
        for (size_t d = 0, count; d < cols; d += count) {
            float part[BLOCK];
            count = cols - d < BLOCK ? cols - d : BLOCK;
            unpack(part, w, row + n, col + d, count);
            for (size_t i = 0; i < count; i++) panel[(d + i) * COLS + n] = part[i];
        }
}

static void pack_t(float *panel, const struct quant_matrix *w, size_t row, size_t rows, size_t col, size_t cols)
{
    memset(panel, 0, rows * COLS * sizeof *panel);
    for (size_t d = 0; d < rows; d++) unpack(panel + d * COLS, w, row + d, col, cols);
}

static void tile(float *y, size_t ldy, const float *x, size_t ldx, const float *panel, size_t depth, size_t rows,
                 size_t cols, float scale, bool accumulate)
{
    for (size_t m = 0; m < rows; m++, y += ldy, x += ldx) {
        float sum[COLS] = {0};
        for (size_t d = 0; d < depth; d++)
            for (size_t n = 0; n < COLS; n++) sum[n] += x[d] * panel[d * COLS + n];
        for (size_t n = 0; n < cols; n++) y[n] = accumulate ? y[n] + scale * sum[n] : scale * sum[n];
    }
}

static void to_bf16(uint16_t *y, const float *x, size_t n)
{
    for (size_t i = 0; i < n; i++) y[i] = float_to_bf16(x[i]);
}

static void outer(float *dw, size_t lddw, const float *dy, size_t lddy, const float *x, size_t ldx, size_t rows,
                  size_t n_count, size_t k_count, float scale)
{
    for (size_t n = 0; n < n_count; n++)
        for (size_t k = 0; k < k_count; k++) {
            float sum = 0;
            for (size_t m = 0; m < rows; m++) sum += dy[m * lddy + n] * x[m * ldx + k];
            dw[n * lddw + k] += scale * sum;
        }
}

void gemm_scalar(struct cpu_kernels *t)
{
    t->tile_cols = COLS;
    t->pack_f32 = pack;
    t->pack_f32_t = pack_t;
    t->tile_f32 = tile;
    t->to_bf16 = to_bf16;
    t->outer = outer;
}
