/* silu_mul.c — y = gate · σ(gate) · up (SwiGLU; Shazeer 2020, arXiv 2002.05202). Saved for backward: gate and up. */
#include "ops/ops.h"

static void silu_mul_backward(struct exec *e, const struct record *r)
{
    struct tensor *gate = r->in[0], *up = r->in[1], *y = r->out[0];
    if (!gradient_exists(y)) return;
    bool fresh;
    struct buf dgate = gradient_write(e, gate, &fresh), dup = gradient_write(e, up, &fresh);
    e->k->silu_mul_back(&e->stream, dgate, dup, gradient_of(e, y), gate->data, up->data, y->rows * y->width);
}

void op_silu_mul(struct exec *e, struct tensor *y, struct tensor *gate, struct tensor *up)
{
    e->k->silu_mul(&e->stream, y->data, gate->data, up->data, y->rows * y->width);
    y->wants_gradient = gate->wants_gradient || up->wants_gradient;
    struct record *r = y->wants_gradient ? exec_record(e, silu_mul_backward, NULL) : NULL;
    if (!r) return;
    r->in[0] = gate;
    r->in[1] = up;
    r->out[0] = y;
}
