/* fuzz_dequantize.c — any bytes as blocks of any format: no read outside them, and pieces of a row give the bits that
 * the whole row does.
 *
 * Input: the type, the length of the first piece, then the row's blocks. */
#include "quant/format.h"

#include <stdlib.h>
#include <string.h>

static float *need(size_t n)
{
    float *y = malloc(n * sizeof *y + 1);
    if (!y) abort();
    return y;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2) return 0;
    struct quant_matrix w = {.type = (enum quant_type)(data[0] % QUANT_PLANES), .rows = 1};
    const struct quant_format *f = &quant_formats[w.type];
    size_t step = data[1] + 1u, blocks = (size - 2) / f->block_bytes;
    w.cols = blocks * f->block;
    w.row_bytes = blocks * f->block_bytes;
    uint8_t *row = malloc(w.row_bytes ? w.row_bytes : 1); /* of its own, so that reading behind it is seen */
    if (!row) abort();
    memcpy(row, data + 2, w.row_bytes);
    w.data = row;
    float *whole = need(w.cols), *pieces = need(w.cols);
    f->dequantize(whole, row, w.cols);
    for (size_t col = 0, n; col < w.cols; col += n, step = step * 7 % 509 + 1) {
        n = step < w.cols - col ? step : w.cols - col;
        quant_dequantize(pieces + col, &w, 0, col, n);
    }
    if (memcmp(whole, pieces, w.cols * sizeof *whole) != 0) abort();
    free(row);
    free(whole);
    free(pieces);
    return 0;
}
