/* decoder_load.c — a dense decoder's tensors, found by its family's names, in the places of its config. See decoder.h.
 *
 * The engine's linears are always q, k, v, o, gate, up, down. Where Hugging Face fuses some in one module, each is some
 * of the module's rows; where a GGUF fuses what Hugging Face does not, each is some of the tensor's. */
#include "model/decoder.h"
#include "model/weights.h"

struct loading {
    struct lorac_model *m;
    struct weights *w;
    size_t layer;
};

static struct weight_name name_of(const struct loading *l, enum part part)
{
    return family_name(l->m->family, part);
}

/* ---- norms ---------------------------------------------------------------------------------- */

static lorac_status load_norm(const struct loading *l, enum part part, size_t width, struct norm *n, lorac_error *err)
{
    const struct model_config *c = &l->m->config;
    struct vector_source source = {.name = name_of(l, part), .suffix = ".weight", .add = c->norm_plus_one ? 1 : 0};
    *n = (struct norm){.eps = (float)c->norm_eps, .kind = c->layer_norm ? NORM_LAYER : NORM_RMS};
    if (c->norm_plain) return LORAC_OK;
    TRY(weights_vector(l->w, &source, l->layer, width, &n->weight, err));
    if (!c->norm_bias) return LORAC_OK;
    source.suffix = ".bias";
    source.add = 0;
    source.optional = part == PART_Q_NORM || part == PART_K_NORM;
    return weights_vector(l->w, &source, l->layer, width, &n->bias, err);
}

/* A norm for each head: one tensor of all, or one tensor a head. */
static lorac_status load_head_norms(const struct loading *l, enum part part, size_t heads, struct norm *n,
                                    lorac_error *err)
{
    const struct model_config *c = &l->m->config;
    struct weight_name name = name_of(l, part);
    if (weights_has(l->w, name, l->layer)) return load_norm(l, part, heads * c->head_dim, n, err);
    *n = (struct norm){.eps = (float)c->norm_eps, .kind = c->layer_norm ? NORM_LAYER : NORM_RMS};
    return weights_head_vectors(l->w, name, l->layer, heads, c->head_dim, &n->weight, err);
}

static lorac_status load_qk_norms(const struct loading *l, struct decoder_layer *layer, lorac_error *err)
{
    const struct model_config *c = &l->m->config;
    size_t q = c->heads * c->head_dim, k = c->kv_heads * c->head_dim;
    if (c->qk_norm == QK_NORM_NONE) return LORAC_OK;
    if (c->qk_norm == QK_NORM_HEADS) {
        TRY(load_head_norms(l, PART_Q_NORM, c->heads, &layer->q_norm, err));
        return load_head_norms(l, PART_K_NORM, c->kv_heads, &layer->k_norm, err);
    }
    bool shared = c->qk_norm == QK_NORM_HEAD;
    TRY(load_norm(l, PART_Q_NORM, shared ? c->head_dim : q, &layer->q_norm, err));
    return load_norm(l, PART_K_NORM, shared ? c->head_dim : k, &layer->k_norm, err);
}

static lorac_status load_norms(const struct loading *l, struct decoder_layer *layer, lorac_error *err)
{
    const struct model_config *c = &l->m->config;
    if (c->norms & NORM_BEFORE) {
        TRY(load_norm(l, PART_ATTENTION_NORM, c->hidden, &layer->attention_norm, err));
        if (c->order == BLOCK_PARALLEL)
            layer->mlp_norm = layer->attention_norm;
        else
            TRY(load_norm(l, PART_MLP_NORM, c->hidden, &layer->mlp_norm, err));
    }
    if (c->norms & NORM_AFTER) {
        TRY(load_norm(l, PART_ATTENTION_AFTER, c->hidden, &layer->attention_after, err));
        TRY(load_norm(l, PART_MLP_AFTER, c->hidden, &layer->mlp_after, err));
    }
    return load_qk_norms(l, layer, err);
}

