/* config_gguf.c — a GGUF file's metadata of architecture "llama" to a model_config. */
#include "model/config.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* Keys below "llama." that lorac reads; any other is an error that names it. */
static const char *const known[] = {
    "vocab_size",
    "context_length",
    "embedding_length",
    "block_count",
    "feed_forward_length",
    "rope.dimension_count",
    "rope.freq_base",
    "attention.head_count",
    "attention.head_count_kv",
    "attention.key_length",
    "attention.value_length",
    "attention.layer_norm_rms_epsilon",
    "attention.layer_norm_epsilon",
    "rope.scaling.type",
    "rope.scaling.factor",
    "rope.scaling.original_context_length",
    "rope.scaling.finetuned",
    "rope.scale_linear",
    "rope.scaling.attn_factor",
    "rope.scaling.yarn_log_multiplier",
    "rope.scaling.yarn_ext_factor",
    "rope.scaling.yarn_attn_factor",
    "rope.scaling.yarn_beta_fast",
    "rope.scaling.yarn_beta_slow",
    "expert_count",
    "expert_used_count",
    "tensor_data_layout",
};

static lorac_status check_keys(const struct gguf *g, lorac_error *err)
{
    for (size_t i = 0; i < g->value_count; i++) {
        struct gguf_string key = g->values[i].key;
        if (key.length < 6 || memcmp(key.data, "llama.", 6)) continue;
        bool found = false;
        for (size_t k = 0; k < sizeof known / sizeof *known && !found; k++)
            found = strlen(known[k]) == key.length - 6 && !memcmp(known[k], key.data + 6, key.length - 6);
        if (!found)
            return fail(err, LORAC_UNSUPPORTED, g->path,
                        "metadata \"%.*s\" is not known to lorac and might change what the model computes",
                        (int)key.length, key.data);
    }
    return LORAC_OK;
}

static lorac_status need(const struct gguf *g, const char *key, size_t *value, lorac_error *err)
{
    TRY(gguf_get_size(g, key, 0, value, err));
    return *value ? LORAC_OK : fail(err, LORAC_FORMAT, g->path, "metadata \"%s\" is missing or zero", key);
}

static lorac_status read_yarn(const struct gguf *g, struct rope_config *r, lorac_error *err)
{
    double log_multiplier, ext, attn;
    TRY(gguf_get_float(g, "llama.rope.scaling.yarn_beta_fast", 32, &r->beta_fast, err));
    TRY(gguf_get_float(g, "llama.rope.scaling.yarn_beta_slow", 1, &r->beta_slow, err));
    TRY(gguf_get_float(g, "llama.rope.scaling.yarn_log_multiplier", 0.1, &log_multiplier, err));
    TRY(gguf_get_float(g, "llama.rope.scaling.yarn_ext_factor", 1, &ext, err));
    TRY(gguf_get_float(g, "llama.rope.scaling.attn_factor", 1, &attn, err));
    TRY(gguf_get_float(g, "llama.rope.scaling.yarn_attn_factor", attn, &attn, err));
    if (ext != 1 || log_multiplier != 0.1)
        return fail(err, LORAC_UNSUPPORTED, g->path,
                    "yarn_ext_factor and yarn_log_multiplier are known only as 1 and 0.1");
    r->truncate = true;
    r->attention_factor = attn * (r->factor <= 1 ? 1 : 0.1 * log(r->factor) + 1);
    return LORAC_OK;
}

static lorac_status read_scaling(const struct gguf *g, const char *type, struct rope_config *r, lorac_error *err)
{
    if (!strcmp(type, "none")) return LORAC_OK;
    if (!strcmp(type, "linear"))
        r->scaling = ROPE_LINEAR;
    else if (!strcmp(type, "yarn"))
        r->scaling = ROPE_YARN;
    else
        return fail(err, LORAC_UNSUPPORTED, g->path,
                    "rope scaling \"%s\" is not known to lorac (known: none, linear, yarn)", type);
    return r->scaling == ROPE_YARN ? read_yarn(g, r, err) : LORAC_OK;
}

static lorac_status read_rope(const struct gguf *g, struct model_config *c, lorac_error *err)
{
    struct rope_config *r = &c->rope;
    char *type;
    double linear;
    r->interleaved = true;
    r->attention_factor = 1;
    TRY(gguf_get_size(g, "llama.rope.dimension_count", c->head_dim, &r->dims, err));
    TRY(gguf_get_float(g, "llama.rope.freq_base", 10000, &r->theta, err));
    TRY(gguf_get_float(g, "llama.rope.scaling.factor", 1, &r->factor, err));
    TRY(gguf_get_float(g, "llama.rope.scaling.original_context_length", (double)c->context, &r->original_context, err));
    TRY(gguf_get_float(g, "llama.rope.scale_linear", 1, &linear, err));
    if (linear != 1) {
        r->scaling = ROPE_LINEAR;
        r->factor = linear;
    }
    TRY(gguf_get_text(g, "llama.rope.scaling.type", &type, err));
    lorac_status status = type ? read_scaling(g, type, r, err) : LORAC_OK;
    mem_free(g->memory, type);
    return status;
}

static lorac_status check_architecture(const struct gguf *g, lorac_error *err)
{
    char *architecture;
    TRY(gguf_get_text(g, "general.architecture", &architecture, err));
    bool known_one = architecture && !strcmp(architecture, "llama");
    lorac_status status =
        known_one ? LORAC_OK
                  : fail(err, LORAC_UNSUPPORTED, g->path, "architecture \"%s\" is not known to lorac (known: llama)",
                         architecture ? architecture : "");
    mem_free(g->memory, architecture);
    return status;
}

lorac_status config_from_gguf(const struct gguf *g, struct model_config *c, lorac_error *err)
{
    *c = (struct model_config){0};
    size_t experts, value_length;
    TRY(check_architecture(g, err));
    TRY(check_keys(g, err));
    TRY(gguf_get_size(g, "llama.expert_count", 0, &experts, err));
    if (experts) return fail(err, LORAC_UNSUPPORTED, g->path, "mixtures of experts are not known for Llama");
    TRY(need(g, "llama.block_count", &c->layers, err));
    TRY(need(g, "llama.embedding_length", &c->hidden, err));
    TRY(need(g, "llama.feed_forward_length", &c->intermediate, err));
    TRY(need(g, "llama.attention.head_count", &c->heads, err));
    TRY(gguf_get_size(g, "llama.attention.head_count_kv", c->heads, &c->kv_heads, err));
    TRY(gguf_get_size(g, "llama.attention.key_length", c->hidden / c->heads, &c->head_dim, err));
    TRY(gguf_get_size(g, "llama.attention.value_length", c->head_dim, &value_length, err));
    if (value_length != c->head_dim)
        return fail(err, LORAC_UNSUPPORTED, g->path, "keys of %zu and values of %zu dimensions are not known for Llama",
                    c->head_dim, value_length);
    TRY(gguf_get_size(g, "llama.context_length", 2048, &c->context, err));
    TRY(gguf_get_float(g, "llama.attention.layer_norm_rms_epsilon", 1e-6, &c->norm_eps, err));
    const struct gguf_tensor *embedding = gguf_find_tensor(g, "token_embd.weight");
    if (!embedding || embedding->dims != 2)
        return fail(err, LORAC_FORMAT, g->path, "tensor \"token_embd.weight\" is missing or no matrix");
    c->vocab = embedding->shape[1];
    c->tied_head = !gguf_find_tensor(g, "output.weight");
    return read_rope(g, c, err);
}
