/* attention_back_amx.c — the gradients of attention with AMX. */
#include "backend/cpu/attention_product_amx.h"
#include "backend/cpu/attention_bf16_back.h"

const struct attention_back attention_back_amx = {back_scratch, back_q, back_kv, back_both};
