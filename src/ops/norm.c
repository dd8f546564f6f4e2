/* norm.c — normalisation of rows or of their heads: root-mean-square (Zhang & Sennrich 2019, arXiv 1910.07467) and
 * LayerNorm (Ba et al. 2016, arXiv 1607.06450); and their columns' weights and biases.
 *
 * Saved for backward: the normalised rows and their scale; not x. The weight is frozen, and a product that follows
 * takes it as the weight of its input's columns (linear.h): so the weighted rows are not kept. */
#include "ops/ops.h"

static void normalize_backward(struct exec *e, const struct record *r)
{
    struct tensor *x = r->in[0], *y = r->out[0], *scale = r->saved;
    const struct norm *norm = r->context;
    if (!gradient_exists(y)) return;
    e->k->normalize_back(&e->stream, &(struct normalize){.y = y->data,
                                                         .scale = scale->data,
                                                         .dx = gradient_add(e, x),
                                                         .dy = gradient_of(e, y),
                                                         .x_number = x->number,
                                                         .number = y->number,
                                                         .rows = scale->rows,
                                                         .width = x->rows * x->width / scale->rows,
                                                         .centred = norm->kind == NORM_LAYER});
}

/* Each of the `heads` parts of x's rows becomes a row of its own; y may have x's memory. */
static void normalize(struct exec *e, struct tensor *x, const struct norm *norm, size_t heads, struct tensor *y)
{
    struct tensor *scale = exec_tensor(e, x->rows * heads, 1, NUMBER_F32);
    e->k->normalize(&e->stream, &(struct normalize){.x = x->data,
                                                    .y = y->data,
                                                    .scale = scale->data,
                                                    .x_number = x->number,
                                                    .number = y->number,
                                                    .rows = scale->rows,
                                                    .width = x->width / heads,
                                                    .eps = norm->eps,
                                                    .centred = norm->kind == NORM_LAYER});
    y->wants_gradient = x->wants_gradient;
    struct record *r = x->wants_gradient ? exec_record(e, normalize_backward, norm) : NULL;
    if (!r) return;
    r->in[0] = x;
    r->out[0] = y;
    r->saved = scale;
}

static void weigh_backward(struct exec *e, const struct record *r)
{
    struct tensor *x = r->in[0], *y = r->out[0];
    const struct tensor *shape = r->saved;
    const struct norm *norm = r->context;
    bool accumulate; /* never: x was made for this op */
    if (!gradient_exists(y)) return;
    e->k->scale_columns(&e->stream, gradient_write(e, x, &accumulate), gradient_of(e, y), y->number, norm->weight,
                        (struct buf){0}, shape->rows, shape->width);
}

/* The weight's row is used `times` times in each row of x. */
static struct tensor *weigh(struct exec *e, struct tensor *x, const struct norm *norm, size_t times)
{
    if (!buf_is(norm->weight) && !buf_is(norm->bias)) return x;
    struct tensor *y = exec_tensor(e, x->rows, x->width, x->number);
    struct tensor *shape = exec_view(e, y->data, x->rows * times, x->width / times, x->number);
    e->k->scale_columns(&e->stream, y->data, x->data, y->number, norm->weight, norm->bias, shape->rows, shape->width);
    y->wants_gradient = x->wants_gradient;
    struct record *r = y->wants_gradient ? exec_record(e, weigh_backward, norm) : NULL;
    if (!r) return y;
    r->in[0] = x;
    r->out[0] = y;
    r->saved = shape;
    return y;
}

struct tensor *op_normalize(struct exec *e, struct tensor *x, const struct norm *norm)
{
    struct tensor *y = exec_tensor(e, x->rows, x->width, e->narrow);
    normalize(e, x, norm, 1, y);
    return y;
}

struct tensor *op_norm(struct exec *e, struct tensor *x, const struct norm *norm)
{
    return weigh(e, op_normalize(e, x, norm), norm, 1);
}

struct tensor *op_norm_heads(struct exec *e, struct tensor *x, const struct norm *norm, size_t heads, size_t each)
{
    struct tensor *y = exec_view(e, x->data, x->rows, x->width, x->number);
    normalize(e, x, norm, heads, y);
    return weigh(e, y, norm, each ? 1 : heads);
}