/* ---- linears -------------------------------------------------------------------------------- */

/* Some linears that one tensor or module holds, or none does. */
struct bundle {
    enum part fused;
    bool module; /* Hugging Face's module is fused */
    bool bias;
    size_t count, cols;
    const enum part *parts;
    struct linear *linears;
    const size_t *rows;
};

/* mlx-lm gives some modules the names that Llama's have. */
static struct weight_name tensor_of(const struct loading *l, enum part part)
{
    struct weight_name name = name_of(l, part);
    bool usual = !weights_has(l->w, name, l->layer) && weights_has(l->w, usual_names[part], l->layer);
    return usual ? usual_names[part] : name;
}

static lorac_status load_bundle(const struct loading *l, const struct bundle *b, lorac_error *err)
{
    const struct model_config *c = &l->m->config;
    bool gguf = weights_are_gguf(l->w);
    bool one = (gguf ? weights_has(l->w, name_of(l, b->fused), l->layer) : b->module) &&
               !weights_has(l->w, name_of(l, b->parts[0]), l->layer);
    size_t all = 0, first = 0;
    for (size_t i = 0; i < b->count; i++) all += b->rows[i];
    for (size_t i = 0; i < b->count; first += b->rows[i++]) {
        struct linear *linear = &b->linears[i];
        struct weight_name own = name_of(l, b->parts[i]), fused = name_of(l, b->fused);
        struct linear_source s = {.module = b->module ? fused.hf : own.hf,
                                  .tensor = one ? fused : tensor_of(l, b->parts[i]),
                                  .rows = one ? all : b->rows[i],
                                  .first = one ? first : 0,
                                  .gathered = one && !gguf && linear->order.head_dim,
                                  .transposed = c->conv1d && !gguf,
                                  .bias = b->bias};
        linear->part = b->module ? i : 0;
        linear->parts = b->module ? b->count : 1;
        TRY(weights_linear(l->w, &s, l->layer, b->rows[i], b->cols, linear, err));
    }
    return LORAC_OK;
}

void decoder_place_rows(const struct model_config *c, struct linear *qkv)
{
    size_t d = c->head_dim, together = c->heads / c->kv_heads;
    const size_t heads[3] = {c->heads, c->kv_heads, c->kv_heads};
    const size_t blocks[3] = {0, c->heads * d, (c->heads + c->kv_heads) * d};
    const size_t groups[3] = {0, together * d, (together + 1) * d};
    for (size_t i = 0; i < 3; i++) {
        struct row_order *o = &qkv[i].order;
        bool grouped = c->fused_qkv == FUSED_GROUPS, interleaved = c->rows_permuted && i < 2;
        o->first = grouped ? groups[i] : c->fused_qkv == FUSED_BLOCKS ? blocks[i] : 0;
        if (!grouped && !interleaved) continue;
        o->head_dim = d;
        o->interleaved = interleaved;
        o->group = !grouped ? heads[i] : i ? 1 : together;
        o->group_rows = grouped ? (together + 2) * d : heads[i] * d;
    }
}

/* The products' input takes the weight and the bias of the norm before them. */
static void take_norm(struct linear_group *group, const struct norm *norm)
{
    if (!buf_is(norm->weight) && !buf_is(norm->bias)) return;
    group->input = &linear_weighed;
    group->columns = norm;
}

static lorac_status load_attention(const struct loading *l, struct decoder_layer *layer, struct linear *at,
                                   lorac_error *err)
{
    const struct model_config *c = &l->m->config;
    static const enum part parts[3] = {PART_Q, PART_K, PART_V}, o[1] = {PART_O};
    size_t q = c->heads * c->head_dim, kv = c->kv_heads * c->head_dim;
    decoder_place_rows(c, at);
    TRY(load_bundle(l,
                    &(struct bundle){PART_QKV, c->fused_qkv != FUSED_NONE, c->qkv_bias, 3, c->hidden, parts, at,
                                     (size_t[]){q, kv, kv}},
                    err));
    TRY(load_bundle(l, &(struct bundle){PART_O, false, c->o_bias, 1, q, o, at + 3, &c->hidden}, err));
    layer->qkv = (struct linear_group){.linear = {at, at + 1, at + 2}, .count = 3, .int8_few_rows = true};
    layer->o = (struct linear_group){.linear = {at + 3}, .count = 1};
    take_norm(&layer->qkv, &layer->attention_norm);
    return LORAC_OK;
}

