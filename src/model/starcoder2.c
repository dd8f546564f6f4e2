/* starcoder2.c — StarCoder 2 (Lozhkov et al. 2024): layer norms, biases everywhere, an MLP without gate, a window. */
#include "model/config_json.h"

static void fixed(struct model_config *c)
{
    c->context = 4096;
    c->norm_eps = 1e-5;
    c->layer_norm = c->norm_bias = c->tied_head = true;
    c->activation = ACTIVATION_GELU_TANH;
    c->gated = false;
    c->qkv_bias = true;
}

static lorac_status from_json(const json_t *config, const char *file, struct model_config *c, lorac_error *err)
{
    (void)config;
    (void)file;
    (void)err;
    c->o_bias = c->mlp_bias = c->qkv_bias;
    config_window_all(c);
    return LORAC_OK;
}

static lorac_status from_gguf(const struct gguf *g, struct model_config *c, lorac_error *err)
{
    (void)g;
    (void)err;
    config_window_all(c);
    return LORAC_OK;
}

static const struct config_key keys[] = {
    KEY("norm_epsilon", FLOAT, norm_eps),
    KEY("use_bias", BOOL, qkv_bias),
    KEY("sliding_window", SIZE, window),
    {NULL, KEY_KNOWN, 0},
};
static const struct weight_name parts[PARTS] = {
    [PART_UP] = {"model.layers.%zu.mlp.c_fc", NULL},
    [PART_DOWN] = {"model.layers.%zu.mlp.c_proj", NULL},
};
static const char *const names[] = {"starcoder2", NULL};

const struct family family_starcoder2 = {
    .name = "starcoder2",
    .model_types = names,
    .architectures = names,
    .fixed = fixed,
    .keys = keys,
    .names = parts,
    .from_json = from_json,
    .from_gguf = from_gguf,
};
