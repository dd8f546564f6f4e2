/* clamp.c — values cut to ±limit: OLMo's q, k and v (Groeneveld et al. 2024). Saved for backward: x. */
#include "ops/ops.h"

static void clamp_backward(struct exec *e, const struct record *r)
{
    struct tensor *x = r->in[0], *y = r->out[0];
    if (gradient_exists(y))
        e->k->clamp_back(&e->stream, gradient_add(e, x), gradient_of(e, y), x->data, x->number, r->scale,
                         x->rows * x->width);
}

struct tensor *op_clamp(struct exec *e, struct tensor *x, float limit)
{
    struct tensor *y = exec_tensor(e, x->rows, x->width, x->number);
    e->k->clamp(&e->stream, y->data, x->data, x->number, limit, x->rows * x->width);
    y->wants_gradient = x->wants_gradient;
    struct record *r = x->wants_gradient ? exec_record(e, clamp_backward, NULL) : NULL;
    if (!r) return y;
    r->in[0] = x;
    r->out[0] = y;
    r->scale = limit;
    return y;
}
