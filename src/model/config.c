/* config.c — what holds for configs of every family and file format. */
#include "model/family.h"

#include <math.h>
#include <string.h>

struct layer_attention config_attention(const struct model_config *c, size_t layer)
{
    float scale = c->attention_scale > 0 ? (float)c->attention_scale : 1 / sqrtf((float)c->head_dim);
    return (struct layer_attention){c->kind[layer] & LAYER_WINDOW ? c->window : 0, (float)c->attention_softcap, scale};
}

const struct rope_config *config_rope(const struct model_config *c, size_t layer)
{
    if (c->positions || c->kind[layer] & LAYER_NO_ROPE) return NULL;
    return &c->rope[c->local_rope && c->kind[layer] & LAYER_WINDOW ? ROPE_LOCAL : ROPE_FULL];
}

void config_window_pattern(struct model_config *c, size_t every)
{
    for (size_t i = 0; i < MAX_LAYERS; i++)
        if (every && (i + 1) % every) c->kind[i] |= LAYER_WINDOW;
}

void config_window_all(struct model_config *c)
{
    for (size_t i = 0; i < MAX_LAYERS; i++) c->kind[i] |= LAYER_WINDOW;
}

lorac_status config_layer_types(const json_t *config, const char *file, struct model_config *c, bool *found,
                                lorac_error *err)
{
    const json_t *types = json_object_get(config, "layer_types");
    *found = json_is_array(types);
    if (!*found) return LORAC_OK;
    if (json_array_size(types) != c->layers)
        return fail(err, LORAC_FORMAT, file, "\"layer_types\" has %zu entries for %zu layers", json_array_size(types),
                    c->layers);
    for (size_t i = 0; i < c->layers && i < MAX_LAYERS; i++) {
        const char *type = json_string_value(json_array_get(types, i));
        bool window = type && !strcmp(type, "sliding_attention");
        if (!window && (!type || strcmp(type, "full_attention")))
            return fail(err, LORAC_UNSUPPORTED, file, "\"layer_types\": \"%s\" is not known to lorac",
                        type ? type : "");
        c->kind[i] = (uint8_t)((c->kind[i] & ~LAYER_WINDOW) | (window ? LAYER_WINDOW : 0));
    }
    return LORAC_OK;
}

static bool rope_makes_sense(const struct model_config *c, const struct rope_config *r)
{
    return r->dims && r->dims % 2 == 0 && r->dims <= c->head_dim && r->theta > 0 && r->factor > 0 &&
           r->original_context > 0 && r->attention_factor > 0;
}

lorac_status config_check(const struct model_config *c, const char *file, lorac_error *err)
{
    if (c->layers > MAX_LAYERS || !c->kv_heads || c->heads % c->kv_heads || c->head_dim % 2 || !c->head_dim ||
        c->head_dim > MAX_HEAD_DIM || c->heads > 4096 || c->hidden > 1 << 15 || c->heads * c->head_dim > 1 << 15 ||
        c->intermediate > 1 << 22 || c->vocab > 1 << 24 || !(c->norm_eps >= 0))
        return fail(err, LORAC_UNSUPPORTED, file,
                    "the shape makes no sense: %zu layers (at most %d), %zu heads, %zu KV heads of %zu dimensions",
                    c->layers, MAX_LAYERS, c->heads, c->kv_heads, c->head_dim);
    for (int i = 0; i < ROPES; i++)
        if (!c->positions && (i == ROPE_FULL || c->local_rope) && !rope_makes_sense(c, &c->rope[i]))
            return fail(err, LORAC_FORMAT, file, "the rotary embedding's numbers make no sense (%zu of %zu dimensions)",
                        c->rope[i].dims, c->head_dim);
    if (!isfinite(c->embedding_scale) || !isfinite(c->residual_scale) || !isfinite(c->logit_scale) ||
        !(c->attention_scale >= 0) || !(c->attention_softcap >= 0) || !(c->final_softcap >= 0) || !(c->qkv_limit >= 0))
        return fail(err, LORAC_FORMAT, file, "a scale of the model is no usable number");
    return LORAC_OK;
}
