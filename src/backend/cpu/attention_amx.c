/* attention_amx.c — attention with AMX, whose registers take 32 numbers of a head at once: heads of another width go
 * the way of AVX-512 BF16. */
#include "backend/cpu/attention_product_amx.h"
#include "backend/cpu/attention_bf16_forward.h"
#include "backend/cpu/families.h"

static bool whole_registers(size_t head_dim)
{
    return head_dim % TILE_DEPTH == 0;
}

static size_t scratch(size_t group, size_t head_dim, size_t keys)
{
    struct cpu_kernels below;
    attention_avx512bf16(&below);
    if (!whole_registers(head_dim)) return below.attention_bf16.scratch(group, head_dim, keys);
    size_t one = forward_scratch(group, head_dim), two = attention_back_amx.scratch(group, head_dim, keys);
    return one > two ? one : two;
}

static const struct attention_back *back_of(const struct cpu_attention *a)
{
    return whole_registers(a->head_dim) ? &attention_back_amx : &attention_back_avx512bf16;
}

static void attend(const struct cpu_attention *a)
{
    if (whole_registers(a->head_dim))
        forward(a);
    else
        attention_forward_avx512bf16(a);
}
static void back_q(const struct cpu_attention *a)
{
    back_of(a)->q(a);
}
static void back_kv(const struct cpu_attention *a)
{
    back_of(a)->kv(a);
}
static void back(const struct cpu_attention *a)
{
    back_of(a)->both(a);
}

void attention_amx(struct cpu_kernels *t)
{
    t->attention_bf16 = (struct cpu_attention_kernels){.scratch = scratch,
                                                       .forward = attend,
                                                       .merge = merge_parts,
                                                       .back_q = back_q,
                                                       .back_kv = back_kv,
                                                       .back = back};
}
