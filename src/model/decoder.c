/* decoder.c — the shared body of dense decoders. See decoder.h.
 *
 * Blocks are attention and a MLP; before and after each may stand a norm:
 *   sequential: h = x + r·after(O attention(rope(norm Q n), rope(norm K n), V n)), n = before(x)
 *               y = h + r·after(down(act(gate m) · up m)),                         m = before(h)
 *   parallel:   the same with m = before(x), one norm or two
 * The residual x → h → y is one f32 matrix that every layer adds to in place. Kept for the backward are, a layer:
 * normalised rows (once or twice), q, k, v, what attention mixed, gate and up. */
#include "model/decoder.h"

static const struct model_config *config_of(const struct layer_call *call)
{
    return &call->model->config;
}

static const struct decoder_layer *layer_of(const struct layer_call *call)
{
    return &call->model->layers[call->layer];
}

static struct tensor *residual_view(struct exec *e, const struct tensor *x)
{
    return exec_view(e, x->data, x->rows, x->width, x->number);
}

/* What a block's products read: normalised rows (the norm's weight is the products'), or a copy, since the residual
 * goes on. */
static struct tensor *block_input(struct exec *e, const struct layer_call *call, struct tensor *x,
                                  const struct norm *norm)
{
    return config_of(call)->norms & NORM_BEFORE ? op_normalize(e, x, norm) : op_copy(e, x);
}

/* h = x + r·after(group's linear). */
static void block_output(struct exec *e, const struct layer_call *call, const struct linear_group *group,
                         const struct norm *after, struct tensor *const in[2], struct tensor *x, struct tensor *h,
                         bool read)
{
    const struct model_config *c = config_of(call);
    if (!(c->norms & NORM_AFTER) && c->residual_scale == 1) {
        op_linear_add(e, group, in, &call->batch->terms, x, h, read);
        return;
    }
    struct tensor *out[GROUP_LINEARS];
    op_linear(e, group, in, &call->batch->terms, out);
    op_residual(e, x, c->norms & NORM_AFTER ? op_norm(e, out[0], after) : out[0], (float)c->residual_scale, h);
}

/* ---- attention ------------------------------------------------------------------------------ */

static struct tensor *norm_heads(struct exec *e, const struct layer_call *call, struct tensor *x,
                                 const struct norm *norm, size_t heads)
{
    switch (config_of(call)->qk_norm) {
    case QK_NORM_NONE:
        return x;
    case QK_NORM_WIDTH:
        return op_norm_heads(e, x, norm, 1, 0);
    case QK_NORM_HEAD:
        return op_norm_heads(e, x, norm, heads, 0);
    case QK_NORM_HEADS:
        return op_norm_heads(e, x, norm, heads, 1);
    }
    return x;
}

/* n, x → h */
static struct tensor *attention(struct exec *e, const struct layer_call *call, struct tensor *n, struct tensor *x)
{
    const struct model_config *c = config_of(call);
    const struct decoder_layer *layer = layer_of(call);
    struct batch *batch = call->batch;
    struct tensor *qkv[GROUP_LINEARS], *h = residual_view(e, x);
    op_linear(e, &layer->qkv, (struct tensor *[2]){n}, &batch->terms, qkv);
    for (size_t i = 0; i < 3 && c->qkv_limit > 0; i++) qkv[i] = op_clamp(e, qkv[i], (float)c->qkv_limit);
    qkv[0] = norm_heads(e, call, qkv[0], &layer->q_norm, c->heads);
    qkv[1] = norm_heads(e, call, qkv[1], &layer->k_norm, c->kv_heads);
    const struct rope *rope = batch_rope(batch, call->layer);
    if (rope) {
        op_rope(e, qkv[0], rope);
        op_rope(e, qkv[1], rope);
    }
    const struct attention_shape *shape = batch_attention(batch, e, call->layer, qkv[1], qkv[2]);
    struct tensor *mixed = op_attention(e, qkv[0], qkv[1], qkv[2], shape);
    block_output(e, call, &layer->o, &layer->attention_after, (struct tensor *[2]){mixed}, x, h, true);
    return h;
}

