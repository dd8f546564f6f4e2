/* llama.c — the Llama family: grouped heads, RMS norms, gated SiLU MLPs, rotary positions (Touvron et al. 2023).
 *
 * Names: Hugging Face's LlamaForCausalLM and GGUF's architecture "llama". In a GGUF the rows of q and k stand in
 * interleaved pairs; the linears say so, and adapters are read and written through that. */
#include "model/decoder.h"
#include "model/weights.h"

enum { LINEARS = 7 };

static const struct weight_name embedding = {"model.embed_tokens.weight", "token_embd.weight"},
                                final_norm = {"model.norm.weight", "output_norm.weight"},
                                head = {"lm_head.weight", "output.weight"},
                                attention_norm = {"model.layers.%zu.input_layernorm.weight",
                                                  "blk.%zu.attn_norm.weight"},
                                mlp_norm = {"model.layers.%zu.post_attention_layernorm.weight",
                                            "blk.%zu.ffn_norm.weight"},
                                inverse = {"model.layers.%zu.self_attn.rotary_emb.inv_freq", NULL},
                                divisors = {NULL, "rope_freqs.weight"};
static const struct weight_name modules[LINEARS] = {
    {"model.layers.%zu.self_attn.q_proj", "blk.%zu.attn_q"},
    {"model.layers.%zu.self_attn.k_proj", "blk.%zu.attn_k"},
    {"model.layers.%zu.self_attn.v_proj", "blk.%zu.attn_v"},
    {"model.layers.%zu.self_attn.o_proj", "blk.%zu.attn_output"},
    {"model.layers.%zu.mlp.gate_proj", "blk.%zu.ffn_gate"},
    {"model.layers.%zu.mlp.up_proj", "blk.%zu.ffn_up"},
    {"model.layers.%zu.mlp.down_proj", "blk.%zu.ffn_down"},
};

static lorac_status load_linears(struct lorac_model *m, struct weights *w, size_t i, lorac_error *err)
{
    const struct model_config *c = &m->config;
    size_t q = c->heads * c->head_dim, kv = c->kv_heads * c->head_dim;
    const struct {
        size_t rows, cols;
        bool bias;
    } shape[LINEARS] = {{q, c->hidden, c->attention_bias},         {kv, c->hidden, c->attention_bias},
                        {kv, c->hidden, c->attention_bias},        {c->hidden, q, c->attention_bias},
                        {c->intermediate, c->hidden, c->mlp_bias}, {c->intermediate, c->hidden, c->mlp_bias},
                        {c->hidden, c->intermediate, c->mlp_bias}};
    struct linear *l = m->linears + i * LINEARS;
    for (size_t k = 0; k < LINEARS; k++) {
        l[k].index = i * LINEARS + k;
        TRY(weights_linear(w, modules[k], i, shape[k].rows, shape[k].cols, shape[k].bias, &l[k], err));
    }
    if (c->rope.interleaved) {
        l[0].permuted_heads = c->heads;
        l[1].permuted_heads = c->kv_heads;
    }
    struct decoder_layer *layer = &m->layers[i];
    layer->qkv = (struct linear_group){{&l[0], &l[1], &l[2]}, 3, &linear_weighed, &layer->attention_norm, true};
    layer->o = (struct linear_group){{&l[3]}, 1, &linear_plain, NULL, false};
    layer->gate_up = (struct linear_group){{&l[4], &l[5]}, 2, &linear_weighed, &layer->mlp_norm, false};
    layer->down = (struct linear_group){{&l[6]}, 1, &linear_gated, NULL, false};
    return LORAC_OK;
}

static lorac_status load_layer(struct lorac_model *m, struct weights *w, size_t i, lorac_error *err)
{
    struct decoder_layer *layer = &m->layers[i];
    layer->attention_norm.eps = layer->mlp_norm.eps = (float)m->config.norm_eps;
    TRY(weights_vector(w, attention_norm, i, m->config.hidden, false, &layer->attention_norm.weight, err));
    TRY(weights_vector(w, mlp_norm, i, m->config.hidden, false, &layer->mlp_norm.weight, err));
    weights_ignore(w, inverse, i);
    return load_linears(m, w, i, err);
}

static lorac_status load_rope(struct lorac_model *m, struct weights *w, lorac_error *err)
{
    size_t pairs = m->config.rope.dims / 2;
    float *values = mem_array(&m->runtime->memory, pairs * 2, sizeof *values);
    if (!values) return fail_memory(err, "the rotary frequencies", pairs * 8);
    struct buf given = {0};
    lorac_status status = weights_vector(w, divisors, SIZE_MAX, pairs, true, &given, err);
    if (status == LORAC_OK) {
        struct stream s = {.backend = m->runtime->backend};
        if (buf_is(given)) m->runtime->backend->kernels->readback(&s, values + pairs, given, pairs * sizeof *values);
        rope_frequencies(&m->config.rope, buf_is(given) ? values + pairs : NULL, values, &m->rope_factor);
        status = weights_upload(w, values, pairs, &m->rope_inverse, err);
    }
    mem_free(&m->runtime->memory, values);
    return status;
}

static lorac_status load_head(struct lorac_model *m, struct weights *w, lorac_error *err)
{
    const struct model_config *c = &m->config;
    if (!c->tied_head) return weights_matrix(w, head, SIZE_MAX, c->vocab, c->hidden, &m->head, err);
    weights_ignore(w, head, SIZE_MAX); /* a tied head is sometimes stored twice */
    m->head = m->embedding;
    return LORAC_OK;
}

static lorac_status load(struct lorac_model *m, struct weights *w, lorac_error *err)
{
    const struct model_config *c = &m->config;
    m->layers = mem_array(&m->runtime->memory, c->layers, sizeof *m->layers);
    m->linears = mem_array(&m->runtime->memory, c->layers * LINEARS, sizeof *m->linears);
    m->linear_count = c->layers * LINEARS;
    if (!m->layers || !m->linears) return fail_memory(err, "the layers", m->linear_count * sizeof *m->linears);
    TRY(weights_matrix(w, embedding, SIZE_MAX, c->vocab, c->hidden, &m->embedding, err));
    TRY(load_head(m, w, err));
    m->final_norm.eps = (float)c->norm_eps;
    TRY(weights_vector(w, final_norm, SIZE_MAX, c->hidden, false, &m->final_norm.weight, err));
    TRY(load_rope(m, w, err));
    for (size_t i = 0; i < c->layers; i++) TRY(load_layer(m, w, i, err));
    return LORAC_OK;
}

static struct tensor *forward(const struct lorac_model *m, struct exec *e, struct batch *batch)
{
    struct tensor *x = op_embedding(e, &m->embedding, batch->ids, batch->rows);
    x = decoder_forward(m, e, batch, x);
    return op_rms_norm(e, x, &m->final_norm);
}

const struct family family_llama = {"llama", load, forward};
