/* gemm_codes_avx2.c — gemm_codes.h. */
#include "backend/cpu/gemm_codes.h"

void gemm_codes_avx2(struct cpu_kernels *t)
{
    fill_gemm_codes(t);
}
