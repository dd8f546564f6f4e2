/* gemv_codes_avxvnni.c — gemv_codes.h. */
#include "backend/cpu/gemv_codes.h"

void gemv_codes_avxvnni(struct cpu_kernels *t)
{
    fill_gemv_codes(t);
}
