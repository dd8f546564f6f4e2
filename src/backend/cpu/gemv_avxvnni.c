/* gemv_avxvnni.c — gemv_q4_avx2.h by the vpdpbusd of AVX-VNNI; AVX2's other kernels already run at memory's speed. */
#include "backend/cpu/gemv_q4_avx2.h"

void gemv_avxvnni(struct cpu_kernels *t)
{
    t->gemv_q8[QUANT_Q4_0] = gemv_q4_0;
    t->gemv_q8[QUANT_Q4_1] = gemv_q4_1;
}
