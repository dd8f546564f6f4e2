/* gemm_q8_avx2.c — no int8 panels yet. */
#include "backend/cpu/families.h"

#include <string.h>

void gemm_q8_avx2(struct cpu_kernels *t)
{
    memset(t->pack_q8, 0, sizeof t->pack_q8); /* made for panels of another width */
    memset(t->tile_q8, 0, sizeof t->tile_q8);
    t->q8_record = 0;
}
