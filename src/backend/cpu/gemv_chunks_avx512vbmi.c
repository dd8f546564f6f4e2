/* gemv_chunks_avx512vbmi.c — gemv_chunks_avx512.h for codes of three bits, which one shift of AVX-512 VBMI takes apart.
 */
#define EACH(f) f(AFFINE3)
#include "backend/cpu/gemv_chunks_avx512.h"

void gemv_chunks_avx512vbmi(struct cpu_kernels *t)
{
    fill_gemv_chunks(t);
}
