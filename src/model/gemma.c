/* gemma.c — Gemma (Gemma Team 2024): embeddings times √hidden, norms that multiply with 1 + w, gated GELU, wide heads.
 * Gemma 2 (2024): norms before and after each block, soft caps on attention and logits, a window in every other layer.
 * Gemma 3 (2025): normalised q and k instead of soft caps, five windows to a full layer, two rotary bases. */
#include "model/config_json.h"

#include <math.h>

static lorac_status scale_embedding(struct model_config *c)
{
    c->embedding_scale = sqrt((double)c->hidden);
    return LORAC_OK;
}

static void gemma_fixed(struct model_config *c)
{
    c->context = 8192;
    c->head_dim = 256;
    c->norm_plus_one = c->tied_head = true;
    c->activation = ACTIVATION_GELU_TANH;
}

static void gemma2_fixed(struct model_config *c)
{
    gemma_fixed(c);
    c->norms = NORM_BEFORE | NORM_AFTER;
    c->window = 4096;
    c->attention_softcap = 50;
    c->final_softcap = 30;
    c->attention_scale = 256; /* the number under the root, until the config is read */
}

static void gemma3_fixed(struct model_config *c)
{
    gemma2_fixed(c);
    c->context = 131072;
    c->attention_softcap = c->final_softcap = 0;
    c->qk_norm = QK_NORM_HEAD;
    c->local_rope = true;
    c->rope[ROPE_FULL].theta = 1e6;
    /* what the text config of a model that also sees may leave out */
    c->hidden = 2304;
    c->intermediate = 9216;
    c->layers = 26;
    c->heads = 8;
    c->kv_heads = 4;
    c->vocab = 262208;
}

/* ---- folders -------------------------------------------------------------------------------- */

/* "gelu" was meant as its tanh approximation. */
static lorac_status gemma_from_json(const json_t *config, const char *file, struct model_config *c, lorac_error *err)
{
    (void)config;
    (void)file;
    (void)err;
    if (c->activation == ACTIVATION_GELU) c->activation = ACTIVATION_GELU_TANH;
    c->o_bias = c->qkv_bias;
    return scale_embedding(c);
}

static lorac_status windows_from_json(const json_t *config, const char *file, struct model_config *c, size_t every,
                                      lorac_error *err)
{
    bool found;
    TRY(json_get_size(config, "sliding_window_pattern", every, &every, file, err));
    TRY(json_get_size(config, "_sliding_window_pattern", every, &every, file, err));
    TRY(config_layer_types(config, file, c, &found, err));
    if (!found) config_window_pattern(c, every);
    if (!(c->attention_scale > 0))
        return fail(err, LORAC_FORMAT, file, "\"query_pre_attn_scalar\" %g is not positive", c->attention_scale);
    c->attention_scale = 1 / sqrt(c->attention_scale);
    c->o_bias = c->qkv_bias;
    return scale_embedding(c);
}

static lorac_status gemma2_from_json(const json_t *config, const char *file, struct model_config *c, lorac_error *err)
{
    return windows_from_json(config, file, c, 2, err);
}

static lorac_status gemma3_from_json(const json_t *config, const char *file, struct model_config *c, lorac_error *err)
{
    return windows_from_json(config, file, c, 6, err);
}

/* ---- GGUF ----------------------------------------------------------------------------------- */

static lorac_status gemma_from_gguf(const struct gguf *g, struct model_config *c, lorac_error *err)
{
    (void)g;
    (void)err;
    return scale_embedding(c);
}

/* The files do not say what scales q·k: 1 / √head_dim, but in the 27B models 1 / √(hidden / heads). */
static lorac_status windows_from_gguf(struct model_config *c, size_t every, size_t large)
{
    config_window_pattern(c, every);
    c->attention_scale = 1 / sqrt((double)(c->layers == large ? c->hidden / c->heads : c->head_dim));
    return scale_embedding(c);
}

static lorac_status gemma2_from_gguf(const struct gguf *g, struct model_config *c, lorac_error *err)
{
    (void)g;
    (void)err;
    return windows_from_gguf(c, 2, 46);
}

static lorac_status gemma3_from_gguf(const struct gguf *g, struct model_config *c, lorac_error *err)
{
    (void)g;
    (void)err;
    return windows_from_gguf(c, 6, 62);
}

/* The readers know both scales. */
static void to_gguf(struct model_config *c, struct gguf_draft *d)
{
    (void)d;
    c->embedding_scale = 1;
    c->attention_scale = 0;
}

static const struct config_key gemma_keys[] = {
    KEY("rms_norm_eps", FLOAT, norm_eps),
    KEY("attention_bias", BOOL, qkv_bias),
    KEY("hidden_activation", ACTIVATION, activation),
    {NULL, KEY_KNOWN, 0},
};
static const struct config_key windows_keys[] = {
    KEY("rms_norm_eps", FLOAT, norm_eps),
    KEY("attention_bias", BOOL, qkv_bias),
    KEY("hidden_activation", ACTIVATION, activation),
    KEY("sliding_window", SIZE, window),
    KEY("query_pre_attn_scalar", FLOAT, attention_scale),
    KEY("attn_logit_softcapping", FLOAT, attention_softcap),
    KEY("final_logit_softcapping", FLOAT, final_softcap),
    KEY("rope_local_base_freq", FLOAT, rope[ROPE_LOCAL].theta),
    {"sliding_window_pattern", KEY_KNOWN, 0},
    {"_sliding_window_pattern", KEY_KNOWN, 0},
    {"layer_types", KEY_KNOWN, 0},
    {NULL, KEY_KNOWN, 0},
};
static const struct weight_name sandwich[PARTS] = {
    [PART_MLP_NORM] = {"model.layers.%zu.pre_feedforward_layernorm", NULL},
};
static const char *const gemma_names[] = {"gemma", NULL}, *const gemma2_names[] = {"gemma2", NULL},
                         *const gemma3_types[] = {"gemma3_text", "gemma3", NULL},
                         *const gemma3_architectures[] = {"gemma3", NULL};

const struct family family_gemma = {
    .name = "gemma",
    .model_types = gemma_names,
    .architectures = gemma_names,
    .fixed = gemma_fixed,
    .keys = gemma_keys,
    .from_json = gemma_from_json,
    .from_gguf = gemma_from_gguf,
    .to_gguf = to_gguf,
};
const struct family family_gemma2 = {
    .name = "gemma2",
    .model_types = gemma2_names,
    .architectures = gemma2_names,
    .fixed = gemma2_fixed,
    .keys = windows_keys,
    .names = sandwich,
    .from_json = gemma2_from_json,
    .from_gguf = gemma2_from_gguf,
    .to_gguf = to_gguf,
};
const struct family family_gemma3 = {
    .name = "gemma3",
    .model_types = gemma3_types,
    .architectures = gemma3_architectures,
    .fixed = gemma3_fixed,
    .keys = windows_keys,
    .names = sandwich,
    .from_json = gemma3_from_json,
    .from_gguf = gemma3_from_gguf,
    .to_gguf = to_gguf,
};
