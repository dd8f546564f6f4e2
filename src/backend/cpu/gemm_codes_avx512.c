/* gemm_codes_avx512.c — gemm_codes.h. */
#include "backend/cpu/gemm_codes.h"

void gemm_codes_avx512(struct cpu_kernels *t)
{
    fill_gemm_codes(t);
}
