/* attention_avx512.c — attention with AVX-512. */
#include "backend/cpu/vector_avx512.h"
#include "backend/cpu/attention_template.h"

void attention_avx512(struct cpu_kernels *t)
{
    fill_attention(t);
}
