/* head_loss.c — the head and the cross-entropy in one op, a chunk of rows at a time, rows with a target only.
 *
 * The weights of the losses are known beforehand, so the forward forms the gradient at once:
 *   dx[index[i]] = weights[i] · Wᵀ scale (1 − (z_i / softcap)²) (softmax(z_i) − onehot(target_i)),   z_i =
 * logits(x[index[i]]) Saved for backward: that gradient, (count, width). A chunk's logits are all that ever exists of
 * them. */
#include "ops/ops.h"

enum { CHUNK_ROWS = 256 };

static void head_loss_backward(struct exec *e, const struct record *r)
{
    const struct head_loss *loss = r->context;
    struct tensor *x = r->in[0];
    e->k->scatter_rows(&e->stream, gradient_add(e, x), x->number, r->saved->data, loss->index, loss->count, x->width);
}

static struct buf ints_at(struct buf b, size_t i)
{
    return buf_at(b, i);
} /* i32 and f32 are equally wide */

/* A copy of capped logits, whose own memory becomes their gradient's. */
static struct tensor *keep(struct exec *e, const struct tensor *logits)
{
    struct tensor *copy = exec_tensor(e, logits->rows, logits->width, NUMBER_F32);
    e->k->copy_rows(&e->stream, copy->data, copy->width, logits->data, copy->width, NUMBER_F32, copy->rows,
                    copy->width);
    return copy;
}

/* Rows first .. first + rows of the list; dx (rows, width) is written where it is wanted. */
static void chunk(struct exec *e, const struct tensor *x, const struct head_loss *loss, size_t first, size_t rows,
                  struct tensor *dx)
{
    struct mark mark = exec_mark(e);
    const struct head *head = loss->head;
    size_t vocab = head->weight.rows;
    enum number number = e->narrow; /* of the logits' gradient */
    struct matmul_output dz = {&head->weight, {0}, {0}, vocab * 4 / number_bytes(number), number};
    struct tensor *in = exec_tensor(e, rows, x->width, x->number);
    e->k->gather_rows(&e->stream, in->data, x->data, x->number, ints_at(loss->index, first), rows, x->width);
    struct tensor *logits = op_head(e, in, head, true), *capped = dx && head->softcap != 0 ? keep(e, logits) : NULL;
    e->k->cross_entropy(&e->stream, &(struct cross_entropy){logits->data, ints_at(loss->targets, first),
                                                            buf_at(loss->weights, first), buf_at(loss->losses, first),
                                                            rows, vocab, dx != NULL, number});
    dz.y = logits->data;
    if (capped) e->k->soft_cap_back(&e->stream, dz.y, number, dz.ldy, capped->data, head->softcap, rows, vocab);
    if (dx)
        e->k->matmul_back(&e->stream, &(struct matmul_back){.dx = buf_at(dx->data, first * x->width),
                                                            .lddx = x->width,
                                                            .rows = rows,
                                                            .cols = x->width,
                                                            .count = 1,
                                                            .in = {dz},
                                                            .scale = head->scale,
                                                            .precision = e->precision});
    exec_release(e, mark);
}

void op_head_loss(struct exec *e, struct tensor *x, const struct head_loss *loss)
{
    struct tensor *dx = e->recording && x->wants_gradient ? exec_tensor(e, loss->count, x->width, NUMBER_F32) : NULL;
    size_t most = dx && loss->head->softcap != 0 ? CHUNK_ROWS / 2 : CHUNK_ROWS; /* capped ones are kept twice */
    for (size_t first = 0; first < loss->count; first += most) {
        size_t rows = loss->count - first < most ? loss->count - first : most;
        chunk(e, x, loss, first, rows, dx);
    }
    struct record *r = dx ? exec_record(e, head_loss_backward, loss) : NULL;
    if (!r) return;
    r->in[0] = x;
    r->saved = dx;
}
