/* add.c — y = a + b. In the backward both share y's gradient, without a copy until one of them is added to. */
#include "ops/ops.h"

static void add_backward(struct exec *e, const struct record *r)
{
    if (!gradient_exists(r->out[0])) return;
    for (int i = 0; i < 2; i++)
        if (r->in[i]->wants_gradient) gradient_share(e, r->in[i], r->out[0]);
}

void op_add(struct exec *e, struct tensor *y, struct tensor *a, struct tensor *b)
{
    e->k->add(&e->stream, y->data, a->data, b->data, y->rows * y->width);
    y->wants_gradient = a->wants_gradient || b->wants_gradient;
    struct record *r = y->wants_gradient ? exec_record(e, add_backward, NULL) : NULL;
    if (!r) return;
    r->in[0] = a;
    r->in[1] = b;
    r->out[0] = y;
}
