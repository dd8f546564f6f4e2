/* gemm_q8_k_avx2.c — gemm_q8_k_avx2.h by vpmaddubsw: Q4_K, Q6_K and the halves of codes.h but the
 * largest. 16 bits hold four products of Q6_K in pairs, but
 * not the sixteen of Q5_K that the tile of formats with minimums adds up. */
enum { STEPS = 2 };
#include "backend/cpu/gemm_q8_k_avx2.h"

TILE(tile_4, 4, false)
TILE(tile_9, 9, false)
TILE(tile_12, 12, false)

void gemm_q8_k_avx2(struct cpu_kernels *t)
{
    offer_k(t);
    t->tile_q8[QUANT_Q3_K] = tile_4;
    t->tile_q8[QUANT_GRID1] = tile_9;
    t->tile_q8[QUANT_GGML_NVFP4] = t->tile_q8[QUANT_NVFP4] = tile_12;
    t->q8_panel_rows[QUANT_Q4_K] = 3;
    t->q8_panel_rows[QUANT_Q6_K] = 2;
}