/* ---- MLP ------------------------------------------------------------------------------------ */

/* m = in[0], h = in[1] → y. Gate and up are the widest tensors of a layer, and the cheapest memory to win back. */
static void inner(struct exec *e, const void *context, struct tensor *const in[2], struct tensor *y)
{
    const struct layer_call *call = context;
    const struct decoder_layer *layer = layer_of(call);
    struct tensor *gate_up[GROUP_LINEARS] = {NULL};
    op_linear(e, &layer->gate_up, in, &call->batch->terms, gate_up);
    block_output(e, call, &layer->down, &layer->mlp_after, gate_up, in[1], y, !e->again);
}

static void mlp(struct exec *e, const struct layer_call *call, struct tensor *m, struct tensor *h, struct tensor *y)
{
    const struct batch *b = call->batch;
    size_t trained = call->layer - b->first_trained;
    if (e->recording && trained >= b->recompute.layers && trained < b->recompute.gate_up)
        exec_checkpoint(e, inner, call, (struct tensor *[2]){m, h}, y);
    else
        inner(e, call, (struct tensor *[2]){m, h}, y);
}

/* ---- layers --------------------------------------------------------------------------------- */

static void layer_forward(struct exec *e, const struct layer_call *call, struct tensor *x, struct tensor *y)
{
    const struct decoder_layer *layer = layer_of(call);
    enum block_order order = config_of(call)->order;
    struct tensor *n = block_input(e, call, x, &layer->attention_norm), *m = n;
    if (order == BLOCK_PARALLEL_NORMS) m = block_input(e, call, x, &layer->mlp_norm);
    struct tensor *h = attention(e, call, n, x);
    if (order == BLOCK_SEQUENTIAL) m = block_input(e, call, h, &layer->mlp_norm);
    mlp(e, call, m, h, y);
}

/* The same from a copy of x, in[0], since the residual has gone on: for the backward. */
static void layer_again(struct exec *e, const void *context, struct tensor *const in[2], struct tensor *y)
{
    struct tensor *x = in[1];
    e->k->copy_rows(&e->stream, x->data, x->width, in[0]->data, x->width, x->number, x->rows, x->width);
    layer_forward(e, context, x, y);
}

/* Nothing of the layer but its output stays. */
static void forget(struct exec *e, const struct layer_call *call, struct tensor *x)
{
    bool recording = e->recording;
    struct mark mark = exec_mark(e);
    e->recording = false;
    layer_forward(e, call, x, residual_view(e, x));
    e->recording = recording;
    exec_release(e, mark);
}

static struct tensor *layers_forward(const struct lorac_model *model, struct exec *e, struct batch *batch,
                                     struct tensor *x)
{
    for (size_t i = 0; i < model->config.layers; i++) {
        const struct layer_call *call = &batch->calls[i];
        if (!e->recording || i < batch->first_trained) {
            forget(e, call, x);
            continue;
        }
        struct tensor *y = residual_view(e, x);
        if (i - batch->first_trained < batch->recompute.layers) {
            struct tensor *copy = exec_tensor(e, x->rows, x->width, x->number);
            e->k->copy_rows(&e->stream, copy->data, x->width, x->data, x->width, x->number, x->rows, x->width);
            exec_checkpoint(e, layer_again, call, (struct tensor *[2]){copy, x}, y);
        } else {
            layer_forward(e, call, x, y);
        }
        x = y;
    }
    return x;
}

struct tensor *decoder_forward(const struct lorac_model *model, struct exec *e, struct batch *batch)
{
    const struct model_config *c = &model->config;
    struct tensor *x = op_embedding(e, &model->embedding, batch->ids, batch->rows, (float)c->embedding_scale);
    if (c->positions) op_embedding_add(e, x, &model->positions, batch->positions);
    return op_norm(e, layers_forward(model, e, batch, x), &model->final_norm);
}
