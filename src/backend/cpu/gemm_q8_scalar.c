/* gemm_q8_scalar.c — quantised weights times many rows of int8 activations in plain C: the specification.
 *
 * Owns: panels of unsigned codes with their scales and minima, the tile over them. */
#include "backend/cpu/families.h"
#include "quant/k_quants.h"

#include <string.h>

enum { COLS = 8, BLOCK = 32, RECORD = COLS * (BLOCK + 4 + 4) };

/* ---- formats ----------------------------------------------------------------------------------------------- */

/* 32 weights as a record has them. */
struct block {
    uint8_t codes[BLOCK];
    float scales[2]; /* d, then min or the last half's d */
};

static float half_at(const uint8_t *p)
{
    return half_to_float((uint16_t)(p[0] | p[1] << 8));
}

/* Q4_0, Q4_1, Q8_0: f16 d, f16 min where there is one, codes. `data`: the format's block; j: which 32 of it. */
static struct block block_nibbles(enum quant_type type, const uint8_t *data, size_t j)
{
    struct block b = {.scales = {half_at(data), type == QUANT_Q4_1 ? half_at(data + 2) : 0}};
    const uint8_t *codes = data + (type == QUANT_Q4_1 ? 4 : 2);
    for (size_t i = 0; i < BLOCK; i++) b.codes[i] = i < 16 ? codes[i] & 15 : codes[i - 16] >> 4;
    (void)j; /* there is one */
    return b;
}

static struct block block_bytes(enum quant_type type, const uint8_t *data, size_t j)
{
    struct block b = {.scales = {half_at(data)}};
    for (size_t i = 0; i < BLOCK; i++) b.codes[i] = data[2 + i] ^ 0x80;
    (void)type, (void)j;
    return b;
}

static struct block block_k_min(enum quant_type type, const uint8_t *data, size_t j)
{
    struct block b;
    uint8_t s, m;
    k_codes(type, b.codes, data, j);
    k_scale_min(data + K_SCALES, j, &s, &m);
    b.scales[0] = half_at(data) * (float)s;
    b.scales[1] = -(half_at(data + 2) * (float)m);
    return b;
}

static struct block block_q6_k(enum quant_type type, const uint8_t *data, size_t j)
{
    struct block b;
    const int8_t *s = (const int8_t *)data + Q6_K_SCALES + 2 * j;
    k_codes(type, b.codes, data, j);
    for (size_t h = 0; h < 2; h++) b.scales[h] = half_at(data + Q6_K_D) * (float)s[h];
    return b;
}

static const struct format {
    struct block (*block)(enum quant_type type, const uint8_t *data, size_t j);
    bool min, halves; /* what the second scale is */
    int zero;
} formats[QUANT_TYPES] = {
    [QUANT_Q4_0] = {block_nibbles, false, false, 8}, [QUANT_Q4_1] = {block_nibbles, true, false, 0},
    [QUANT_Q8_0] = {block_bytes, false, false, 128}, [QUANT_Q4_K] = {block_k_min, true, false, 0},
    [QUANT_Q5_K] = {block_k_min, true, false, 0},    [QUANT_Q6_K] = {block_q6_k, false, true, 32},
};

/* ---- panels ------------------------------------------------------------------------------------------------ */

static void pack_block(uint8_t *record, size_t n, const struct block *b)
{
    for (size_t i = 0; i < BLOCK; i++) record[(i / 4 * COLS + n) * 4 + i % 4] = b->codes[i];
    for (size_t i = 0; i < 2; i++) memcpy(record + COLS * (BLOCK + 4 * i) + 4 * n, &b->scales[i], sizeof(float));
}

static void pack(uint8_t *panel, const struct quant_matrix *w, size_t row, size_t rows, size_t col, size_t cols)
{
    const struct quant_format *f = &quant_formats[w->type];
    memset(panel, 0, cols / BLOCK * RECORD);
    for (size_t n = 0; n < rows; n++)
        for (size_t d = 0; d < cols; d += BLOCK) {
            const uint8_t *data = w->data + (row + n) * w->row_bytes + (col + d) / f->block * f->block_bytes;
            struct block b = formats[w->type].block(w->type, data, (col + d) % f->block / BLOCK);
            pack_block(panel + d / BLOCK * RECORD, n, &b);
        }
}

/* ---- tile -------------------------------------------------------------------------------------------------- */

/* Σ code · q − zero · Σ q of depths first .. last of a block and a column; sum: Σ q. */
static float dot(const uint8_t *record, size_t n, const int8_t *q, size_t first, size_t last, int zero, int sum)
{
    int dot = -zero * sum;
    for (size_t i = first; i < last; i++) dot += record[(i / 4 * COLS + n) * 4 + i % 4] * q[i];
    return (float)dot;
}

static float sum_of_blocks(const struct format *f, struct cpu_q8_rows x, const uint8_t *panel, size_t n, size_t blocks)
{
    float sum = 0;
    for (size_t b = 0; b < blocks; b++, panel += RECORD) {
        const int8_t *q = x.q + b * BLOCK;
        const int16_t *h = x.halves + 2 * b;
        float scales[2];
        for (size_t i = 0; i < 2; i++) memcpy(scales + i, panel + COLS * (BLOCK + 4 * i) + 4 * n, sizeof *scales);
        if (f->halves) {
            sum += dot(panel, n, q, 0, BLOCK / 2, f->zero, h[0]) * scales[0] * x.d[b];
            sum += dot(panel, n, q, BLOCK / 2, BLOCK, f->zero, h[1]) * scales[1] * x.d[b];
        } else {
            sum += dot(panel, n, q, 0, BLOCK, f->zero, h[0] + h[1]) * scales[0] * x.d[b];
        }
        if (f->min) sum += scales[1] * x.sum[b];
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
TILE(tile_k_min, QUANT_Q4_K)
TILE(tile_q6_k, QUANT_Q6_K)

void gemm_q8_scalar(struct cpu_kernels *t)
{
    t->q8_record = RECORD;
    for (size_t i = 0; i < QUANT_TYPES; i++) t->pack_q8[i] = formats[i].block ? pack : NULL;
    t->tile_q8[QUANT_Q4_0] = tile_q4_0;
    t->tile_q8[QUANT_Q4_1] = tile_q4_1;
    t->tile_q8[QUANT_Q8_0] = tile_q8_0;
    t->tile_q8[QUANT_Q4_K] = t->tile_q8[QUANT_Q5_K] = tile_k_min;
    t->tile_q8[QUANT_Q6_K] = tile_q6_k;
    memset(t->q8_panel_rows, 2, sizeof t->q8_panel_rows);
}