static lorac_status load_mlp(const struct loading *l, struct decoder_layer *layer, struct linear *at, lorac_error *err)
{
    const struct model_config *c = &l->m->config;
    static const enum part parts[2] = {PART_GATE, PART_UP}, down[1] = {PART_DOWN};
    static const struct linear_input *const inputs[ACTIVATIONS][2] = {
        [ACTIVATION_SILU] = {&linear_silu, &linear_gated},
        [ACTIVATION_GELU] = {&linear_gelu, &linear_gated_gelu},
        [ACTIVATION_GELU_TANH] = {&linear_gelu_tanh, &linear_gated_gelu_tanh},
    };
    size_t skipped = c->gated ? 0 : 1, count = 2 - skipped;
    if (c->fused_gate_up) at[1].order.first = c->intermediate;
    TRY(load_bundle(l,
                    &(struct bundle){PART_GATE_UP, c->fused_gate_up, c->mlp_bias, count, c->hidden, parts + skipped, at,
                                     (size_t[]){c->intermediate, c->intermediate}},
                    err));
    TRY(load_bundle(
        l, &(struct bundle){PART_DOWN, false, c->mlp_bias, 1, c->intermediate, down, at + count, &c->hidden}, err));
    layer->gate_up = (struct linear_group){.linear = {at, at + 1}, .count = count};
    layer->down = (struct linear_group){.linear = {at + count}, .count = 1, .input = inputs[c->activation][c->gated]};
    take_norm(&layer->gate_up, &layer->mlp_norm);
    return LORAC_OK;
}

void decoder_ignore_buffers(struct weights *w, size_t layer)
{
    static const char *const buffers[] = {"model.layers.%zu.self_attn.rotary_emb.inv_freq",
                                          "transformer.h.%zu.attn.bias",
                                          "transformer.h.%zu.attn.masked_bias",
                                          "gpt_neox.layers.%zu.attention.bias",
                                          "gpt_neox.layers.%zu.attention.masked_bias",
                                          "gpt_neox.layers.%zu.attention.rotary_emb.inv_freq"};
    for (size_t k = 0; k < sizeof buffers / sizeof *buffers; k++)
        weights_ignore(w, (struct weight_name){buffers[k], NULL}, layer);
}

static lorac_status load_layer(struct loading *l, size_t i, lorac_error *err)
{
    struct lorac_model *m = l->m;
    size_t attention = 4, per_layer = m->linear_count / m->config.layers;
    struct linear *at = m->linears + i * per_layer;
    l->layer = i;
    for (size_t k = 0; k < per_layer; k++) at[k].index = i * per_layer + k;
    TRY(load_norms(l, &m->layers[i], err));
    TRY(load_attention(l, &m->layers[i], at, err));
    TRY(load_mlp(l, &m->layers[i], at + attention, err));
    decoder_ignore_buffers(l->w, i);
    return LORAC_OK;
}

/* ---- outside the layers --------------------------------------------------------------------- */

/* A GGUF's divisors of the frequencies: rope_freqs, or longrope's two. */
static lorac_status read_divisors(struct loading *l, const char *gguf, float *values, size_t pairs, bool *found,
                                  lorac_error *err)
{
    struct buf given;
    struct stream s = {.backend = l->m->runtime->backend};
    struct vector_source source = {.name = {NULL, gguf}, .suffix = ".weight", .optional = true};
    TRY(weights_vector(l->w, &source, SIZE_MAX, pairs, &given, err));
    *found = buf_is(given);
    if (*found) l->m->runtime->backend->kernels->readback(&s, values, given, pairs * sizeof *values);
    return LORAC_OK;
}

