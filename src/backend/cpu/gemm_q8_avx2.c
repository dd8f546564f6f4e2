/* gemm_q8_avx2.c — gemm_q8_avx2.h by vpmaddubsw: the formats of 4 bits. Pairs of 8-bit codes would not fit in 16 bits;
 * splitting them costs what f32 products cost. */
#include "backend/cpu/gemm_q8_avx2.h"

void gemm_q8_avx2(struct cpu_kernels *t)
{
    offer_4_bits(t);
    t->q8_panel_rows[QUANT_Q4_0] = 4;
    t->q8_panel_rows[QUANT_Q4_1] = 8;
}
