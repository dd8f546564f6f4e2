/* inputs.c — what products read: a tensor as it is, or rows formed from tensors when they are needed and not kept.
 *
 * A formed input costs a pass over its rows in the forward and, where a term trains on it, one in the backward. */
#include "ops/linear.h"

/* x ∘ w + b: normalised rows with their norm's weight and bias */
static void weigh(struct exec *e, const struct linear_group *group, struct tensor *const in[2], struct tensor *to)
{
    e->k->scale_columns(&e->stream, to->data, in[0]->data, to->number, group->columns->weight, group->columns->bias,
                        to->rows, to->width);
}

static void weigh_back(struct exec *e, const struct linear_group *group, struct tensor *const in[2],
                       const struct tensor *d)
{
    bool accumulate;
    struct buf dx = gradient_write(e, in[0], &accumulate);
    e->k->scale_columns(&e->stream, dx, d->data, d->number, group->columns->weight, (struct buf){0}, d->rows, d->width);
}

/* gate · σ(gate) · up (SwiGLU; Shazeer 2020, arXiv 2002.05202) */
static void gate(struct exec *e, const struct linear_group *group, struct tensor *const in[2], struct tensor *to)
{
    e->k->silu_mul(&e->stream, to->data, in[0]->data, in[1]->data, to->number, to->rows * to->width);
}

static void gate_back(struct exec *e, const struct linear_group *group, struct tensor *const in[2],
                      const struct tensor *d)
{
    bool accumulate;
    struct buf dgate = gradient_write(e, in[0], &accumulate), dup = gradient_write(e, in[1], &accumulate);
    e->k->silu_mul_back(&e->stream, dgate, dup, d->data, in[0]->data, in[1]->data, d->number, d->rows * d->width);
}

const struct linear_input linear_plain = {NULL, NULL}, linear_weighed = {weigh, weigh_back},
                          linear_gated = {gate, gate_back};
