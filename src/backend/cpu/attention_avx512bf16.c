/* attention_avx512bf16.c — attention with AVX-512 BF16. */
#include "backend/cpu/attention_product_avx512bf16.h"
#include "backend/cpu/attention_bf16_forward.h"
#include "backend/cpu/families.h"

static size_t scratch(size_t group, size_t head_dim, size_t keys)
{
    size_t one = forward_scratch(group, head_dim), two = attention_back_avx512bf16.scratch(group, head_dim, keys);
    return one > two ? one : two;
}

void attention_forward_avx512bf16(const struct cpu_attention *a)
{
    forward(a);
}

void attention_avx512bf16(struct cpu_kernels *t)
{
    t->attention_bf16 = (struct cpu_attention_kernels){.scratch = scratch,
                                                       .forward = forward,
                                                       .merge = merge_parts,
                                                       .back_q = attention_back_avx512bf16.q,
                                                       .back_kv = attention_back_avx512bf16.kv,
                                                       .back = attention_back_avx512bf16.both};
}
