/* cohere.c — Command R (Cohere 2024): attention and MLP side by side after one layer norm without bias, pairs of
 * neighbours rotate, scaled logits; Command R+ normalises each head of q and k. Command R7B (2024): three windows to a
 * full layer, which does not rotate. */
#include "model/config_json.h"

static void fixed(struct model_config *c)
{
    c->context = 8192;
    c->norm_eps = 1e-5;
    c->layer_norm = c->tied_head = true;
    c->order = BLOCK_PARALLEL;
    c->logit_scale = 0.0625;
    c->rope[ROPE_FULL].interleaved = true;
    c->rope[ROPE_FULL].theta = 500000;
}

static lorac_status from_json(const json_t *config, const char *file, struct model_config *c, lorac_error *err)
{
    bool normalised;
    TRY(json_get_bool(config, "use_qk_norm", false, &normalised, file, err));
    c->qk_norm = normalised ? QK_NORM_HEADS : QK_NORM_NONE;
    c->o_bias = c->qkv_bias;
    return LORAC_OK;
}

static lorac_status from_gguf(const struct gguf *g, struct model_config *c, lorac_error *err)
{
    (void)err;
    if (gguf_find_tensor(g, "blk.0.attn_q_norm.weight")) c->qk_norm = QK_NORM_HEADS;
    return LORAC_OK;
}

static void fixed2(struct model_config *c)
{
    fixed(c);
    c->window = 4096;
    c->rope[ROPE_FULL].theta = 10000;
}

static void rest_still(struct model_config *c)
{
    for (size_t i = 0; i < MAX_LAYERS; i++)
        if (!(c->kind[i] & LAYER_WINDOW)) c->kind[i] |= LAYER_NO_ROPE;
}

static lorac_status from_json2(const json_t *config, const char *file, struct model_config *c, lorac_error *err)
{
    bool found;
    size_t every;
    TRY(json_get_size(config, "sliding_window_pattern", 4, &every, file, err));
    TRY(config_layer_types(config, file, c, &found, err));
    if (!found) config_window_pattern(c, every);
    rest_still(c);
    c->o_bias = c->qkv_bias;
    return LORAC_OK;
}

static lorac_status from_gguf2(const struct gguf *g, struct model_config *c, lorac_error *err)
{
    (void)g;
    (void)err;
    config_window_pattern(c, 4);
    rest_still(c);
    return LORAC_OK;
}

static const struct config_key keys[] = {
    KEY("layer_norm_eps", FLOAT, norm_eps),
    KEY("attention_bias", BOOL, qkv_bias),
    KEY("logit_scale", FLOAT, logit_scale),
    {"use_qk_norm", KEY_KNOWN, 0},
    {NULL, KEY_KNOWN, 0},
};
static const struct config_key keys2[] = {
    KEY("layer_norm_eps", FLOAT, norm_eps),
    KEY("attention_bias", BOOL, qkv_bias),
    KEY("logit_scale", FLOAT, logit_scale),
    KEY("sliding_window", SIZE, window),
    {"sliding_window_pattern", KEY_KNOWN, 0},
    {"layer_types", KEY_KNOWN, 0},
    {NULL, KEY_KNOWN, 0},
};
static const char *const types[] = {"cohere", NULL}, *const architectures[] = {"command-r", NULL},
                         *const names2[] = {"cohere2", NULL};

const struct family family_cohere = {
    .name = "cohere",
    .model_types = types,
    .architectures = architectures,
    .fixed = fixed,
    .keys = keys,
    .from_json = from_json,
    .from_gguf = from_gguf,
};
const struct family family_cohere2 = {
    .name = "cohere2",
    .model_types = names2,
    .architectures = names2,
    .fixed = fixed2,
    .keys = keys2,
    .from_json = from_json2,
    .from_gguf = from_gguf2,
};
