/* gemv_codes_avx512vbmi.c — gemv_codes.h for codes of 5 and 6 bits, and of Q2_0, which one shift of AVX-512 VBMI takes
 * apart.
 */
#define EACH(f) f(Q2_0) f(AFFINE5) f(AFFINE6)
#include "backend/cpu/gemv_codes.h"

void gemv_codes_avx512vbmi(struct cpu_kernels *t)
{
    fill_gemv_codes(t);
}
