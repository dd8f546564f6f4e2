/* quantize_mix.c — llama.cpp's mixes as a table. See quantize_mix.h. */
#include "quant/quantize_mix.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

enum mix {
    MIX_F32,
    MIX_F16,
    MIX_BF16,
    MIX_Q4_0,
    MIX_Q4_1,
    MIX_Q5_0,
    MIX_Q5_1,
    MIX_Q8_0,
    MIX_Q2_K,
    MIX_Q2_K_S,
    MIX_Q3_K_S,
    MIX_Q3_K_M,
    MIX_Q3_K_L,
    MIX_Q4_K_S,
    MIX_Q4_K_M,
    MIX_Q5_K_S,
    MIX_Q5_K_M,
    MIX_Q6_K,
    MIX_IQ4_NL,
    MIX_IQ4_XS,
    MIX_MXFP4,
    MIXES
};

static const struct quantize_mix mixes[MIXES] = {
    [MIX_F32] = {"F32", 0, QUANT_F32},
    [MIX_F16] = {"F16", 1, QUANT_F16},
    [MIX_BF16] = {"BF16", 32, QUANT_BF16},
    [MIX_Q4_0] = {"Q4_0", 2, QUANT_Q4_0},
    [MIX_Q4_1] = {"Q4_1", 3, QUANT_Q4_1},
    [MIX_Q5_0] = {"Q5_0", 8, QUANT_Q5_0},
    [MIX_Q5_1] = {"Q5_1", 9, QUANT_Q5_1},
    [MIX_Q8_0] = {"Q8_0", 7, QUANT_Q8_0},
    [MIX_Q2_K] = {"Q2_K", 10, QUANT_Q2_K},
    [MIX_Q2_K_S] = {"Q2_K_S", 21, QUANT_Q2_K},
    [MIX_Q3_K_S] = {"Q3_K_S", 11, QUANT_Q3_K},
    [MIX_Q3_K_M] = {"Q3_K_M", 12, QUANT_Q3_K},
    [MIX_Q3_K_L] = {"Q3_K_L", 13, QUANT_Q3_K},
    [MIX_Q4_K_S] = {"Q4_K_S", 14, QUANT_Q4_K},
    [MIX_Q4_K_M] = {"Q4_K_M", 15, QUANT_Q4_K},
    [MIX_Q5_K_S] = {"Q5_K_S", 16, QUANT_Q5_K},
    [MIX_Q5_K_M] = {"Q5_K_M", 17, QUANT_Q5_K},
    [MIX_Q6_K] = {"Q6_K", 18, QUANT_Q6_K},
    [MIX_IQ4_NL] = {"IQ4_NL", 25, QUANT_IQ4_NL},
    [MIX_IQ4_XS] = {"IQ4_XS", 30, QUANT_IQ4_XS},
    [MIX_MXFP4] = {"MXFP4", 38, QUANT_GGML_MXFP4},
};

const struct quantize_mix *quantize_mix_at(size_t i)
{
    return i < MIXES ? &mixes[i] : NULL;
}

const struct quantize_mix *quantize_mix_named(const char *name)
{
    for (size_t i = 0; i < MIXES; i++)
        if (strcasecmp(mixes[i].name, name) == 0) return &mixes[i];
    return NULL;
}

/* ---- the table ---------------------------------------------------------------------------------- */

/* Whom a rule is for, beside the mix and the module. */
enum condition {
    ALWAYS,
    LAYERS_2,
    LAYERS_4,
    LAYERS_EIGHTH,
    LAYERS_SIXTEENTH,
    LAYERS_MORE,
    SHARED_4,
    CALIBRATED,
    PLAIN
};

