/* gemv_k_scalar.c — a k-quantised matrix times one row of int8 activations in plain C: the specification of every
 * faster one.
 *
 * Per block of 32 (Q4_K, Q5_K) y += d·s·dx · Σ q·x8 − dmin·m · sum; per block of 16 (Q6_K) y += d·s·dx · Σ (q − 32)·x8,
 * where dx and sum belong to 32 activations. */
#include "backend/cpu/families.h"
#include "quant/k_quants.h"

enum { BLOCK = 32, BLOCKS = K_SUPER / BLOCK };

static float half_at(const uint8_t *p)
{
    return half_to_float((uint16_t)(p[0] | p[1] << 8));
}

static int dot(const uint8_t *codes, const int8_t *q, size_t n, int zero)
{
    int sum = 0;
    for (size_t i = 0; i < n; i++) sum += (codes[i] - zero) * q[i];
    return sum;
}

/* Block j of a super-block with minimums; x at its activations. */
static float block_min(enum quant_type type, const uint8_t *super, size_t j, struct cpu_q8 x)
{
    uint8_t codes[BLOCK], s, m;
    k_codes(type, codes, super, j);
    k_scale_min(super + K_SCALES, j, &s, &m);
    return half_at(super) * (float)s * x.d[0] * (float)dot(codes, x.q, BLOCK, 0) -
           half_at(super + 2) * (float)m * x.sum[0];
}

/* Quarter j of a super-block of Q6_K: two blocks. */
static float block_q6(enum quant_type type, const uint8_t *super, size_t j, struct cpu_q8 x)
{
    uint8_t codes[BLOCK];
    const int8_t *s = (const int8_t *)super + Q6_K_SCALES + 2 * j;
    k_codes(type, codes, super, j);
    float d = half_at(super + Q6_K_D);
    return d * (float)s[0] * x.d[0] * (float)dot(codes, x.q, 16, 32) +
           d * (float)s[1] * x.d[0] * (float)dot(codes + 16, x.q + 16, 16, 32);
}

static void gemv(float (*block)(enum quant_type, const uint8_t *, size_t, struct cpu_q8), float *y,
                 const struct quant_matrix *w, size_t row, size_t rows, struct cpu_q8 x)
{
    for (size_t i = 0; i < rows; i++) {
        const uint8_t *super = w->data + (row + i) * w->row_bytes;
        y[i] = 0;
        for (size_t b = 0; b < w->cols / BLOCK; b++) {
            const struct cpu_q8 at = {x.q + b * BLOCK, x.d + b, x.sum + b};
            y[i] += block(w->type, super + b / BLOCKS * quant_formats[w->type].block_bytes, b % BLOCKS, at);
        }
    }
}

static void gemv_min(float *y, const struct quant_matrix *w, size_t row, size_t rows, struct cpu_q8 x)
{
    gemv(block_min, y, w, row, rows, x);
}

static void gemv_q6(float *y, const struct quant_matrix *w, size_t row, size_t rows, struct cpu_q8 x)
{
    gemv(block_q6, y, w, row, rows, x);
}

void gemv_k_scalar(struct cpu_kernels *t)
{
    t->gemv_q8[QUANT_Q4_K] = t->gemv_q8[QUANT_Q5_K] = gemv_min;
    t->gemv_q8[QUANT_Q6_K] = gemv_q6;
}
