/* linear.c — the linear op, forward and backward. See linear.h.
 *
 * Saved for backward: x alone; h = A x is computed again, r columns' work. */
#include "ops/linear.h"

#include "ops/ops.h"
#include "base/random.h"

size_t linear_hf_row(const struct linear *l, size_t row)
{
    if (!l->permuted_heads) return row;
    size_t dim = l->weight.rows / l->permuted_heads, head = row / dim, i = row % dim;
    return head * dim + i / 2 + (i % 2) * (dim / 2); /* file: (0, d/2, 1, d/2 + 1, ...) */
}

size_t linear_file_row(const struct linear *l, size_t hf_row)
{
    if (!l->permuted_heads) return hf_row;
    size_t dim = l->weight.rows / l->permuted_heads, head = hf_row / dim, i = hf_row % dim;
    return head * dim + (i < dim / 2 ? 2 * i : 2 * (i - dim / 2) + 1);
}

/* ---- terms ---------------------------------------------------------------------------------- */

typedef void (*term_fn)(struct exec *e, const struct lora_term *term, const struct linear *l,
                        const struct term_rows *range, struct tensor *x, struct tensor *y);

/* Every term of every range of rows, in the same order forward and backward. */
static void each_term(struct exec *e, const struct linear *l, const struct row_terms *terms, struct tensor *x,
                      struct tensor *y, term_fn fn)
{
    for (size_t i = 0; terms && i < terms->count; i++) {
        const struct term_table *table = terms->ranges[i].table;
        for (uint32_t t = table ? table->begin[l->index] : 0; table && t < table->begin[l->index + 1]; t++)
            fn(e, &table->terms[t], l, &terms->ranges[i], x, y);
    }
}

static struct random_key dropout_key(const struct exec *e, const struct linear *l, const struct term_rows *range)
{
    return random_key(e->seed, RANDOM_DROPOUT, e->step, l->index, range->row);
}

/* The rows of x that the term sees; with dropout a masked copy on the stack. */
static struct buf term_input(struct exec *e, const struct lora_term *term, const struct linear *l,
                             const struct term_rows *range, const struct tensor *x)
{
    struct buf rows = buf_at(x->data, range->row * x->width);
    if (!e->dropout || !buf_is(term->da)) return rows;
    struct tensor *masked = exec_tensor(e, range->rows, x->width);
    e->k->dropout(&e->stream, masked->data, rows, dropout_key(e, l, range).word, e->dropout, range->rows * x->width,
                  false);
    return masked->data;
}

static void shrink(struct exec *e, const struct lora_term *term, struct buf x, size_t width, struct buf h, size_t rows)
{
    e->k->matmul(&e->stream, &(struct matmul){.x = x,
                                              .ldx = width,
                                              .rows = rows,
                                              .cols = width,
                                              .count = 1,
                                              .out = {{&term->a, h, {0}, term->a.rows}},
                                              .scale = 1,
                                              .precision = e->precision,
                                              .int8 = e->int8});
}

/* y += scale · B (A x) on the range's rows */
static void term_forward(struct exec *e, const struct lora_term *term, const struct linear *l,
                         const struct term_rows *range, struct tensor *x, struct tensor *y)
{
    struct mark mark = exec_mark(e);
    struct tensor *h = exec_tensor(e, range->rows, term->a.rows);
    shrink(e, term, term_input(e, term, l, range, x), x->width, h->data, range->rows);
    e->k->matmul(&e->stream,
                 &(struct matmul){.x = h->data,
                                  .ldx = h->width,
                                  .rows = range->rows,
                                  .cols = h->width,
                                  .count = 1,
                                  .out = {{&term->b, buf_at(y->data, range->row * y->width), {0}, y->width}},
                                  .scale = term->scale,
                                  .accumulate = true,
                                  .precision = e->precision,
                                  .int8 = e->int8});
    exec_release(e, mark);
}