/* The first rule that fits decides; without one the mix's own type is taken. */
static const struct rule {
    enum mix mix;
    const char *module;
    enum condition condition;
    enum quant_type type;
} rules[] = {
    {MIX_Q4_0, "ffn_down", CALIBRATED, QUANT_Q4_1},  {MIX_Q5_0, "ffn_down", CALIBRATED, QUANT_Q5_1},
    {MIX_Q2_K, "attn_v", SHARED_4, QUANT_Q4_K},      {MIX_Q2_K, "attn_v", ALWAYS, QUANT_Q3_K},
    {MIX_Q2_K, "attn_output", ALWAYS, QUANT_Q3_K},   {MIX_Q2_K, "ffn_down", ALWAYS, QUANT_Q3_K},
    {MIX_Q2_K_S, "attn_v", SHARED_4, QUANT_Q4_K},    {MIX_Q2_K_S, "ffn_down", LAYERS_EIGHTH, QUANT_Q4_K},
    {MIX_Q3_K_M, "attn_v", LAYERS_2, QUANT_Q5_K},    {MIX_Q3_K_M, "attn_v", ALWAYS, QUANT_Q4_K},
    {MIX_Q3_K_M, "attn_output", ALWAYS, QUANT_Q4_K}, {MIX_Q3_K_M, "ffn_down", LAYERS_SIXTEENTH, QUANT_Q5_K},
    {MIX_Q3_K_M, "ffn_down", ALWAYS, QUANT_Q4_K},    {MIX_Q3_K_L, "attn_v", ALWAYS, QUANT_Q5_K},
    {MIX_Q3_K_L, "attn_output", ALWAYS, QUANT_Q5_K}, {MIX_Q3_K_L, "ffn_down", ALWAYS, QUANT_Q5_K},
    {MIX_Q4_K_S, "attn_v", LAYERS_4, QUANT_Q5_K},    {MIX_Q4_K_S, "ffn_down", LAYERS_EIGHTH, QUANT_Q5_K},
    {MIX_Q4_K_M, "attn_v", LAYERS_MORE, QUANT_Q6_K}, {MIX_Q4_K_M, "ffn_down", LAYERS_MORE, QUANT_Q6_K},
    {MIX_Q5_K_M, "attn_v", LAYERS_MORE, QUANT_Q6_K}, {MIX_Q5_K_M, "ffn_down", LAYERS_MORE, QUANT_Q6_K},
    {MIX_IQ4_NL, "attn_v", SHARED_4, QUANT_Q5_K},    {MIX_IQ4_NL, "ffn_down", PLAIN, QUANT_Q5_K},
    {MIX_IQ4_XS, "attn_v", SHARED_4, QUANT_Q5_K},    {MIX_IQ4_XS, "ffn_down", PLAIN, QUANT_Q5_K},
};

/* The first and the last eighth, and every third layer between. */
static bool more_bits(size_t layer, size_t layers)
{
    size_t eighth = layers / 8;
    return layer < eighth || layer >= 7 * layers / 8 || (layer - eighth) % 3 == 2;
}

static bool holds(enum condition c, const struct mix_model *m, size_t layer)
{
    switch (c) {
    case LAYERS_2:
        return layer < 2;
    case LAYERS_4:
        return layer < 4;
    case LAYERS_EIGHTH:
        return layer < m->layers / 8;
    case LAYERS_SIXTEENTH:
        return layer < m->layers / 16;
    case LAYERS_MORE:
        return more_bits(layer, m->layers);
    case SHARED_4: /* four queries or more to a head of keys and values */
        return m->kv_heads && m->heads / m->kv_heads >= 4;
    case CALIBRATED:
        return m->importance && layer < m->layers / 8;
    case PLAIN:
        return !m->importance && layer < m->layers / 8;
    default:
        return true;
    }
}

static enum quant_type of_module(enum mix mix, const struct mix_model *m, const char *module, size_t layer)
{
    if (strcmp(module, "attn_qkv") == 0) module = "attn_v"; /* what holds v as well is treated as v */
    for (size_t i = 0; i < sizeof rules / sizeof *rules; i++)
        if (rules[i].mix == mix && strcmp(rules[i].module, module) == 0 && holds(rules[i].condition, m, layer))
            return rules[i].type;
    return mixes[mix].type;
}

/* The head is worth more: Q6_K, or Q8_0 where blocks of the mix's type do not divide its rows. */
static enum quant_type of_head(enum quant_type type, size_t cols)
{
    bool eight = type == QUANT_Q8_0 || type == QUANT_GGML_MXFP4 || cols % quant_formats[type].block;
    return eight ? QUANT_Q8_0 : QUANT_Q6_K;
}

enum quant_type quantize_mix_type(const struct quantize_mix *mix, const struct mix_model *model, const char *name,
                                  size_t cols)
{
    unsigned layer;
    char module[32];
    enum quant_type type = mix->type;
    bool head = strcmp(name, model->tied ? "token_embd.weight" : "output.weight") == 0;
    if (type <= QUANT_BF16) return type;
    if (head)
        type = of_head(type, cols);
    else if (sscanf(name, "blk.%9u.%31[a-z_].weight", &layer, module) == 2)
        type = of_module((enum mix)(mix - mixes), model, module, layer);
    return quant_fallback(type, cols);
}

enum quant_type quant_fallback(enum quant_type type, size_t cols)
{
    static const enum quant_type smaller[QUANT_TYPES] = {
        [QUANT_Q2_K] = QUANT_IQ4_NL, [QUANT_Q3_K] = QUANT_IQ4_NL, [QUANT_IQ4_XS] = QUANT_IQ4_NL,
        [QUANT_Q4_K] = QUANT_Q5_0,   [QUANT_Q5_K] = QUANT_Q5_1,   [QUANT_Q6_K] = QUANT_Q8_0,
    };
    if (cols % quant_formats[type].block == 0) return type;
    type = smaller[type];
    return type && cols % quant_formats[type].block == 0 ? type : QUANT_F16;
}
