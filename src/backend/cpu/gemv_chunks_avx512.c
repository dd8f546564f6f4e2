/* gemv_chunks_avx512.c — gemv_chunks_avx512.h. */
#define EACH(f) f(Q2_K) f(Q3_K) f(TQ2_0) f(AFFINE2) f(AFFINE4) f(MXFP4) f(NVFP4) f(GRID1) f(GRID2) f(GRID3) f(GRID3_S)
#include "backend/cpu/gemv_chunks_avx512.h"

void gemv_chunks_avx512(struct cpu_kernels *t)
{
    fill_gemv_chunks(t);
}
