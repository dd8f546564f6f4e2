/* attention_avx2.c — attention with AVX2. */
#include "backend/cpu/vector_avx2.h"
#include "backend/cpu/attention_template.h"

void attention_avx2(struct cpu_kernels *t)
{
    fill_attention(t);
}
