/* stablelm.c — StableLM 2 (Bellagente et al. 2024): layer norms, a gated MLP, a quarter of each head rotates; the 12B
 * model has parallel blocks and normalises each head of q and k. */
#include "model/config_json.h"

static void fixed(struct model_config *c)
{
    c->context = 4096;
    c->norm_eps = 1e-5;
    c->layer_norm = c->norm_bias = true;
    c->rope[ROPE_FULL].part = 0.25;
}

static lorac_status from_json(const json_t *config, const char *file, struct model_config *c, lorac_error *err)
{
    bool normalised, parallel;
    TRY(json_get_bool(config, "qk_layernorm", false, &normalised, file, err));
    TRY(json_get_bool(config, "use_parallel_residual", false, &parallel, file, err));
    c->qk_norm = normalised ? QK_NORM_HEADS : QK_NORM_NONE;
    c->order = parallel ? BLOCK_PARALLEL : BLOCK_SEQUENTIAL;
    return LORAC_OK;
}

static lorac_status from_gguf(const struct gguf *g, struct model_config *c, lorac_error *err)
{
    (void)err;
    if (gguf_find_tensor(g, "blk.0.attn_q_norm.weight")) c->qk_norm = QK_NORM_HEADS;
    if (!gguf_find_tensor(g, "blk.0.ffn_norm.weight")) c->order = BLOCK_PARALLEL;
    return LORAC_OK;
}

static const struct config_key keys[] = {
    KEY("layer_norm_eps", FLOAT, norm_eps),
    KEY("use_qkv_bias", BOOL, qkv_bias),
    KEY("partial_rotary_factor", FLOAT, rope[ROPE_FULL].part),
    {"qk_layernorm", KEY_KNOWN, 0},
    {"use_parallel_residual", KEY_KNOWN, 0},
    {NULL, KEY_KNOWN, 0},
};
static const struct weight_name parts[PARTS] = {
    [PART_Q_NORM] = {"model.layers.%zu.self_attn.q_layernorm", NULL},
    [PART_K_NORM] = {"model.layers.%zu.self_attn.k_layernorm", NULL},
};
static const char *const names[] = {"stablelm", NULL};

const struct family family_stablelm = {
    .name = "stablelm",
    .model_types = names,
    .architectures = names,
    .fixed = fixed,
    .keys = keys,
    .names = parts,
    .from_json = from_json,
    .from_gguf = from_gguf,
};
