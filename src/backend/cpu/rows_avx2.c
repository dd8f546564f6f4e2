/* rows_avx2.c — the row kernels with AVX2. */
#include "backend/cpu/vector_avx2.h"
#include "backend/cpu/rows_template.h"

void rows_avx2(struct cpu_kernels *t)
{
    fill_rows(t);
}
