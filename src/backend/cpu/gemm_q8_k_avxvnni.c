/* gemm_q8_k_avxvnni.c — gemm_q8_k_avx2.h by the vpdpbusd of AVX-VNNI: all three formats. */
enum { STEPS = 4 };
#include "backend/cpu/gemm_q8_k_avx2.h"
#include "backend/cpu/tile_codes.h"

PACKER(pack_q5_k, QUANT_Q5_K)
TILES_OF_HALVES

void gemm_q8_k_avxvnni(struct cpu_kernels *t)
{
    offer_k(t);
    offer_tiles_of_halves(t);
    t->pack_q8[QUANT_Q5_K] = pack_q5_k;
    t->tile_q8[QUANT_Q5_K] = t->tile_q8[QUANT_Q4_1];
    t->q8_panel_rows[QUANT_Q4_K] = 2;
    t->q8_panel_rows[QUANT_Q5_K] = 2;
    t->q8_panel_rows[QUANT_Q6_K] = 2;
}
