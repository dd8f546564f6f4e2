/* llama.c — Llama and those that compute as it does: grouped heads, RMS norms, gated SiLU MLPs, rotary positions
 * (Touvron et al. 2023). Mistral 7B (Jiang et al. 2023) lets each query of every layer see a window. Nemo, Small, Yi,
 * Falcon 3, SmolLM 2 and DeepSeek's distilled Llamas say that they are one of the two.
 *
 * In a GGUF of the architecture "llama" the rows of q and k stand in interleaved pairs. */
#include "model/config_json.h"

static lorac_status from_json(const json_t *config, const char *file, struct model_config *c, lorac_error *err)
{
    bool interleaved;
    TRY(json_get_bool(config, "rope_interleaved", false, &interleaved, file, err));
    if (interleaved) return fail(err, LORAC_UNSUPPORTED, file, "\"rope_interleaved\" true is not known for Llama");
    if (c->rope[ROPE_FULL].part != 1)
        return fail(err, LORAC_UNSUPPORTED, file, "\"partial_rotary_factor\" %g is not known for Llama",
                    c->rope[ROPE_FULL].part);
    c->o_bias = c->qkv_bias;
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

static const struct config_key llama_keys[] = {
    KEY("rms_norm_eps", FLOAT, norm_eps),
    KEY("attention_bias", BOOL, qkv_bias),
    KEY("mlp_bias", BOOL, mlp_bias),
    {"rope_interleaved", KEY_KNOWN, 0},
    {NULL, KEY_KNOWN, 0},
};
static const struct config_key mistral_keys[] = {
    KEY("rms_norm_eps", FLOAT, norm_eps), KEY("sliding_window", SIZE, window), {NULL, KEY_KNOWN, 0}};

static const char *const llama_types[] = {"llama", NULL}, *const llama_architectures[] = {"llama", NULL},
                         *const mistral_types[] = {"mistral", NULL}, *const none[] = {NULL};

const struct family family_llama = {.name = "llama",
                                    .model_types = llama_types,
                                    .architectures = llama_architectures,
                                    .keys = llama_keys,
                                    .from_json = from_json,
                                    .from_gguf = from_gguf,
                                    .gguf_interleaved = true};
const struct family family_mistral = {.name = "mistral",
                                      .model_types = mistral_types,
                                      .architectures = none, /* a GGUF of the architecture "llama" */
                                      .keys = mistral_keys,
                                      .from_json = from_json,
                                      .gguf_as = "llama"};
