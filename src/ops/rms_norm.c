/* rms_norm.c — root-mean-square normalisation of rows (Zhang & Sennrich 2019, arXiv 1910.07467).
 *
 * Saved for backward: x and its scale 1/sqrt(mean(x²) + eps), one float a row. The weight is frozen. */
#include "ops/ops.h"

static void rms_norm_backward(struct exec *e, const struct record *r)
{
    struct tensor *x = r->in[0], *y = r->out[0];
    const struct norm *norm = r->context;
    if (!gradient_exists(y)) return;
    struct buf dx = gradient_add(e, x);
    e->k->rms_norm_back(&e->stream, dx, gradient_of(e, y), x->data, norm->weight, r->saved->data, x->rows, x->width);
}

struct tensor *op_rms_norm(struct exec *e, struct tensor *x, const struct norm *norm)
{
    struct tensor *y = exec_tensor(e, x->rows, x->width), *scale = exec_tensor(e, x->rows, 1);
    e->k->rms_norm(&e->stream, y->data, scale->data, x->data, norm->weight, x->rows, x->width, norm->eps);
    y->wants_gradient = x->wants_gradient;
    struct record *r = x->wants_gradient ? exec_record(e, rms_norm_backward, norm) : NULL;
    if (!r) return y;
    r->in[0] = x;
    r->out[0] = y;
    r->saved = scale;
    return y;
}
