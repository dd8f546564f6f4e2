/* minicpm.c — MiniCPM (Hu et al. 2024): Llama's shape with scaled embeddings, block outputs and logits. */
#include "model/config_json.h"

#include <math.h>

static void fixed(struct model_config *c)
{
    c->tied_head = true;
}

static lorac_status from_json(const json_t *config, const char *file, struct model_config *c, lorac_error *err)
{
    double depth, width;
    TRY(json_get_float(config, "scale_depth", 1, &depth, file, err));
    TRY(json_get_float(config, "dim_model_base", 1, &width, file, err));
    c->residual_scale = depth / sqrt((double)c->layers);
    c->logit_scale = width / (double)c->hidden;
    c->o_bias = c->qkv_bias;
    return LORAC_OK;
}

/* Older files leave the numbers of the first MiniCPM out; the logits are divided. */
static lorac_status from_gguf(const struct gguf *g, struct model_config *c, lorac_error *err)
{
    if (!gguf_find(g, "minicpm.embedding_scale")) c->embedding_scale = 12;
    if (!gguf_find(g, "minicpm.residual_scale")) c->residual_scale = 1.4 / sqrt((double)c->layers);
    if (!gguf_find(g, "minicpm.logit_scale")) c->logit_scale = (double)c->hidden / 256;
    if (!(c->logit_scale > 0)) return fail(err, LORAC_FORMAT, g->path, "the logits are divided by %g", c->logit_scale);
    c->logit_scale = 1 / c->logit_scale;
    return LORAC_OK;
}

/* Even if they are 1: a reader takes their absence for the first MiniCPM. */
static void to_gguf(struct model_config *c, struct gguf_draft *d)
{
    gguf_put_float(d, "minicpm.residual_scale", c->residual_scale);
    gguf_put_float(d, "minicpm.logit_scale", 1 / c->logit_scale);
    c->residual_scale = c->logit_scale = 1;
}

static const struct config_key keys[] = {
    KEY("rms_norm_eps", FLOAT, norm_eps),     KEY("attention_bias", BOOL, qkv_bias),
    KEY("scale_emb", FLOAT, embedding_scale), {"scale_depth", KEY_KNOWN, 0},
    {"dim_model_base", KEY_KNOWN, 0},         {NULL, KEY_KNOWN, 0},
};
static const char *const names[] = {"minicpm", NULL};

const struct family family_minicpm = {
    .name = "minicpm",
    .model_types = names,
    .architectures = names,
    .fixed = fixed,
    .keys = keys,
    .from_json = from_json,
    .from_gguf = from_gguf,
    .gguf_interleaved = true,
    .to_gguf = to_gguf,
};
