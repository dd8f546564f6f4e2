/* rope.c — rotary position embedding (Su et al. 2021, arXiv 2104.09864), in place; the backward rotates back. */
#include "ops/ops.h"

static void rotate(struct exec *e, struct buf x, const struct tensor *shape, const struct rope *rope, bool inverse)
{
    e->k->rope(&e->stream, x, shape->number, shape->width, rope->table, shape->rows, shape->width / rope->head_dim,
               rope->head_dim, rope->rotary, rope->interleaved, inverse);
}

/* The record's `in`, not `out`: the gradient is turned in place and lives on. */
static void rope_backward(struct exec *e, const struct record *r)
{
    struct tensor *x = r->in[0];
    if (gradient_exists(x)) rotate(e, gradient_add(e, x), x, r->context, true);
}

void op_rope(struct exec *e, struct tensor *x, const struct rope *rope)
{
    rotate(e, x->data, x, rope, false);
    struct record *r = x->wants_gradient ? exec_record(e, rope_backward, rope) : NULL;
    if (r) r->in[0] = x;
}
