/* phi.c — Phi-1.5 and Phi-2 (Li et al. 2023): attention and MLP side by side after one layer norm, biases everywhere,
 * GELU, half of each head rotates. Phi-3, 3.5, 4 and 4-mini (Abdin et al. 2024): Llama's shape with fused q, k, v and
 * fused gate and up, a window, LongRoPE. */
#include "model/config_json.h"

static void phi_fixed(struct model_config *c)
{
    c->norm_eps = 1e-5;
    c->layer_norm = c->norm_bias = true;
    c->order = BLOCK_PARALLEL;
    c->activation = ACTIVATION_GELU_TANH;
    c->gated = false;
    c->qkv_bias = c->o_bias = c->mlp_bias = c->head_bias = true;
    c->rope[ROPE_FULL].part = 0.5;
}

static lorac_status phi_from_json(const json_t *config, const char *file, struct model_config *c, lorac_error *err)
{
    bool normalised;
    TRY(json_get_bool(config, "qk_layernorm", false, &normalised, file, err));
    c->qk_norm = normalised ? QK_NORM_HEAD : QK_NORM_NONE;
    return LORAC_OK;
}

static void phi3_fixed(struct model_config *c)
{
    c->norm_eps = 1e-5;
    c->context = 4096;
    c->fused_qkv = FUSED_BLOCKS;
    c->fused_gate_up = true;
}

static lorac_status phi3_from_json(const json_t *config, const char *file, struct model_config *c, lorac_error *err)
{
    (void)config;
    (void)file;
    (void)err;
    config_window_all(c);
    return LORAC_OK;
}

static lorac_status phi3_from_gguf(const struct gguf *g, struct model_config *c, lorac_error *err)
{
    (void)g;
    (void)err;
    config_window_all(c);
    return LORAC_OK;
}

static const struct config_key phi_keys[] = {
    KEY("layer_norm_eps", FLOAT, norm_eps),
    KEY("partial_rotary_factor", FLOAT, rope[ROPE_FULL].part),
    {"qk_layernorm", KEY_KNOWN, 0},
    {NULL, KEY_KNOWN, 0},
};
static const struct config_key phi3_keys[] = {
    KEY("rms_norm_eps", FLOAT, norm_eps),
    KEY("partial_rotary_factor", FLOAT, rope[ROPE_FULL].part),
    KEY("sliding_window", SIZE, window),
    {"original_max_position_embeddings", KEY_KNOWN, 0},
    {NULL, KEY_KNOWN, 0},
};
static const struct weight_name phi_parts[PARTS] = {
    [PART_FINAL_NORM] = {"model.final_layernorm", NULL},
    [PART_O] = {"model.layers.%zu.self_attn.dense", NULL},
    [PART_UP] = {"model.layers.%zu.mlp.fc1", NULL},
    [PART_DOWN] = {"model.layers.%zu.mlp.fc2", NULL},
    [PART_Q_NORM] = {"model.layers.%zu.self_attn.q_layernorm", NULL},
    [PART_K_NORM] = {"model.layers.%zu.self_attn.k_layernorm", NULL},
};
static const char *const phi_types[] = {"phi", NULL}, *const phi_architectures[] = {"phi2", NULL},
                         *const phi3_names[] = {"phi3", NULL};

const struct family family_phi = {
    .name = "phi",
    .model_types = phi_types,
    .architectures = phi_architectures,
    .fixed = phi_fixed,
    .keys = phi_keys,
    .names = phi_parts,
    .from_json = phi_from_json,
};
const struct family family_phi3 = {
    .name = "phi3",
    .model_types = phi3_names,
    .architectures = phi3_names,
    .fixed = phi3_fixed,
    .keys = phi3_keys,
    .from_json = phi3_from_json,
    .from_gguf = phi3_from_gguf,
};
