/* attention_back_avx512bf16.c — the gradients of attention with AVX-512 BF16. */
#include "backend/cpu/attention_product_avx512bf16.h"
#include "backend/cpu/attention_bf16_back.h"

const struct attention_back attention_back_avx512bf16 = {back_scratch, back_q, back_kv, back_both};
