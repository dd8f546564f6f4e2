/* gemm_q8_avx2.c — gemm_q8_avx2.h by vpmaddubsw: the formats of up to 4 bits. Pairs of 8-bit codes would not fit in 16
 * bits; splitting them costs what f32 products cost. */
#include "backend/cpu/gemm_q8_avx2.h"

TILE(tile_1, 1, false)

void gemm_q8_avx2(struct cpu_kernels *t)
{
    offer_4_bits(t);
    t->tile_q8[QUANT_TQ2_0] = t->tile_q8[QUANT_Q1_0] = t->tile_q8[QUANT_Q2_0] = tile_1;
    for (enum quant_type i = QUANT_AFFINE2; i <= QUANT_AFFINE4; i++) t->tile_q8[i] = tile_q4_1;
    t->q8_panel_rows[QUANT_Q4_0] = 4;
    t->q8_panel_rows[QUANT_Q4_1] = 8;
}
