/* gemv_codes_avx2.c — gemv_codes.h. */
#include "backend/cpu/gemv_codes.h"

void gemv_codes_avx2(struct cpu_kernels *t)
{
    fill_gemv_codes(t);
}
