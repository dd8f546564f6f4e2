/* granite.c — Granite 3 (IBM 2024): Llama's shape with multipliers on the embeddings, the blocks' outputs, q·k and the
 * logits. Granite 4's dense models (2025) are hybrids without Mamba layers and experts: gate and up are fused. */
#include "adapter/adapter.h"
#include "model/config_json.h"

#include <string.h>

static void fixed(struct model_config *c)
{
    c->attention_scale = 1;
}

/* The config divides the logits. */
static lorac_status divide_logits(const char *file, struct model_config *c, lorac_error *err)
{
    if (!(c->logit_scale > 0)) return fail(err, LORAC_FORMAT, file, "the logits are divided by %g", c->logit_scale);
    c->logit_scale = 1 / c->logit_scale;
    return LORAC_OK;
}

static void without_positions(struct model_config *c)
{
    for (size_t i = 0; i < MAX_LAYERS; i++) c->kind[i] |= LAYER_NO_ROPE;
}

static lorac_status from_json(const json_t *config, const char *file, struct model_config *c, lorac_error *err)
{
    (void)config;
    c->o_bias = c->qkv_bias;
    return divide_logits(file, c, err);
}

static lorac_status from_gguf(const struct gguf *g, struct model_config *c, lorac_error *err)
{
    return divide_logits(g->path, c, err);
}

static void to_gguf(struct model_config *c, struct gguf_draft *d)
{
    (void)d;
    c->logit_scale = 1 / c->logit_scale;
}

/* Layers other than attention, and experts, are refused. */
static lorac_status hybrid_from_json(const json_t *config, const char *file, struct model_config *c, lorac_error *err)
{
    const json_t *types = json_object_get(config, "layer_types");
    const char *positions;
    size_t experts;
    if (!types) types = json_object_get(config, "layers_block_type");
    TRY(json_get_size(config, "num_local_experts", 8, &experts, file, err));
    if (experts) return fail(err, LORAC_UNSUPPORTED, file, "mixtures of experts are not known to lorac");
    for (size_t i = 0; i < c->layers; i++) {
        const char *type = json_string_value(json_array_get(types, i));
        if (!type || (strcmp(type, "attention") && strcmp(type, "full_attention")))
            return fail(err, LORAC_UNSUPPORTED, file, "layer %zu is of type \"%s\"; lorac knows attention", i,
                        type ? type : "mamba");
    }
    TRY(json_get_text(config, "position_embedding_type", "nope", &positions, file, err));
    if (strcmp(positions, "rope")) without_positions(c);
    return from_json(config, file, c, err);
}

static lorac_status hybrid_from_gguf(const struct gguf *g, struct model_config *c, lorac_error *err)
{
    bool positions;
    TRY(gguf_get_bool(g, "granite.rope.scaling.finetuned", true, &positions, err)); /* llama.cpp's switch for them */
    if (!positions) without_positions(c);
    return from_gguf(g, c, err);
}

static void hybrid_to_gguf(struct model_config *c, struct gguf_draft *d)
{
    gguf_put_bool(d, "granite.rope.scaling.finetuned", !(c->kind[0] & LAYER_NO_ROPE));
    to_gguf(c, d);
}

static void hybrid_fixed(struct model_config *c)
{
    fixed(c);
    c->intermediate = 1024;
    c->fused_gate_up = true;
}

static const struct config_key keys[] = {
    KEY("rms_norm_eps", FLOAT, norm_eps),
    KEY("attention_bias", BOOL, qkv_bias),
    KEY("mlp_bias", BOOL, mlp_bias),
    KEY("embedding_multiplier", FLOAT, embedding_scale),
    KEY("residual_multiplier", FLOAT, residual_scale),
    KEY("attention_multiplier", FLOAT, attention_scale),
    KEY("logits_scaling", FLOAT, logit_scale),
    {NULL, KEY_KNOWN, 0},
};
static const struct config_key hybrid_keys[] = {
    KEY("rms_norm_eps", FLOAT, norm_eps),
    KEY("attention_bias", BOOL, qkv_bias),
    KEY("embedding_multiplier", FLOAT, embedding_scale),
    KEY("residual_multiplier", FLOAT, residual_scale),
    KEY("attention_multiplier", FLOAT, attention_scale),
    KEY("logits_scaling", FLOAT, logit_scale),
    KEY("shared_intermediate_size", SIZE, intermediate),
    {"layer_types", KEY_KNOWN, 0},
    {"layers_block_type", KEY_KNOWN, 0},
    {"num_local_experts", KEY_KNOWN, 0},
    {"position_embedding_type", KEY_KNOWN, 0},
    /* of experts and Mamba layers, which are not there */
    {"num_experts_per_tok", KEY_KNOWN, 0},
    {"router_aux_loss_coef", KEY_KNOWN, 0},
    {"mamba_n_heads", KEY_KNOWN, 0},
    {"mamba_n_groups", KEY_KNOWN, 0},
    {"mamba_d_state", KEY_KNOWN, 0},
    {"mamba_d_head", KEY_KNOWN, 0},
    {"mamba_d_conv", KEY_KNOWN, 0},
    {"mamba_expand", KEY_KNOWN, 0},
    {"mamba_chunk_size", KEY_KNOWN, 0},
    {"mamba_conv_bias", KEY_KNOWN, 0},
    {"mamba_proj_bias", KEY_KNOWN, 0},
    {"time_step_limit", KEY_KNOWN, 0},
    {"normalization_function", KEY_KNOWN, 0},
    {"init_method", KEY_KNOWN, 0},
    {NULL, KEY_KNOWN, 0},
};
static const struct weight_name hybrid_parts[PARTS] = {
    [PART_GATE_UP] = {"model.layers.%zu.shared_mlp.input_linear", APART},
    [PART_DOWN] = {"model.layers.%zu.shared_mlp.output_linear", NULL},
};
static const struct module_split hybrid_splits[] = {
    {".shared_mlp.input_linear", {".mlp.gate_proj", ".mlp.up_proj"}},
    {".shared_mlp.output_linear", {".mlp.down_proj"}},
    {NULL, {NULL}},
};
static const char *const names[] = {"granite", NULL}, *const hybrid_types[] = {"granitemoehybrid", NULL},
                         *const none[] = {NULL};

const struct family family_granite = {
    .name = "granite",
    .model_types = names,
    .architectures = names,
    .fixed = fixed,
    .keys = keys,
    .from_json = from_json,
    .from_gguf = from_gguf,
    .gguf_interleaved = true,
    .to_gguf = to_gguf,
};
const struct family family_granite_hybrid = {
    .name = "granitemoehybrid",
    .model_types = hybrid_types,
    .architectures = none,
    .fixed = hybrid_fixed,
    .keys = hybrid_keys,
    .names = hybrid_parts,
    .from_json = hybrid_from_json,
    .from_gguf = hybrid_from_gguf,
    .gguf_as = "granite",
    .gguf_interleaved = true,
    .to_gguf = hybrid_to_gguf,
    .splits = hybrid_splits,
};
