/* olmo.c — OLMo (Groeneveld et al. 2024): Llama's shape with layer norms that have no weights. OLMo 2 (2025): norms
 * after the blocks only, and over the whole of q and k. OLMo 3 (2025): three windows to a full layer besides. */
#include "model/config_json.h"

static void olmo_fixed(struct model_config *c)
{
    c->norm_eps = 1e-5;
    c->layer_norm = c->norm_plain = true;
}

static lorac_status olmo_from_json(const json_t *config, const char *file, struct model_config *c, lorac_error *err)
{
    (void)config;
    (void)file;
    (void)err;
    c->o_bias = c->qkv_bias;
    return LORAC_OK;
}

static void olmo2_fixed(struct model_config *c)
{
    c->norm_eps = 1e-5;
    c->norms = NORM_AFTER;
    c->qk_norm = QK_NORM_WIDTH;
}

static void olmo3_fixed(struct model_config *c)
{
    olmo2_fixed(c);
    c->window = 4096;
    c->local_rope = true;
    c->rope[ROPE_FULL].theta = c->rope[ROPE_LOCAL].theta = 500000;
}

/* A scaling written for all layers is meant for the full ones. */
static lorac_status olmo3_from_json(const json_t *config, const char *file, struct model_config *c, lorac_error *err)
{
    bool found;
    c->o_bias = c->qkv_bias;
    if (!json_is_object(json_object_get(json_object_get(config, "rope_parameters"), "sliding_attention")))
        c->rope[ROPE_LOCAL].theta = c->rope[ROPE_FULL].theta;
    TRY(config_layer_types(config, file, c, &found, err));
    if (!found) config_window_pattern(c, 4);
    return LORAC_OK;
}

/* OLMo 3's files say "olmo2" and have a window. */
static lorac_status olmo2_from_gguf(const struct gguf *g, struct model_config *c, lorac_error *err)
{
    (void)g;
    (void)err;
    if (!c->window) return LORAC_OK;
    config_window_pattern(c, 4);
    c->local_rope = true;
    c->rope[ROPE_LOCAL].theta = c->rope[ROPE_FULL].theta;
    return LORAC_OK;
}

static const struct config_key olmo_keys[] = {
    KEY("attention_bias", BOOL, qkv_bias), KEY("clip_qkv", FLOAT, qkv_limit), {NULL, KEY_KNOWN, 0}};
static const struct config_key olmo2_keys[] = {
    KEY("rms_norm_eps", FLOAT, norm_eps), KEY("attention_bias", BOOL, qkv_bias), {NULL, KEY_KNOWN, 0}};
static const struct config_key olmo3_keys[] = {
    KEY("rms_norm_eps", FLOAT, norm_eps),
    KEY("attention_bias", BOOL, qkv_bias),
    KEY("sliding_window", SIZE, window),
    {"layer_types", KEY_KNOWN, 0},
    {NULL, KEY_KNOWN, 0},
};
static const char *const olmo_names[] = {"olmo", NULL}, *const olmo2_names[] = {"olmo2", NULL},
                         *const olmo3_types[] = {"olmo3", NULL}, *const none[] = {NULL};

const struct family family_olmo = {
    .name = "olmo",
    .model_types = olmo_names,
    .architectures = olmo_names,
    .fixed = olmo_fixed,
    .keys = olmo_keys,
    .from_json = olmo_from_json,
    .gguf_interleaved = true,
};
const struct family family_olmo2 = {
    .name = "olmo2",
    .model_types = olmo2_names,
    .architectures = olmo2_names,
    .fixed = olmo2_fixed,
    .keys = olmo2_keys,
    .from_json = olmo_from_json,
    .from_gguf = olmo2_from_gguf,
};
const struct family family_olmo3 = {
    .name = "olmo3",
    .model_types = olmo3_types,
    .architectures = none,
    .fixed = olmo3_fixed,
    .keys = olmo3_keys,
    .from_json = olmo3_from_json,
    .gguf_as = "olmo2",
};
