/* attention.c — causal attention over ragged rows; grouped heads (Vaswani et al. 2017; Ainslie et al. 2023).
 *
 * Saved for backward: q, k, v, the output and the log-sum-exp of each row and head; never the scores. */
#include "ops/ops.h"

static struct attention arguments(const struct exec *e, const struct attention_shape *shape, const struct tensor *q,
                                  const struct tensor *out, const struct tensor *lse)
{
    return (struct attention){.q = q->data,
                              .out = out->data,
                              .lse = lse->data,
                              .number = q->number,
                              .precision = e->precision,
                              .heads = shape->heads,
                              .kv_heads = shape->kv_heads,
                              .head_dim = shape->head_dim,
                              .scale = shape->scale,
                              .window = shape->window,
                              .softcap = shape->softcap,
                              .segments = shape->segments,
                              .segment_count = shape->segment_count};
}

static void attention_backward(struct exec *e, const struct record *r)
{
    struct tensor *out = r->out[0], *q = r->in[0], *k = r->in[1], *v = r->in[2];
    if (!gradient_exists(out)) return;
    struct attention a = arguments(e, r->context, q, out, r->saved);
    bool fresh;
    a.dout = gradient_of(e, out);
    a.dq = gradient_write(e, q, &fresh);
    a.dk = gradient_write(e, k, &fresh);
    a.dv = gradient_write(e, v, &fresh);
    e->k->attention_back(&e->stream, &a);
}

struct tensor *op_attention(struct exec *e, struct tensor *q, struct tensor *k, struct tensor *v,
                            const struct attention_shape *shape)
{
    struct tensor *out = exec_tensor(e, q->rows, q->width, q->number);
    struct tensor *lse = exec_tensor(e, q->rows, shape->heads, NUMBER_F32);
    struct attention a = arguments(e, shape, q, out, lse);
    struct mark mark = exec_mark(e);
    if (!e->recording)
        a.parts = exec_tensor(e, ATTENTION_PARTS, shape->heads * (shape->head_dim + 2), NUMBER_F32)->data;
    e->k->attention(&e->stream, &a);
    exec_release(e, mark);
    out->wants_gradient = q->wants_gradient || k->wants_gradient || v->wants_gradient;
    struct record *r = out->wants_gradient ? exec_record(e, attention_backward, shape) : NULL;
    if (!r) return out;
    r->in[0] = q;
    r->in[1] = k;
    r->in[2] = v;
    r->out[0] = out;
    r->saved = lse;
    return out;
}
