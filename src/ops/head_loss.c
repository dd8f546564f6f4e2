/* head_loss.c — the head and the cross-entropy in one op, a chunk of rows at a time, rows with a target only.
 *
 * The weights of the losses are known beforehand, so the forward forms the gradient at once:
 *   dx[index[i]] = weights[i] · headᵀ (softmax(z_i) − onehot(target_i)),   z_i = head · x[index[i]]
 * Saved for backward: that gradient, (count, width). A chunk's logits are all that ever exists of them. */
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

/* Rows first .. first + rows of the list; dx (rows, width) is written where it is wanted. */
static void chunk(struct exec *e, const struct tensor *x, const struct head_loss *loss, size_t first, size_t rows,
                  struct tensor *dx)
{
    struct mark mark = exec_mark(e);
    size_t vocab = loss->head->rows;
    enum number number = e->narrow; /* of the logits' gradient */
    struct tensor *in = exec_tensor(e, rows, x->width, x->number);
    struct tensor *logits = exec_tensor(e, rows, vocab, NUMBER_F32);
    e->k->gather_rows(&e->stream, in->data, x->data, x->number, ints_at(loss->index, first), rows, x->width);
    exec_matmul(e,
                &(struct matmul){.x = in->data,
                                 .number = in->number,
                                 .ldx = x->width,
                                 .rows = rows,
                                 .cols = x->width,
                                 .count = 1,
                                 .out = {{loss->head, logits->data, {0}, vocab}},
                                 .scale = 1},
                true);
    e->k->cross_entropy(&e->stream, &(struct cross_entropy){logits->data, ints_at(loss->targets, first),
                                                            buf_at(loss->weights, first), buf_at(loss->losses, first),
                                                            rows, vocab, dx != NULL, number});
    if (dx)
        e->k->matmul_back(
            &e->stream,
            &(struct matmul_back){.dx = buf_at(dx->data, first * x->width),
                                  .lddx = x->width,
                                  .rows = rows,
                                  .cols = x->width,
                                  .count = 1,
                                  .in = {{loss->head, logits->data, {0}, vocab * 4 / number_bytes(number), number}},
                                  .scale = 1,
                                  .precision = e->precision});
    exec_release(e, mark);
}

void op_head_loss(struct exec *e, struct tensor *x, const struct head_loss *loss)
{
    struct tensor *dx = e->recording && x->wants_gradient ? exec_tensor(e, loss->count, x->width, NUMBER_F32) : NULL;
    for (size_t first = 0; first < loss->count; first += CHUNK_ROWS) {
        size_t rows = loss->count - first < CHUNK_ROWS ? loss->count - first : CHUNK_ROWS;
        chunk(e, x, loss, first, rows, dx);
    }
    struct record *r = dx ? exec_record(e, head_loss_backward, loss) : NULL;
    if (!r) return;
    r->in[0] = x;
    r->saved = dx;
}
