/* gemv_scalar.c — a matrix times one activation row in plain C: the specification of every faster one.
 *
 * Owns: int8 activations, W x for quantised W with int8 activations and for unquantised W in f32, whole rows as f32.
 * Refuses: columns that are no multiple of 32 where a block has 32 (the caller's row could not exist). */
#include "backend/cpu/families.h"

#include <float.h>
#include <math.h>
#include <string.h>

enum { BLOCK = 32, LANES = 16 };

static const uint8_t *row_at(const struct quant_matrix *w, size_t row)
{
    return w->data + row * w->row_bytes;
}
static float half_at(const uint8_t *p)
{
    return half_to_float((uint16_t)(p[0] | p[1] << 8));
}

/* ---- int8 activations ------------------------------------------------------------------------------------- */

/* max |x| of a block; infinity, and above it NaN, win (the bits of a positive float are ordered as it is). */
static float largest(const float *x)
{
    uint32_t max = 0;
    for (int i = 0; i < BLOCK; i++) {
        uint32_t bits;
        memcpy(&bits, x + i, sizeof bits);
        bits &= 0x7FFFFFFF;
        if (bits > max) max = bits;
    }
    float f;
    memcpy(&f, &max, sizeof f);
    return f;
}

/* A scale too small for a normal float counts as zero; one that is no number stays so, and makes every product NaN. */
static void quantize_q8(struct cpu_q8 x8, const float *x, size_t cols)
{
    for (size_t b = 0; b < cols / BLOCK; b++, x += BLOCK) {
        float d = largest(x) / 127;
        bool usable = d >= FLT_MIN && d <= FLT_MAX;
        if (d < FLT_MIN) d = 0;
        int sum = 0;
        for (int i = 0; i < BLOCK; i++) {
            int q = usable ? (int)rintf(x[i] / d) : 0;
            x8.q[b * BLOCK + i] = (int8_t)q;
            sum += q;
        }
        x8.d[b] = d;
        x8.sum[b] = d * (float)sum;
    }
}

static void quantize_q8_rows(struct cpu_q8_rows x8, const float *x, size_t ldx, size_t rows, size_t cols)
{
    for (size_t m = 0; m < rows; m++, x += ldx) {
        const struct cpu_q8_rows to = cpu_q8_rows_at(x8, m, 0);
        quantize_q8((struct cpu_q8){to.q, to.d, to.sum}, x, cols);
        for (size_t h = 0; h < cols / 16; h++) {
            int sum = 0;
            for (size_t i = 0; i < 16; i++) sum += to.q[16 * h + i];
            to.halves[h] = (int16_t)sum;
        }
    }
}

/* ---- quantised weights ------------------------------------------------------------------------------------ */

/* Σ (nibble − zero) · q over a block of packed nibbles */
static int dot_nibbles(const uint8_t *w, const int8_t *q, int zero)
{
    int sum = 0;
    for (int i = 0; i < 16; i++) sum += ((w[i] & 15) - zero) * q[i] + ((w[i] >> 4) - zero) * q[i + 16];
    return sum;
}

static void gemv_q4_0(float *y, const struct quant_matrix *w, size_t row, size_t rows, struct cpu_q8 x)
{
    for (size_t i = 0; i < rows; i++) {
        const uint8_t *block = row_at(w, row + i);
        y[i] = 0;
        for (size_t b = 0; b < w->cols / BLOCK; b++, block += 18)
            y[i] += half_at(block) * x.d[b] * (float)dot_nibbles(block + 2, x.q + b * BLOCK, 8);
    }
}

static void gemv_q4_1(float *y, const struct quant_matrix *w, size_t row, size_t rows, struct cpu_q8 x)
{
    for (size_t i = 0; i < rows; i++) {
        const uint8_t *block = row_at(w, row + i);
        y[i] = 0;
        for (size_t b = 0; b < w->cols / BLOCK; b++, block += 20)
            y[i] += half_at(block) * x.d[b] * (float)dot_nibbles(block + 4, x.q + b * BLOCK, 0) +
                    half_at(block + 2) * x.sum[b];
    }
}

static void gemv_q8_0(float *y, const struct quant_matrix *w, size_t row, size_t rows, struct cpu_q8 x)
{
    for (size_t i = 0; i < rows; i++) {
        const uint8_t *block = row_at(w, row + i);
        y[i] = 0;
        for (size_t b = 0; b < w->cols / BLOCK; b++, block += 34) {
            int sum = 0;
            for (int j = 0; j < BLOCK; j++) sum += (int8_t)block[2 + j] * x.q[b * BLOCK + j];
            y[i] += half_at(block) * x.d[b] * (float)sum;
        }
    }
}

/* ---- unquantised weights ---------------------------------------------------------------------------------- */

/* Product d goes to lane d mod LANES; the lanes are then added in halves. */
static void gemv_f32(float *y, const struct quant_matrix *w, size_t row, size_t rows, const float *x)
{
    const struct quant_format *f = &quant_formats[w->type];
    for (size_t i = 0; i < rows; i++) {
        float lane[LANES] = {0}, part[LANES];
        for (size_t d = 0; d < w->cols; d += LANES) {
            size_t n = w->cols - d < LANES ? w->cols - d : LANES;
            f->dequantize(part, row_at(w, row + i) + d * f->block_bytes, n);
            for (size_t j = 0; j < n; j++) lane[j] += part[j] * x[d + j];
        }
        for (int half = LANES / 2; half; half /= 2)
            for (int j = 0; j < half; j++) lane[j] += lane[j + half];
        y[i] = lane[0];
    }
}

static void dequantize(float *y, const struct quant_matrix *w, size_t row)
{
    quant_formats[w->type].dequantize(y, row_at(w, row), w->cols);
}

void gemv_scalar(struct cpu_kernels *t)
{
    t->quantize_q8 = quantize_q8;
    t->quantize_q8_rows = quantize_q8_rows;
    t->gemv_q8[QUANT_Q4_0] = gemv_q4_0;
    t->gemv_q8[QUANT_Q4_1] = gemv_q4_1;
    t->gemv_q8[QUANT_Q8_0] = gemv_q8_0;
    t->gemv_f32[QUANT_F32] = t->gemv_f32[QUANT_F16] = t->gemv_f32[QUANT_BF16] = gemv_f32;
    t->dequantize = dequantize;
}
