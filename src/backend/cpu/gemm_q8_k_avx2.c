/* gemm_q8_k_avx2.c — gemm_q8_k_avx2.h by vpmaddubsw: Q4_K and Q6_K. 16 bits hold four products of Q6_K in pairs, but
 * not the sixteen of Q5_K that the tile of formats with minimums adds up. */
enum { STEPS = 2 };
#include "backend/cpu/gemm_q8_k_avx2.h"

void gemm_q8_k_avx2(struct cpu_kernels *t)
{
    offer_k(t);
    t->q8_panel_rows[QUANT_Q4_K] = 3;
    t->q8_panel_rows[QUANT_Q6_K] = 2;
}
