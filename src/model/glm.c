/* glm.c — GLM-4 (Team GLM 2024): Llama's shape with biases on q, k and v, fused gate and up, half of each head rotates,
 * in pairs of neighbours. GLM-4-0414 (2025): norms after the blocks as well. */
#include "model/config_json.h"

static void fixed(struct model_config *c)
{
    c->context = 131072;
    c->norm_eps = 1.5625e-7;
    c->head_dim = 128;
    c->qkv_bias = true;
    c->fused_gate_up = true;
    c->rope[ROPE_FULL].part = 0.5;
    c->rope[ROPE_FULL].interleaved = true;
}

static void fixed4(struct model_config *c)
{
    fixed(c);
    c->norms = NORM_BEFORE | NORM_AFTER;
}

static const struct config_key keys[] = {
    KEY("rms_norm_eps", FLOAT, norm_eps),
    KEY("attention_bias", BOOL, qkv_bias),
    KEY("partial_rotary_factor", FLOAT, rope[ROPE_FULL].part),
    {NULL, KEY_KNOWN, 0},
};
static const struct weight_name parts4[PARTS] = {
    [PART_ATTENTION_AFTER] = {"model.layers.%zu.post_self_attn_layernorm", NULL},
    [PART_MLP_AFTER] = {"model.layers.%zu.post_mlp_layernorm", NULL},
};
static const char *const types[] = {"glm", NULL}, *const architectures[] = {"chatglm", NULL},
                         *const names4[] = {"glm4", NULL};

const struct family family_glm = {
    .name = "glm",
    .model_types = types,
    .architectures = architectures,
    .fixed = fixed,
    .keys = keys,
};
const struct family family_glm4 = {
    .name = "glm4",
    .model_types = names4,
    .architectures = names4,
    .fixed = fixed4,
    .keys = keys,
    .names = parts4,
};
