/* gemm_q8_avxvnni.c — gemm_q8_avx2.h by the vpdpbusd of AVX-VNNI: the formats of 4 and of 8 bits. */
#include "backend/cpu/gemm_q8_avx2.h"
#include "backend/cpu/tile_codes.h"

PACKER(pack_q8_0, QUANT_Q8_0)
TILES_OF_BLOCKS

void gemm_q8_avxvnni(struct cpu_kernels *t)
{
    offer_4_bits(t);
    t->pack_q8[QUANT_Q8_0] = pack_q8_0;
    t->tile_q8[QUANT_Q8_0] = tile_128;
    offer_tiles_of_blocks(t);
    t->q8_panel_rows[QUANT_Q4_0] = 4;
    t->q8_panel_rows[QUANT_Q4_1] = 6;
    t->q8_panel_rows[QUANT_Q8_0] = 3;
}
