/* config_gguf.c — a GGUF file's metadata to a family and a model_config. Keys stand below the architecture's name:
 * "llama.block_count". */
#include "model/config_gguf.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum { KEY_NAME = 128 };

/* What a reading needs: the file and the architecture's name. */
struct metadata {
    const struct gguf *g;
    const char *architecture;
};

const struct config_key config_gguf_keys[] = {
    KEY("block_count", SIZE, layers),
    KEY("embedding_length", SIZE, hidden),
    KEY("feed_forward_length", SIZE, intermediate),
    KEY("attention.head_count", SIZE, heads),
    KEY("attention.head_count_kv", SIZE, kv_heads),
    KEY("attention.key_length", SIZE, head_dim),
    KEY("context_length", SIZE, context),
    KEY("attention.layer_norm_rms_epsilon", FLOAT, norm_eps),
    KEY("attention.layer_norm_epsilon", FLOAT, norm_eps),
    KEY("attention.sliding_window", SIZE, window),
    KEY("attention.scale", FLOAT, attention_scale),
    KEY("attn_logit_softcapping", FLOAT, attention_softcap),
    KEY("final_logit_softcapping", FLOAT, final_softcap),
    KEY("attention.clamp_kqv", FLOAT, qkv_limit),
    KEY("embedding_scale", FLOAT, embedding_scale),
    KEY("residual_scale", FLOAT, residual_scale),
    KEY("logit_scale", FLOAT, logit_scale),
    KEY("rope.dimension_count", SIZE, rope[ROPE_FULL].dims),
    KEY("rope.freq_base", FLOAT, rope[ROPE_FULL].theta),
    KEY("rope.freq_base_swa", FLOAT, rope[ROPE_LOCAL].theta),
    {"vocab_size", KEY_KNOWN, 0},
    {"attention.value_length", KEY_KNOWN, 0},
    {"attention.sliding_window_pattern", KEY_KNOWN, 0},
    {"rope.scaling.type", KEY_KNOWN, 0},
    {"rope.scaling.factor", KEY_KNOWN, 0},
    {"rope.scaling.original_context_length", KEY_KNOWN, 0},
    {"rope.scaling.finetuned", KEY_KNOWN, 0},
    {"rope.scale_linear", KEY_KNOWN, 0},
    {"rope.scaling.attn_factor", KEY_KNOWN, 0},
    {"rope.scaling.yarn_log_multiplier", KEY_KNOWN, 0},
    {"rope.scaling.yarn_ext_factor", KEY_KNOWN, 0},
    {"rope.scaling.yarn_attn_factor", KEY_KNOWN, 0}, /* llama.cpp reads it and computes without it */
    {"rope.scaling.yarn_beta_fast", KEY_KNOWN, 0},
    {"rope.scaling.yarn_beta_slow", KEY_KNOWN, 0},
    {"expert_count", KEY_KNOWN, 0},
    {"expert_used_count", KEY_KNOWN, 0},
    {"use_parallel_residual", KEY_KNOWN, 0},
    {"tensor_data_layout", KEY_KNOWN, 0},
    {NULL, KEY_KNOWN, 0},
};

static lorac_status check_keys(const struct metadata *m, lorac_error *err)
{
    size_t prefix = strlen(m->architecture);
    for (size_t i = 0; i < m->g->value_count; i++) {
        struct gguf_string key = m->g->values[i].key;
        if (key.length <= prefix || memcmp(key.data, m->architecture, prefix) || key.data[prefix] != '.') continue;
        const char *rest = key.data + prefix + 1;
        size_t length = key.length - prefix - 1;
        bool found = false;
        for (const struct config_key *k = config_gguf_keys; k->name && !found; k++)
            found = strlen(k->name) == length && !memcmp(k->name, rest, length);
        if (!found)
            return fail(err, LORAC_UNSUPPORTED, m->g->path,
                        "metadata \"%.*s\" is not known to lorac and might change what the model computes",
                        (int)key.length, key.data);
    }
    return LORAC_OK;
}

static const char *spell(const struct metadata *m, const char *name, char key[KEY_NAME])
{
    snprintf(key, KEY_NAME, "%s.%s", m->architecture, name);
    return key;
}

static lorac_status get_size(const struct metadata *m, const char *name, size_t *value, lorac_error *err)
{
    char key[KEY_NAME];
    return gguf_get_size(m->g, spell(m, name, key), *value, value, err);
}

