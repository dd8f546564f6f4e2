/* gemv_e4m3_avx2.c — gemv_e4m3.h. */
#include "backend/cpu/gemv_e4m3.h"

void gemv_e4m3_avx2(struct cpu_kernels *t)
{
    t->gemv_f32[QUANT_MXFP8] = t->gemv_f32[QUANT_FP8] = gemv;
}