/* dh = scale · dy B;  dB += scale · dyᵀ h;  dA += dhᵀ x;  dx += dh A.  h is computed again: r of `in` rows' work. */
static void term_backward(struct exec *e, const struct lora_term *term, const struct linear *l,
                          const struct term_rows *range, struct tensor *x, struct tensor *y)
{
    struct mark mark = exec_mark(e);
    size_t rows = range->rows, r = term->a.rows;
    struct buf dy = buf_at(gradient_of(e, y), range->row * y->width);
    struct tensor *dh = exec_tensor(e, rows, r);
    e->k->matmul_back(&e->stream, &(struct matmul_back){.dx = dh->data,
                                                        .lddx = r,
                                                        .rows = rows,
                                                        .cols = r,
                                                        .count = 1,
                                                        .in = {{&term->b, dy, {0}, y->width}},
                                                        .scale = term->scale,
                                                        .precision = e->precision});
    if (buf_is(term->da)) {
        struct tensor *h = exec_tensor(e, rows, r);
        struct buf in = term_input(e, term, l, range, x);
        shrink(e, term, in, x->width, h->data, rows);
        e->k->outer(&e->stream, &(struct outer){term->db, dy, h->data, r, y->width, r, rows, y->width, r, term->scale});
        e->k->outer(&e->stream, &(struct outer){term->da, dh->data, in, x->width, r, x->width, rows, r, x->width, 1});
    }
    if (x->wants_gradient) {
        bool masked = e->dropout && buf_is(term->da);
        struct buf dx = buf_at(gradient_add(e, x), range->row * x->width);
        struct buf into = masked ? exec_tensor(e, rows, x->width)->data : dx;
        e->k->matmul_back(&e->stream, &(struct matmul_back){.dx = into,
                                                            .lddx = x->width,
                                                            .rows = rows,
                                                            .cols = x->width,
                                                            .count = 1,
                                                            .in = {{&term->a, dh->data, {0}, r}},
                                                            .scale = 1,
                                                            .accumulate = !masked,
                                                            .precision = e->precision});
        if (masked)
            e->k->dropout(&e->stream, dx, into, dropout_key(e, l, range).word, e->dropout, rows * x->width, true);
    }
    exec_release(e, mark);
}

static bool trains(const struct linear *l, const struct row_terms *terms)
{
    for (size_t i = 0; terms && i < terms->count; i++) {
        const struct term_table *table = terms->ranges[i].table;
        for (uint32_t t = table ? table->begin[l->index] : 0; table && t < table->begin[l->index + 1]; t++)
            if (buf_is(table->terms[t].da)) return true;
    }
    return false;
}

/* ---- the op --------------------------------------------------------------------------------- */

static void linear_backward(struct exec *e, const struct record *r)
{
    const struct linear_group *group = r->context;
    const struct row_terms *terms = r->batch;
    struct tensor *x = r->in[0];
    struct matmul_back a = {.rows = x->rows, .cols = x->width, .lddx = x->width, .scale = 1, .precision = e->precision};
    for (size_t i = 0; i < group->count; i++)
        if (gradient_exists(r->out[i]))
            a.in[a.count++] =
                (struct matmul_output){&group->linear[i]->weight, gradient_of(e, r->out[i]), {0}, r->out[i]->width};
    if (!a.count) return;
    if (x->wants_gradient) {
        a.dx = gradient_write(e, x, &a.accumulate);
        e->k->matmul_back(&e->stream, &a);
    }
    for (size_t i = 0; i < group->count; i++)
        if (gradient_exists(r->out[i])) each_term(e, group->linear[i], terms, x, r->out[i], term_backward);
}

void op_linear(struct exec *e, struct tensor *x, const struct linear_group *group, const struct row_terms *terms,
               struct tensor *out[MATMUL_OUTPUTS])
{
    struct matmul a = {.x = x->data,
                       .ldx = x->width,
                       .rows = x->rows,
                       .cols = x->width,
                       .count = group->count,
                       .scale = 1,
                       .precision = e->precision,
                       .int8 = e->int8};
    bool wants = false;
    for (size_t i = 0; i < group->count; i++) {
        const struct linear *l = group->linear[i];
        out[i] = exec_tensor(e, x->rows, l->weight.rows);
        a.out[i] = (struct matmul_output){&l->weight, out[i]->data, l->bias, out[i]->width};
    }
    e->k->matmul(&e->stream, &a);
    for (size_t i = 0; i < group->count; i++) {
        each_term(e, group->linear[i], terms, x, out[i], term_forward);
        out[i]->wants_gradient = x->wants_gradient || trains(group->linear[i], terms);
        wants |= out[i]->wants_gradient;
    }
    struct record *r = wants ? exec_record(e, linear_backward, group) : NULL;
    if (!r) return;
    r->in[0] = x;
    r->batch = terms;
    for (size_t i = 0; i < group->count; i++) r->out[i] = out[i];
}