static lorac_status get_float(const struct metadata *m, const char *name, double *value, lorac_error *err)
{
    char key[KEY_NAME];
    return gguf_get_float(m->g, spell(m, name, key), *value, value, err);
}

static lorac_status read_common(const struct metadata *m, struct model_config *c, lorac_error *err)
{
    for (const struct config_key *k = config_gguf_keys; k->name; k++) {
        void *member = (char *)c + k->offset;
        if (k->kind == KEY_SIZE) TRY(get_size(m, k->name, member, err));
        if (k->kind == KEY_FLOAT) TRY(get_float(m, k->name, member, err));
    }
    return LORAC_OK;
}

/* ---- rope ----------------------------------------------------------------------------------- */

/* As llama.cpp: attn_factor is one more factor beside 0.1 ln s + 1, also where a converter wrote the model's whole one.
 */
static lorac_status read_yarn(const struct metadata *m, struct rope_config *r, lorac_error *err)
{
    double log_multiplier = 0.1, ext = 1, attn = 1;
    r->beta_fast = 32;
    r->beta_slow = 1;
    TRY(get_float(m, "rope.scaling.yarn_beta_fast", &r->beta_fast, err));
    TRY(get_float(m, "rope.scaling.yarn_beta_slow", &r->beta_slow, err));
    TRY(get_float(m, "rope.scaling.yarn_log_multiplier", &log_multiplier, err));
    TRY(get_float(m, "rope.scaling.yarn_ext_factor", &ext, err));
    TRY(get_float(m, "rope.scaling.attn_factor", &attn, err));
    if (ext != 1 || log_multiplier != 0.1)
        return fail(err, LORAC_UNSUPPORTED, m->g->path,
                    "yarn_ext_factor and yarn_log_multiplier are known only as 1 and 0.1");
    r->truncate = true;
    r->attention_factor = attn * (r->factor <= 1 ? 1 : 0.1 * log(r->factor) + 1);
    return LORAC_OK;
}

static lorac_status read_scaling(const struct metadata *m, const char *type, struct rope_config *r, lorac_error *err)
{
    if (!strcmp(type, "none")) return LORAC_OK;
    if (!strcmp(type, "linear"))
        r->scaling = ROPE_LINEAR;
    else if (!strcmp(type, "yarn"))
        r->scaling = ROPE_YARN;
    else if (!strcmp(type, "longrope"))
        r->scaling = ROPE_LONG;
    else
        return fail(err, LORAC_UNSUPPORTED, m->g->path,
                    "rope scaling \"%s\" is not known to lorac (known: none, linear, yarn, longrope)", type);
    return r->scaling == ROPE_YARN ? read_yarn(m, r, err) : LORAC_OK;
}

/* LongRoPE is told by its tensors; the factor on cos and sin by attn_factor. */
static lorac_status read_long(const struct metadata *m, struct rope_config *r, lorac_error *err)
{
    if (!gguf_find_tensor(m->g, "rope_factors_long.weight")) return LORAC_OK;
    r->scaling = ROPE_LONG;
    r->attention_factor = 1;
    return get_float(m, "rope.scaling.attn_factor", &r->attention_factor, err);
}

static lorac_status read_rope(const struct metadata *m, struct model_config *c, lorac_error *err)
{
    struct rope_config *r = &c->rope[ROPE_FULL], *local = &c->rope[ROPE_LOCAL];
    char key[KEY_NAME], *type;
    double linear = 1;
    if (!r->dims) r->dims = c->head_dim;
    r->original_context = (double)c->context;
    TRY(get_float(m, "rope.scaling.factor", &r->factor, err));
    TRY(get_float(m, "rope.scaling.original_context_length", &r->original_context, err));
    TRY(get_float(m, "rope.scale_linear", &linear, err));
    if (linear != 1) {
        r->scaling = ROPE_LINEAR;
        r->factor = linear;
    }
    local->dims = r->dims;
    local->original_context = r->original_context;
    local->interleaved = r->interleaved;
    TRY(gguf_get_text(m->g, spell(m, "rope.scaling.type", key), &type, err));
    lorac_status status = type ? read_scaling(m, type, r, err) : LORAC_OK;
    mem_free(m->g->memory, type);
    return status == LORAC_OK ? read_long(m, r, err) : status;
}

