/* gemv_codes_avx512.c — gemv_codes.h for what gemv_q8_avx512.c and gemv_chunks_avx512.h have not. */
#define EACH(f) f(GGML_NVFP4) f(Q1_0) f(Q2_0) f(AFFINE3) f(AFFINE5) f(AFFINE6) f(AFFINE8) f(NF4) f(FP4) f(INT8)
#include "backend/cpu/gemv_codes.h"

void gemv_codes_avx512(struct cpu_kernels *t)
{
    fill_gemv_codes(t);
}
