/* decoder.c — the shared body of pre-norm decoders with gated MLPs. See decoder.h.
 *
 * h = x + O attention(rope(Q n), rope(K n), V n), n = norm(x);   y = h + down(silu(gate m) · up m), m = norm(h)
 *
 * The residual x → h → y is one f32 matrix that every layer adds to in place. Kept for the backward are, a layer:
 * normalised rows twice, q, k, v, what attention mixed, gate and up. */
#include "model/decoder.h"

static struct tensor *residual_view(struct exec *e, const struct tensor *x)
{
    return exec_view(e, x->data, x->rows, x->width, x->number);
}

/* x → h */
static struct tensor *attention(struct exec *e, const struct layer_call *call, struct tensor *x)
{
    const struct decoder_layer *layer = &call->model->layers[call->layer];
    struct batch *batch = call->batch;
    struct tensor *qkv[GROUP_LINEARS], *h = residual_view(e, x);
    struct tensor *n = op_normalize(e, x, &layer->attention_norm);
    op_linear(e, &layer->qkv, (struct tensor *[2]){n}, &batch->terms, qkv);
    const struct rope *rope = batch_rope(batch, call->layer);
    if (rope) {
        op_rope(e, qkv[0], rope);
        op_rope(e, qkv[1], rope);
    }
    const struct attention_shape *shape = batch_attention(batch, e, call->layer, qkv[1], qkv[2]);
    struct tensor *mixed = op_attention(e, qkv[0], qkv[1], qkv[2], shape);
    op_linear_add(e, &layer->o, (struct tensor *[2]){mixed}, &batch->terms, x, h, true);
    return h;
}

/* m = in[0], h = in[1] → y. Gate and up are the widest tensors of a layer, and the cheapest memory to win back. */
static void gated(struct exec *e, const void *context, struct tensor *const in[2], struct tensor *y)
{
    const struct layer_call *call = context;
    const struct decoder_layer *layer = &call->model->layers[call->layer];
    struct tensor *gate_up[GROUP_LINEARS];
    op_linear(e, &layer->gate_up, in, &call->batch->terms, gate_up);
    op_linear_add(e, &layer->down, gate_up, &call->batch->terms, in[1], y, !e->again);
}

static void mlp(struct exec *e, const struct layer_call *call, struct tensor *h, struct tensor *y)
{
    const struct batch *b = call->batch;
    struct tensor *m = op_normalize(e, h, &call->model->layers[call->layer].mlp_norm);
    size_t trained = call->layer - b->first_trained;
    if (e->recording && trained >= b->recompute.layers && trained < b->recompute.gate_up)
        exec_checkpoint(e, gated, call, (struct tensor *[2]){m, h}, y);
    else
        gated(e, call, (struct tensor *[2]){m, h}, y);
}

static void layer_forward(struct exec *e, const struct layer_call *call, struct tensor *x, struct tensor *y)
{
    mlp(e, call, attention(e, call, x), y);
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
    struct tensor *x =
        op_embedding(e, &model->embedding, batch->ids, batch->rows, (float)model->config.embedding_scale);
    return op_norm(e, layers_forward(model, e, batch, x), &model->final_norm);
}
