/* gemm_q8_scalar.c — quantised weights times many rows of int8 activations in plain C: the specification.
 *
 * Owns: panels of unsigned codes with their scales and minima, the tile over them. */
#include "backend/cpu/families.h"

#include <string.h>

enum { COLS = 8, BLOCK = 32, RECORD = COLS * (BLOCK + 4 + 4) };

/* ---- formats ----------------------------------------------------------------------------------------------- */

static uint8_t nibble(const uint8_t *codes, size_t i)
{
    return i < 16 ? codes[i] & 15 : codes[i - 16] >> 4;
}
static uint8_t shifted(const uint8_t *codes, size_t i)
{
    return codes[i] ^ 0x80;
}

/* A block: f16 d, f16 min where it has one, codes. */
static const struct format {
    size_t bytes, codes;
    bool min;
    int zero;
    uint8_t (*code)(const uint8_t *codes, size_t i);
} formats[QUANT_TYPES] = {
    [QUANT_Q4_0] = {18, 2, false, 8, nibble},
    [QUANT_Q4_1] = {20, 4, true, 0, nibble},
    [QUANT_Q8_0] = {34, 2, false, 128, shifted},
};

static float half_at(const uint8_t *p)
{
    return half_to_float((uint16_t)(p[0] | p[1] << 8));
}

/* ---- panels ------------------------------------------------------------------------------------------------ */

static void pack_block(uint8_t *record, size_t n, const struct format *f, const uint8_t *block)
{
    float d = half_at(block), min = f->min ? half_at(block + 2) : 0;
    for (size_t i = 0; i < BLOCK; i++) record[(i / 4 * COLS + n) * 4 + i % 4] = f->code(block + f->codes, i);
    memcpy(record + COLS * BLOCK + 4 * n, &d, sizeof d);
    memcpy(record + COLS * (BLOCK + 4) + 4 * n, &min, sizeof min);
}

static void pack(uint8_t *panel, const struct cpu_matrix *w, size_t row, size_t rows, size_t col, size_t cols)
{
    const struct format *f = &formats[w->type];
    memset(panel, 0, cols / BLOCK * RECORD);
    for (size_t n = 0; n < rows; n++)
        for (size_t b = 0; b < cols / BLOCK; b++)
            pack_block(panel + b * RECORD, n, f, w->data + (row + n) * w->row_bytes + (col / BLOCK + b) * f->bytes);
}

/* ---- tile -------------------------------------------------------------------------------------------------- */

/* Σ code · q − zero · Σ q of one block and column */
static int dot(const struct format *f, const uint8_t *record, size_t n, const int8_t *q, const int16_t halves[2])
{
    int sum = -f->zero * (halves[0] + halves[1]);
    for (size_t i = 0; i < BLOCK; i++) sum += record[(i / 4 * COLS + n) * 4 + i % 4] * q[i];
    return sum;
}

static float sum_of_blocks(const struct format *f, struct cpu_q8_rows x, const uint8_t *panel, size_t n, size_t blocks)
{
    float sum = 0;
    for (size_t b = 0; b < blocks; b++, panel += RECORD) {
        float d, min;
        memcpy(&d, panel + COLS * BLOCK + 4 * n, sizeof d);
        memcpy(&min, panel + COLS * (BLOCK + 4) + 4 * n, sizeof min);
        sum += (float)dot(f, panel, n, x.q + b * BLOCK, x.halves + 2 * b) * d * x.d[b];
        if (f->min) sum += min * x.sum[b];
    }
    return sum;
}

#define TILE(name, type)                                                                                               \
    static void name(float *y, size_t ldy, struct cpu_q8_rows x, const uint8_t *panel, size_t depth, size_t rows,      \
                     size_t cols, float scale, bool accumulate)                                                        \
    {                                                                                                                  \
        for (size_t m = 0; m < rows; m++)                                                                              \
            for (size_t n = 0; n < cols; n++) {                                                                        \
                float sum = sum_of_blocks(&formats[type], cpu_q8_rows_at(x, m, 0), panel, n, depth / BLOCK);           \
                y[m * ldy + n] = accumulate ? y[m * ldy + n] + scale * sum : scale * sum;                              \
            }                                                                                                          \
    }
TILE(tile_q4_0, QUANT_Q4_0)
TILE(tile_q4_1, QUANT_Q4_1)
TILE(tile_q8_0, QUANT_Q8_0)

void gemm_q8_scalar(struct cpu_kernels *t)
{
    t->q8_record = RECORD;
    t->pack_q8[QUANT_Q4_0] = t->pack_q8[QUANT_Q4_1] = t->pack_q8[QUANT_Q8_0] = pack;
    t->tile_q8[QUANT_Q4_0] = tile_q4_0;
    t->tile_q8[QUANT_Q4_1] = tile_q4_1;
    t->tile_q8[QUANT_Q8_0] = tile_q8_0;
    memset(t->q8_panel_rows, 2, sizeof t->q8_panel_rows);
}