static lorac_status load_rope(struct loading *l, int kind, lorac_error *err)
{
    struct rope_config *r = &l->m->config.rope[kind];
    struct rope_weights *to = &l->m->rope[kind];
    float inverse[MAX_HEAD_DIM / 2], divisors[MAX_HEAD_DIM / 2];
    bool given = false, both = r->scaling == ROPE_LONG, found;
    if (both) {
        TRY(read_divisors(l, "rope_factors_short", r->divisors[0], r->dims / 2, &found, err));
        TRY(read_divisors(l, "rope_factors_long", r->divisors[1], r->dims / 2, &found, err));
    } else if (kind == ROPE_FULL) {
        TRY(read_divisors(l, "rope_freqs", divisors, r->dims / 2, &given, err));
    }
    for (int beyond = 0; beyond <= both; beyond++) {
        size_t length = beyond ? SIZE_MAX : 0;
        rope_frequencies(r, length, given ? divisors : NULL, inverse, &to->factor);
        TRY(weights_upload(l->w, inverse, r->dims / 2, &to->inverse[beyond], err));
    }
    return LORAC_OK;
}

static lorac_status load_head(struct loading *l, lorac_error *err)
{
    struct lorac_model *m = l->m;
    const struct model_config *c = &m->config;
    static const struct weight_name stored = {"lm_head.weight", "output.weight"};
    m->head.scale = (float)c->logit_scale;
    m->head.softcap = (float)c->final_softcap;
    if (c->head_bias) {
        struct vector_source bias = {.name = name_of(l, PART_HEAD), .suffix = ".bias"};
        TRY(weights_vector(l->w, &bias, SIZE_MAX, c->vocab, &m->head.bias, err));
    }
    if (!c->tied_head)
        return weights_matrix(l->w, name_of(l, PART_HEAD), SIZE_MAX, c->vocab, c->hidden, &m->head.weight, err);
    weights_ignore(l->w, stored, SIZE_MAX); /* a tied head is sometimes stored twice */
    m->head.weight = m->embedding;
    return LORAC_OK;
}

static lorac_status load_outside(struct loading *l, lorac_error *err)
{
    struct lorac_model *m = l->m;
    const struct model_config *c = &m->config;
    TRY(weights_matrix(l->w, name_of(l, PART_EMBEDDING), SIZE_MAX, c->vocab, c->hidden, &m->embedding, err));
    TRY(load_head(l, err));
    TRY(load_norm(l, PART_FINAL_NORM, c->hidden, &m->final_norm, err));
    if (c->positions)
        return weights_matrix(l->w, name_of(l, PART_POSITIONS), SIZE_MAX, c->positions, c->hidden, &m->positions, err);
    TRY(load_rope(l, ROPE_FULL, err));
    return c->local_rope ? load_rope(l, ROPE_LOCAL, err) : LORAC_OK;
}

lorac_status decoder_load(struct lorac_model *m, struct weights *w, lorac_error *err)
{
    const struct model_config *c = &m->config;
    struct loading l = {m, w, SIZE_MAX};
    size_t per_layer = c->gated ? 7 : 6;
    m->layers = mem_array(&m->runtime->memory, c->layers, sizeof *m->layers);
    m->linears = mem_array(&m->runtime->memory, c->layers * per_layer, sizeof *m->linears);
    m->linear_count = c->layers * per_layer;
    if (!m->layers || !m->linears) return fail_memory(err, "the layers", m->linear_count * sizeof *m->linears);
    TRY(load_outside(&l, err));
    for (size_t i = 0; i < c->layers; i++) TRY(load_layer(&l, i, err));
    return LORAC_OK;
}
