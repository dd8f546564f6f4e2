/* quantize_q8.h — rows of int8 activations, block by block; a part of the gemv files, which define quantize_block
 * before they include this. */
#ifndef CPU_QUANTIZE_Q8_H
#define CPU_QUANTIZE_Q8_H

static void quantize_q8(struct cpu_q8 x8, const float *x, size_t cols)
{
    for (size_t b = 0; b < cols / BLOCK; b++, x += BLOCK) {
        int sums[2];
        x8.d[b] = quantize_block(x8.q + b * BLOCK, x, sums);
        x8.sum[b] = x8.d[b] * (float)(sums[0] + sums[1]);
    }
}

static void quantize_q8_rows(struct cpu_q8_rows x8, const float *x, size_t ldx, size_t rows, size_t cols)
{
    for (size_t m = 0; m < rows; m++)
        for (size_t b = 0; b < cols / BLOCK; b++) {
            const struct cpu_q8_rows to = cpu_q8_rows_at(x8, m, b * BLOCK);
            int sums[2];
            *to.d = quantize_block(to.q, x + m * ldx + b * BLOCK, sums);
            *to.sum = *to.d * (float)(sums[0] + sums[1]);
            to.halves[0] = (int16_t)sums[0], to.halves[1] = (int16_t)sums[1];
        }
}

#endif
