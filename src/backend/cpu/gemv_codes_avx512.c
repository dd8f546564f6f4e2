/* gemv_codes_avx512.c — gemv_codes.h for what gemv_chunks_avx512.h has not. */
#define EACH(f)                                                                                                        \
    f(Q5_0) f(Q5_1) f(IQ4_NL) f(IQ4_XS) f(GGML_MXFP4) f(GGML_NVFP4) f(Q1_0) f(Q2_0) f(AFFINE3) f(AFFINE5) f(AFFINE6)   \
        f(AFFINE8) f(NF4) f(FP4) f(INT8)
#include "backend/cpu/gemv_codes.h"

void gemv_codes_avx512(struct cpu_kernels *t)
{
    fill_gemv_codes(t);
}
