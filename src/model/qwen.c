/* qwen.c — Qwen 2 and 2.5 (Yang et al. 2024): Llama's shape with biases on q, k and v; later layers may have a window.
 * Qwen 3 (2025): no biases, and each head of q and k is normalised. Coder, Math and DeepSeek's distilled Qwens too. */
#include "model/config_json.h"

/* "use_sliding_window" turns the window on for the layers from "max_window_layers" on, or as "layer_types" says. */
static lorac_status from_json(const json_t *config, const char *file, struct model_config *c, lorac_error *err)
{
    bool windows, found;
    size_t full;
    TRY(json_get_bool(config, "use_sliding_window", false, &windows, file, err));
    TRY(json_get_size(config, "max_window_layers", 28, &full, file, err));
    TRY(config_layer_types(config, file, c, &found, err));
    if (!windows) c->window = 0;
    for (size_t i = full; !found && i < MAX_LAYERS; i++) c->kind[i] |= LAYER_WINDOW;
    return LORAC_OK;
}

static lorac_status qwen3_from_json(const json_t *config, const char *file, struct model_config *c, lorac_error *err)
{
    c->o_bias = c->qkv_bias;
    return from_json(config, file, c, err);
}

static void qwen2_fixed(struct model_config *c)
{
    c->context = 32768;
    c->window = 4096;
    c->qkv_bias = true;
}

static void qwen3_fixed(struct model_config *c)
{
    c->context = 32768;
    c->window = 4096;
    c->head_dim = 128;
    c->qk_norm = QK_NORM_HEAD;
}

static lorac_status from_gguf(const struct gguf *g, struct model_config *c, lorac_error *err)
{
    (void)g;
    (void)err;
    c->window = 0; /* these files hold none */
    return LORAC_OK;
}

static const struct config_key qwen2_keys[] = {
    KEY("rms_norm_eps", FLOAT, norm_eps), KEY("sliding_window", SIZE, window), {"use_sliding_window", KEY_KNOWN, 0},
    {"max_window_layers", KEY_KNOWN, 0},  {"layer_types", KEY_KNOWN, 0},       {NULL, KEY_KNOWN, 0},
};
static const struct config_key qwen3_keys[] = {
    KEY("rms_norm_eps", FLOAT, norm_eps),
    KEY("attention_bias", BOOL, qkv_bias),
    KEY("sliding_window", SIZE, window),
    {"use_sliding_window", KEY_KNOWN, 0},
    {"max_window_layers", KEY_KNOWN, 0},
    {"layer_types", KEY_KNOWN, 0},
    {NULL, KEY_KNOWN, 0},
};
static const char *const qwen2_names[] = {"qwen2", NULL}, *const qwen3_names[] = {"qwen3", NULL};

const struct family family_qwen2 = {.name = "qwen2",
                                    .model_types = qwen2_names,
                                    .architectures = qwen2_names,
                                    .fixed = qwen2_fixed,
                                    .keys = qwen2_keys,
                                    .from_json = from_json,
                                    .from_gguf = from_gguf};
const struct family family_qwen3 = {.name = "qwen3",
                                    .model_types = qwen3_names,
                                    .architectures = qwen3_names,
                                    .fixed = qwen3_fixed,
                                    .keys = qwen3_keys,
                                    .from_json = qwen3_from_json,
                                    .from_gguf = from_gguf};
