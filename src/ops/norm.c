/* norm.c — root-mean-square normalisation of rows (Zhang & Sennrich 2019, arXiv 1910.07467), and their columns'
 * weights.
 *
 * Saved for backward: the normalised rows and their scale 1/sqrt(mean(x²) + eps); not x. The weight is frozen, and a
 * product that follows takes it as the weight of its input's columns (linear.h): so the weighted rows are not kept. */
#include "ops/ops.h"

static void normalize_backward(struct exec *e, const struct record *r)
{
    struct tensor *x = r->in[0], *y = r->out[0];
    if (!gradient_exists(y)) return;
    e->k->normalize_back(&e->stream, gradient_add(e, x), gradient_of(e, y), y->data, y->number, r->saved->data, x->rows,
                         x->width);
}

struct tensor *op_normalize(struct exec *e, struct tensor *x, float eps)
{
    struct tensor *y = exec_tensor(e, x->rows, x->width, e->narrow);
    struct tensor *scale = exec_tensor(e, x->rows, 1, NUMBER_F32);
    e->k->normalize(&e->stream, y->data, y->number, scale->data, x->data, x->rows, x->width, eps);
    y->wants_gradient = x->wants_gradient;
    struct record *r = x->wants_gradient ? exec_record(e, normalize_backward, NULL) : NULL;
    if (!r) return y;
    r->in[0] = x;
    r->out[0] = y;
    r->saved = scale;
    return y;
}

static void scale_columns_backward(struct exec *e, const struct record *r)
{
    struct tensor *x = r->in[0], *y = r->out[0];
    const struct norm *norm = r->context;
    bool accumulate;
    if (!gradient_exists(y)) return;
    e->k->scale_columns(&e->stream, gradient_write(e, x, &accumulate), gradient_of(e, y), y->number, norm->weight,
                        y->rows, y->width);
}

struct tensor *op_rms_norm(struct exec *e, struct tensor *x, const struct norm *norm)
{
    struct tensor *n = op_normalize(e, x, norm->eps), *y = exec_tensor(e, x->rows, x->width, n->number);
    e->k->scale_columns(&e->stream, y->data, n->data, y->number, norm->weight, y->rows, y->width);
    y->wants_gradient = n->wants_gradient;
    struct record *r = y->wants_gradient ? exec_record(e, scale_columns_backward, norm) : NULL;
    if (!r) return y;
    r->in[0] = n;
    r->out[0] = y;
    return y;
}