/* A file may list its layers with a window, which then goes before the family's pattern. */
static lorac_status read_windows(const struct metadata *m, struct model_config *c, lorac_error *err)
{
    char key[KEY_NAME];
    const struct gguf_value *v = gguf_find(m->g, spell(m, "attention.sliding_window_pattern", key));
    if (!v || v->type != GGUF_ARRAY) return LORAC_OK;
    if (v->as.array.type == GGUF_STRING || v->as.array.count < c->layers)
        return fail(err, LORAC_FORMAT, m->g->path, "metadata \"%s\" does not say which of %zu layers have a window",
                    key, c->layers);
    for (size_t i = 0; i < c->layers && i < MAX_LAYERS; i++)
        c->kind[i] = (uint8_t)((c->kind[i] & ~LAYER_WINDOW) | (gguf_number(v, i) != 0 ? LAYER_WINDOW : 0));
    return LORAC_OK;
}

/* ---- the whole ------------------------------------------------------------------------------ */

static lorac_status check_shape(const struct metadata *m, const struct model_config *c, lorac_error *err)
{
    const struct {
        const char *key;
        size_t value;
    } needed[] = {{"block_count", c->layers},
                  {"embedding_length", c->hidden},
                  {"feed_forward_length", c->intermediate},
                  {"attention.head_count", c->heads}};
    for (size_t i = 0; i < sizeof needed / sizeof *needed; i++)
        if (!needed[i].value)
            return fail(err, LORAC_FORMAT, m->g->path, "metadata \"%s.%s\" is missing or zero", m->architecture,
                        needed[i].key);
    return LORAC_OK;
}

static lorac_status read_shape(const struct metadata *m, struct model_config *c, lorac_error *err)
{
    size_t experts = 0, value_length;
    TRY(get_size(m, "expert_count", &experts, err));
    if (experts) return fail(err, LORAC_UNSUPPORTED, m->g->path, "mixtures of experts are not known to lorac");
    if (!c->kv_heads) c->kv_heads = c->heads;
    if (!c->head_dim) c->head_dim = c->hidden / c->heads;
    value_length = c->head_dim;
    TRY(get_size(m, "attention.value_length", &value_length, err));
    if (value_length != c->head_dim)
        return fail(err, LORAC_UNSUPPORTED, m->g->path,
                    "keys of %zu and values of %zu dimensions are not known to lorac", c->head_dim, value_length);
    const struct gguf_tensor *embedding = gguf_find_tensor(m->g, "token_embd.weight");
    if (!embedding || embedding->dims != 2)
        return fail(err, LORAC_FORMAT, m->g->path, "tensor \"token_embd.weight\" is missing or no matrix");
    c->vocab = embedding->shape[1];
    c->tied_head = !gguf_find_tensor(m->g, "output.weight");
    return LORAC_OK;
}

static lorac_status read_config(const struct metadata *m, const struct family *family, struct model_config *c,
                                lorac_error *err)
{
    TRY(check_keys(m, err));
    config_defaults(family, c);
    TRY(read_common(m, c, err));
    TRY(check_shape(m, c, err));
    TRY(read_shape(m, c, err));
    if (family->gguf_interleaved) c->rope[ROPE_FULL].interleaved = c->rows_permuted = true;
    TRY(read_rope(m, c, err));
    c->norm_plus_one = c->conv1d = false; /* the converter has done both */
    if (family->from_gguf) TRY(family->from_gguf(m->g, c, err));
    return read_windows(m, c, err);
}

/* llama.cpp's "granite" is two of Hugging Face's families, whose modules differ: only one's files have the key. */
static const struct family *find_family(const struct gguf *g, const char *architecture)
{
    bool hybrid = !strcmp(architecture, "granite") && gguf_find(g, "granite.rope.scaling.finetuned");
    return hybrid ? family_of_model_type("granitemoehybrid") : family_of_architecture(architecture);
}

lorac_status config_from_gguf(const struct gguf *g, const struct family **family, struct model_config *c,
                              lorac_error *err)
{
    char *architecture;
    *c = (struct model_config){0};
    TRY(gguf_get_text(g, "general.architecture", &architecture, err));
    const char *name = architecture ? architecture : "";
    *family = find_family(g, name);
    struct metadata m = {g, name};
    lorac_status status =
        *family ? read_config(&m, *family, c, err) : family_unknown(g->path, "architecture", name, true, err);
    mem_free(g->memory, architecture);
    return status;
}
