/* internlm.c — InternLM 2 (Cai et al. 2024): Llama's shape with q, k and v fused group by group. InternLM 3 (2025):
 * Llama's names; a GGUF of it says that it is a Llama. Both scale their rotary base with the length. */
#include "model/config_json.h"

static void internlm2_fixed(struct model_config *c)
{
    c->norm_eps = 1e-5;
    c->fused_qkv = FUSED_GROUPS;
}

static lorac_status internlm2_from_json(const json_t *config, const char *file, struct model_config *c,
                                        lorac_error *err)
{
    (void)config;
    (void)file;
    (void)err;
    c->o_bias = c->qkv_bias;
    return LORAC_OK;
}

static void internlm3_fixed(struct model_config *c)
{
    c->norm_eps = 1e-5;
    c->context = 32768;
    c->head_dim = 128;
}

static lorac_status internlm3_from_json(const json_t *config, const char *file, struct model_config *c,
                                        lorac_error *err)
{
    (void)config;
    (void)file;
    (void)err;
    c->o_bias = c->mlp_bias;
    return LORAC_OK;
}

static const struct config_key internlm2_keys[] = {
    KEY("rms_norm_eps", FLOAT, norm_eps),
    KEY("bias", BOOL, qkv_bias),
    {"attn_implementation", KEY_KNOWN, 0},
    {NULL, KEY_KNOWN, 0},
};
static const struct config_key internlm3_keys[] = {
    KEY("rms_norm_eps", FLOAT, norm_eps), KEY("qkv_bias", BOOL, qkv_bias), KEY("attention_bias", BOOL, qkv_bias),
    KEY("bias", BOOL, mlp_bias),          KEY("mlp_bias", BOOL, mlp_bias), {NULL, KEY_KNOWN, 0},
};
static const struct weight_name internlm2_parts[PARTS] = {
    [PART_EMBEDDING] = {"model.tok_embeddings", NULL},
    [PART_HEAD] = {"output", NULL},
    [PART_ATTENTION_NORM] = {"model.layers.%zu.attention_norm", NULL},
    [PART_MLP_NORM] = {"model.layers.%zu.ffn_norm", NULL},
    [PART_QKV] = {"model.layers.%zu.attention.wqkv", APART},
    [PART_O] = {"model.layers.%zu.attention.wo", NULL},
    [PART_GATE] = {"model.layers.%zu.feed_forward.w1", NULL},
    [PART_UP] = {"model.layers.%zu.feed_forward.w3", NULL},
    [PART_DOWN] = {"model.layers.%zu.feed_forward.w2", NULL},
};
static const char *const internlm2_names[] = {"internlm2", NULL}, *const internlm3_types[] = {"internlm3", NULL},
                         *const none[] = {NULL};

const struct family family_internlm2 = {
    .name = "internlm2",
    .model_types = internlm2_names,
    .architectures = internlm2_names,
    .fixed = internlm2_fixed,
    .keys = internlm2_keys,
    .names = internlm2_parts,
    .from_json = internlm2_from_json,
    .gguf_interleaved = true,
};
const struct family family_internlm3 = {
    .name = "internlm3",
    .model_types = internlm3_types,
    .architectures = none,
    .fixed = internlm3_fixed,
    .keys = internlm3_keys,
    .from_json = internlm3_from_json,
    .gguf_as = "llama",
};
