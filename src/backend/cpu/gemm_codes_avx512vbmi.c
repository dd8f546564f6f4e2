/* gemm_codes_avx512vbmi.c — gemm_codes.h for codes of 2, 3, 5 and 6 bits, which one shift of AVX-512 VBMI takes apart.
 */
#define EACH(f) f(Q2_0) f(AFFINE2) f(AFFINE3) f(AFFINE5) f(AFFINE6)
#include "backend/cpu/gemm_codes.h"

void gemm_codes_avx512vbmi(struct cpu_kernels *t)
{
    fill_gemm_codes(t);
}
