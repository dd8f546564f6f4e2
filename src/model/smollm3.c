/* smollm3.c — SmolLM3 (Hugging Face 2025): Llama's shape; every fourth layer does not rotate. */
#include "model/config_json.h"

static void fixed(struct model_config *c)
{
    c->context = 32768;
    c->tied_head = true;
    c->rope[ROPE_FULL].theta = 2e6;
}

/* Entries of 1 rotate; without a list, all but every `every`-th layer do. */
static lorac_status still_layers(const json_t *config, const char *file, struct model_config *c, lorac_error *err)
{
    const json_t *list = json_object_get(config, "no_rope_layers");
    size_t every;
    TRY(json_get_size(config, "no_rope_layer_interval", 4, &every, file, err));
    if (json_is_array(list) && json_array_size(list) != c->layers)
        return fail(err, LORAC_FORMAT, file, "\"no_rope_layers\" has %zu entries for %zu layers", json_array_size(list),
                    c->layers);
    for (size_t i = 0; i < c->layers && i < MAX_LAYERS; i++) {
        const json_t *rotates = json_array_get(list, i);
        bool still = json_is_array(list) ? !json_integer_value(rotates) : every && (i + 1) % every == 0;
        if (still) c->kind[i] |= LAYER_NO_ROPE;
    }
    return LORAC_OK;
}

static lorac_status from_json(const json_t *config, const char *file, struct model_config *c, lorac_error *err)
{
    bool windows, found;
    TRY(json_get_bool(config, "use_sliding_window", false, &windows, file, err));
    TRY(still_layers(config, file, c, err));
    TRY(config_layer_types(config, file, c, &found, err));
    if (!windows) c->window = 0;
    for (size_t i = 0; !found && i < MAX_LAYERS; i++)
        if (c->kind[i] & LAYER_NO_ROPE) c->kind[i] |= LAYER_WINDOW;
    c->o_bias = c->qkv_bias;
    return LORAC_OK;
}

static lorac_status from_gguf(const struct gguf *g, struct model_config *c, lorac_error *err)
{
    (void)g;
    (void)err;
    for (size_t i = 3; i < MAX_LAYERS; i += 4) c->kind[i] |= LAYER_NO_ROPE;
    return LORAC_OK;
}

static const struct config_key keys[] = {
    KEY("rms_norm_eps", FLOAT, norm_eps), KEY("attention_bias", BOOL, qkv_bias),
    KEY("mlp_bias", BOOL, mlp_bias),      KEY("sliding_window", SIZE, window),
    {"use_sliding_window", KEY_KNOWN, 0}, {"max_window_layers", KEY_KNOWN, 0},
    {"no_rope_layers", KEY_KNOWN, 0},     {"no_rope_layer_interval", KEY_KNOWN, 0},
    {"layer_types", KEY_KNOWN, 0},        {NULL, KEY_KNOWN, 0},
};
static const char *const names[] = {"smollm3", NULL};

const struct family family_smollm3 = {
    .name = "smollm3",
    .model_types = names,
    .architectures = names,
    .fixed = fixed,
    .keys = keys,
    .from_json = from_json,
    .from_gguf = from_gguf,
    .gguf_interleaved = true,
};
