/* decoder.c — the shared body of pre-norm decoders with gated MLPs. See decoder.h.
 *
 * h = x + O attention(rope(Q n), rope(K n), V n), n = norm(x);   y = h + down(silu(gate m) · up m), m = norm(h) */
#include "model/decoder.h"

static struct tensor *attention(struct exec *e, const struct layer_call *call, struct tensor *x)
{
    const struct decoder_layer *layer = &call->model->layers[call->layer];
    struct batch *batch = call->batch;
    struct tensor *qkv[MATMUL_OUTPUTS], *o[MATMUL_OUTPUTS];
    struct tensor *n = op_rms_norm(e, x, &layer->attention_norm);
    op_linear(e, n, &layer->qkv, &batch->terms, qkv);
    op_rope(e, qkv[0], &batch->rope);
    op_rope(e, qkv[1], &batch->rope);
    const struct attention_shape *shape = batch_attention(batch, e, call->layer, qkv[1], qkv[2]);
    struct tensor *mixed = op_attention(e, qkv[0], qkv[1], qkv[2], shape);
    op_linear(e, mixed, &layer->o, &batch->terms, o);
    return o[0];
}

/* m → silu(gate m) · up m: the widest tensors of a layer, and the cheapest memory to win back. */
static void gated(struct exec *e, const void *context, struct tensor *m, struct tensor *out)
{
    const struct layer_call *call = context;
    struct tensor *gate_up[MATMUL_OUTPUTS];
    op_linear(e, m, &call->model->layers[call->layer].gate_up, &call->batch->terms, gate_up);
    op_silu_mul(e, out, gate_up[0], gate_up[1]);
}

static struct tensor *mlp(struct exec *e, const struct layer_call *call, struct tensor *h)
{
    const struct decoder_layer *layer = &call->model->layers[call->layer];
    struct tensor *m = op_rms_norm(e, h, &layer->mlp_norm), *down[MATMUL_OUTPUTS];
    struct tensor *act = exec_tensor(e, h->rows, call->model->config.intermediate);
    if (call->recompute_gate_up)
        exec_checkpoint(e, gated, call, m, act);
    else
        gated(e, call, m, act);
    op_linear(e, act, &layer->down, &call->batch->terms, down);
    return down[0];
}

static void decoder_layer_forward(struct exec *e, const void *context, struct tensor *x, struct tensor *y)
{
    const struct layer_call *call = context;
    struct tensor *h = exec_tensor(e, x->rows, x->width);
    op_add(e, h, x, attention(e, call, x));
    op_add(e, y, h, mlp(e, call, h));
}

/* Nothing of the layer but its output stays. */
static void forget(struct exec *e, const struct layer_call *call, struct tensor *x, struct tensor *y)
{
    struct mark mark = exec_mark(e);
    decoder_layer_forward(e, call, x, y);
    exec_release(e, mark);
}

struct tensor *decoder_forward(const struct lorac_model *model, struct exec *e, struct batch *batch, struct tensor *x)
{
    struct tensor *spare = exec_tensor(e, x->rows, x->width);
    bool recording = e->recording;
    for (size_t i = 0; i < model->config.layers; i++) {
        struct layer_call *call = &batch->calls[i];
        call->recompute_gate_up = batch->recompute == RECOMPUTE_GATE_UP;
        if (!recording || i < batch->first_trained) { /* two tensors take turns */
            e->recording = false;
            forget(e, call, x, spare);
            e->recording = recording;
            struct tensor *swap = x;
            x = spare;
            spare = swap;
            continue;
        }
        struct tensor *y = exec_tensor(e, x->rows, x->width);
        if (batch->recompute == RECOMPUTE_LAYERS)
            exec_checkpoint(e, decoder_layer_forward, call, x, y);
        else
            decoder_layer_forward(e, call, x, y);
        x = y;
    }
    return x;
}
