/* rows_avx512.c — the row kernels with AVX-512. */
#include "backend/cpu/vector_avx512.h"
#include "backend/cpu/rows_template.h"

void rows_avx512(struct cpu_kernels *t)
{
    fill_rows(t);
}
