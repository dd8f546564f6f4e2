/* gemv_e4m3_avx512.c — gemv_e4m3.h. */
#include "backend/cpu/gemv_e4m3.h"

void gemv_e4m3_avx512(struct cpu_kernels *t)
{
    fill_gemv_e4m3(t);
}
