/* gpt.c — GPT-2 (Radford et al. 2019): learned positions, layer norms, biases, GELU; the folder's matrices are
 * (in, out). GPT-NeoX and Pythia (Black et al. 2022): a quarter of each head rotates, attention and MLP side by side
 * after a norm each, fused q, k, v head by head. */
#include "model/config_json.h"

static void fixed(struct model_config *c)
{
    c->norm_eps = 1e-5;
    c->layer_norm = c->norm_bias = true;
    c->gated = false;
    c->qkv_bias = c->o_bias = c->mlp_bias = true;
}

static void gpt2_fixed(struct model_config *c)
{
    fixed(c);
    c->context = 1024;
    c->tied_head = true;
    c->activation = ACTIVATION_GELU_TANH;
    c->fused_qkv = FUSED_BLOCKS;
    c->conv1d = true;
}

static lorac_status gpt2_from_json(const json_t *config, const char *file, struct model_config *c, lorac_error *err)
{
    bool weighed;
    TRY(json_get_bool(config, "scale_attn_weights", true, &weighed, file, err));
    if (!weighed) c->attention_scale = 1;
    c->positions = c->context;
    return LORAC_OK;
}

static lorac_status gpt2_from_gguf(const struct gguf *g, struct model_config *c, lorac_error *err)
{
    (void)g;
    (void)err;
    c->positions = c->context;
    return LORAC_OK;
}

static void neox_fixed(struct model_config *c)
{
    fixed(c);
    c->activation = ACTIVATION_GELU;
    c->fused_qkv = FUSED_GROUPS;
    c->rope[ROPE_FULL].part = 0.25;
}

static lorac_status neox_from_json(const json_t *config, const char *file, struct model_config *c, lorac_error *err)
{
    bool parallel;
    TRY(json_get_bool(config, "use_parallel_residual", true, &parallel, file, err));
    c->order = parallel ? BLOCK_PARALLEL_NORMS : BLOCK_SEQUENTIAL;
    c->o_bias = c->qkv_bias;
    return LORAC_OK;
}

static lorac_status neox_from_gguf(const struct gguf *g, struct model_config *c, lorac_error *err)
{
    bool parallel;
    TRY(gguf_get_bool(g, "gptneox.use_parallel_residual", true, &parallel, err));
    c->order = parallel ? BLOCK_PARALLEL_NORMS : BLOCK_SEQUENTIAL;
    return LORAC_OK;
}

static void neox_to_gguf(struct model_config *c, struct gguf_draft *d)
{
    gguf_put_bool(d, "gptneox.use_parallel_residual", c->order == BLOCK_PARALLEL_NORMS);
}

static const struct config_key gpt2_keys[] = {
    KEY("n_layer", SIZE, layers),
    KEY("n_embd", SIZE, hidden),
    KEY("n_head", SIZE, heads),
    KEY("n_inner", SIZE, intermediate),
    KEY("n_positions", SIZE, context),
    KEY("layer_norm_epsilon", FLOAT, norm_eps),
    KEY("activation_function", ACTIVATION, activation),
    {"scale_attn_weights", KEY_KNOWN, 0},
    {NULL, KEY_KNOWN, 0},
};
static const struct config_key neox_keys[] = {
    KEY("layer_norm_eps", FLOAT, norm_eps),         KEY("attention_bias", BOOL, qkv_bias),
    KEY("rotary_pct", FLOAT, rope[ROPE_FULL].part), KEY("rotary_emb_base", FLOAT, rope[ROPE_FULL].theta),
    {"use_parallel_residual", KEY_KNOWN, 0},        {NULL, KEY_KNOWN, 0},
};
static const struct weight_name gpt2_parts[PARTS] = {
    [PART_EMBEDDING] = {"transformer.wte", NULL},         [PART_POSITIONS] = {"transformer.wpe", "position_embd"},
    [PART_FINAL_NORM] = {"transformer.ln_f", NULL},       [PART_ATTENTION_NORM] = {"transformer.h.%zu.ln_1", NULL},
    [PART_MLP_NORM] = {"transformer.h.%zu.ln_2", NULL},   [PART_QKV] = {"transformer.h.%zu.attn.c_attn", NULL},
    [PART_O] = {"transformer.h.%zu.attn.c_proj", NULL},   [PART_UP] = {"transformer.h.%zu.mlp.c_fc", NULL},
    [PART_DOWN] = {"transformer.h.%zu.mlp.c_proj", NULL},
};
static const struct weight_name neox_parts[PARTS] = {
    [PART_EMBEDDING] = {"gpt_neox.embed_in", NULL},
    [PART_FINAL_NORM] = {"gpt_neox.final_layer_norm", NULL},
    [PART_HEAD] = {"embed_out", NULL},
    [PART_ATTENTION_NORM] = {"gpt_neox.layers.%zu.input_layernorm", NULL},
    [PART_MLP_NORM] = {"gpt_neox.layers.%zu.post_attention_layernorm", NULL},
    [PART_QKV] = {"gpt_neox.layers.%zu.attention.query_key_value", NULL},
    [PART_O] = {"gpt_neox.layers.%zu.attention.dense", NULL},
    [PART_UP] = {"gpt_neox.layers.%zu.mlp.dense_h_to_4h", NULL},
    [PART_DOWN] = {"gpt_neox.layers.%zu.mlp.dense_4h_to_h", NULL},
};
static const char *const gpt2_names[] = {"gpt2", NULL}, *const neox_types[] = {"gpt_neox", NULL},
                         *const neox_architectures[] = {"gptneox", NULL},
                         *const gpt2_mlx[] = {"transformer.", "model."},
                         *const neox_mlx[] = {"gpt_neox.layers.", "model.h."};

const struct family family_gpt2 = {
    .name = "gpt2",
    .model_types = gpt2_names,
    .architectures = gpt2_names,
    .fixed = gpt2_fixed,
    .keys = gpt2_keys,
    .names = gpt2_parts,
    .from_json = gpt2_from_json,
    .from_gguf = gpt2_from_gguf,
    .mlx = gpt2_mlx,
};
const struct family family_gpt_neox = {
    .name = "gpt_neox",
    .model_types = neox_types,
    .architectures = neox_architectures,
    .fixed = neox_fixed,
    .keys = neox_keys,
    .names = neox_parts,
    .from_json = neox_from_json,
    .from_gguf = neox_from_gguf,
    .to_gguf = neox_to_gguf,
    .mlx = neox_mlx,
};
