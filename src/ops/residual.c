/* residual.c — what a block computed is added to the residual, in place, where the product itself could not add it:
 * after a norm, or times a multiplier; and the copy that a block without a norm before it reads. */
#include "ops/ops.h"

static void copy_backward(struct exec *e, const struct record *r)
{
    struct tensor *x = r->in[0], *y = r->out[0];
    if (gradient_exists(y))
        e->k->axpy(&e->stream, gradient_add(e, x), x->number, gradient_of(e, y), y->number, 1, x->rows * x->width);
}

struct tensor *op_copy(struct exec *e, struct tensor *x)
{
    struct tensor *y = exec_tensor(e, x->rows, x->width, e->narrow);
    e->k->fill(&e->stream, y->data, y->number, 0, x->rows * x->width);
    e->k->axpy(&e->stream, y->data, y->number, x->data, x->number, 1, x->rows * x->width);
    y->wants_gradient = x->wants_gradient;
    struct record *r = x->wants_gradient ? exec_record(e, copy_backward, NULL) : NULL;
    if (!r) return y;
    r->in[0] = x;
    r->out[0] = y;
    return y;
}

static void residual_backward(struct exec *e, const struct record *r)
{
    struct tensor *x = r->in[0], *y = r->in[1], *h = r->out[0];
    if (!gradient_exists(h)) return;
    if (y->wants_gradient)
        e->k->axpy(&e->stream, gradient_add(e, y), y->number, gradient_of(e, h), h->number, r->scale,
                   h->rows * h->width);
    if (x->wants_gradient) gradient_share(e, x, h);
}

struct tensor *op_residual(struct exec *e, struct tensor *x, struct tensor *y, float scale, struct tensor *h)
{
    e->k->axpy(&e->stream, h->data, h->number, y->data, y->number, scale, h->rows * h->width);
    h->wants_gradient = x->wants_gradient || y->wants_gradient;
    struct record *r = h->wants_gradient ? exec_record(e, residual_backward, NULL) : NULL;
    if (!r) return h;
    r->in[0] = x;
    r->in[1] = y;
    r->out[0] = h;
    r->scale = scale;
    return h;
}
