/* inputs.c — what products read: a tensor as it is, or rows formed from tensors when they are needed and not kept.
 *
 * A formed input costs a pass over its rows in the forward and, where a term trains on it, one in the backward. */
#include "ops/linear.h"

/* ---- gradients that kernels can only write ------------------------------------------------------ */

/* The gradient of t to be written: its own memory or, where another reader's is there, scratch that `add` adds. */
static struct tensor *fresh(struct exec *e, struct tensor *t)
{
    bool accumulate;
    if (gradient_exists(t)) return exec_tensor(e, t->rows, t->width, t->number);
    return exec_view(e, gradient_write(e, t, &accumulate), t->rows, t->width, t->number);
}

static void add(struct exec *e, struct tensor *t, const struct tensor *written)
{
    if (written->data.buffer == e->gradients.buffer) return;
    e->k->axpy(&e->stream, gradient_add(e, t), t->number, written->data, t->number, 1, t->rows * t->width);
}

/* ---- normalised rows ------------------------------------------------------------------------ */

/* x ∘ w + b */
static void weigh(struct exec *e, const struct linear_group *group, struct tensor *const in[2], struct tensor *to)
{
    const struct norm *norm = group->columns;
    e->k->scale_columns(&e->stream, to->data, in[0]->data, to->number, norm->weight, norm->bias, to->rows, to->width);
}

static void weigh_back(struct exec *e, const struct linear_group *group, struct tensor *const in[2],
                       const struct tensor *d)
{
    struct tensor *dx = fresh(e, in[0]);
    e->k->scale_columns(&e->stream, dx->data, d->data, d->number, group->columns->weight, (struct buf){0}, d->rows,
                        d->width);
    add(e, in[0], dx);
}

/* ---- activations (gated: Shazeer 2020, arXiv 2002.05202) ---------------------------------------- */

static void gate(struct exec *e, const struct linear_group *group, struct tensor *const in[2], struct tensor *to)
{
    struct buf up = group->input->gated ? in[1]->data : (struct buf){0};
    e->k->gate(&e->stream, to->data, in[0]->data, up, to->number, group->input->activation, to->rows * to->width);
}

static void gate_back(struct exec *e, const struct linear_group *group, struct tensor *const in[2],
                      const struct tensor *d)
{
    const struct linear_input *input = group->input;
    struct tensor *dgate = fresh(e, in[0]), *dup = input->gated ? fresh(e, in[1]) : NULL;
    e->k->gate_back(&e->stream, dgate->data, dup ? dup->data : (struct buf){0}, d->data, in[0]->data,
                    dup ? in[1]->data : (struct buf){0}, d->number, input->activation, d->rows * d->width);
    add(e, in[0], dgate);
    if (dup) add(e, in[1], dup);
}

const struct linear_input linear_plain = {0}, linear_weighed = {.form = weigh, .back = weigh_back};
const struct linear_input linear_silu = {gate, gate_back, ACTIVATION_SILU, false},
                          linear_gelu = {gate, gate_back, ACTIVATION_GELU, false},
                          linear_gelu_tanh = {gate, gate_back, ACTIVATION_GELU_TANH, false},
                          linear_gated = {gate, gate_back, ACTIVATION_SILU, true},
                          linear_gated_gelu = {gate, gate_back, ACTIVATION_GELU, true},
                          linear_gated_gelu_tanh = {gate, gate_back, ACTIVATION_GELU_TANH, true};
