/* linear.c — the linear op, forward and backward. See linear.h.
 *
 * Saved for backward: the tensors that make up its input; h = A x is computed again, r columns' work. */
#include "ops/linear.h"

#include "backend/low_rank.h"
#include "base/random.h"

size_t linear_hf_row(const struct linear *l, size_t row)
{
    const struct row_order *o = &l->order;
    if (!o->head_dim) return o->first + row;
    size_t head = row / o->head_dim, i = row % o->head_dim;
    if (o->interleaved) i = i / 2 + (i % 2) * (o->head_dim / 2); /* file: (0, d/2, 1, d/2 + 1, ...) */
    return o->first + head / o->group * o->group_rows + head % o->group * o->head_dim + i;
}

size_t linear_file_row(const struct linear *l, size_t hf_row)
{
    const struct row_order *o = &l->order;
    size_t row = hf_row - o->first;
    if (hf_row < o->first) return SIZE_MAX;
    if (o->head_dim) {
        size_t within = row % o->group_rows, i = within % o->head_dim, half = o->head_dim / 2;
        if (within >= o->group * o->head_dim) return SIZE_MAX;
        if (o->interleaved) i = i < half ? 2 * i : 2 * (i - half) + 1;
        row = (row / o->group_rows * o->group + within / o->head_dim) * o->head_dim + i;
    }
    return row < l->weight.rows ? row : SIZE_MAX;
}

/* ---- inputs --------------------------------------------------------------------------------- */

static const struct linear_input *input_of(const struct linear_group *group)
{
    return group->input ? group->input : &linear_plain;
}

/* What the products read: a tensor of the caller's, or a formed one on the stack. */
static struct tensor *form(struct exec *e, const struct linear_group *group, struct tensor *const in[2])
{
    if (!input_of(group)->form) return in[0];
    struct tensor *x = exec_tensor(e, in[0]->rows, in[0]->width, in[0]->number);
    input_of(group)->form(e, group, in, x);
    return x;
}

/* ---- terms ---------------------------------------------------------------------------------- */

static struct low_rank low_rank_of(const struct exec *e, const struct linear_group *group,
                                   const struct row_terms *terms)
{
    struct low_rank low = {.terms = terms, .count = group->count, .last = group->count, .precision = e->precision};
    for (size_t i = 0; i < group->count; i++) low.linear[i] = group->linear[i]->index;
    low.ldh = low_rank_width(&low);
    if (!low.ldh) low.terms = NULL;
    return low;
}

static bool trains(const struct low_rank *low, size_t first, size_t last)
{
    for (size_t r = 0; low->terms && r < low->terms->count; r++)
        for (size_t i = first, count; i < last; i++) {
            const struct lora_term *t = low_rank_terms(low, low->terms->ranges[r].table, i, &count);
            for (; count--; t++)
                if (buf_is(t->da)) return true;
        }
    return false;
}

/* Rows of a linear's terms are dropped together: the mask is that of the linear and the step. */
static void drop(struct exec *e, const struct linear *l, struct buf y, const struct tensor *x, bool accumulate)
{
    struct random_key key = random_key(e->seed, RANDOM_DROPOUT, e->step, l->index - l->part, 0);
    e->k->dropout(&e->stream, y, x->data, x->number, key.word, e->dropout, x->rows * x->width, accumulate);
}

/* What the terms of linear i read: x, or with dropout a masked copy on the stack. */
static struct tensor *term_input(struct exec *e, const struct linear *l, struct tensor *x)
{
    if (!e->dropout) return x;
    struct tensor *masked = exec_tensor(e, x->rows, x->width, x->number);
    drop(e, l, masked->data, x, false);
    return masked;
}

static void shrink(struct exec *e, const struct low_rank *low, const struct tensor *x, size_t first, size_t last)
{
    struct shrink a = {.x = x->data, .number = x->number, .ldx = x->width, .cols = x->width, .low = *low};
    a.low.first = first;
    a.low.last = last;
    e->k->shrink(&e->stream, &a);
}

/* h = A x of all terms of the group, a tensor on the stack. */
static void shrink_all(struct exec *e, const struct linear_group *group, struct low_rank *low, struct tensor *x)
{
    if (!low->terms) return;
    low->h = exec_tensor(e, x->rows, low->ldh, NUMBER_F32)->data;
    if (!e->dropout) {
        shrink(e, low, x, 0, group->count);
        return;
    }
    struct mark mark = exec_mark(e);
    for (size_t i = 0; i < group->count; i++, exec_release(e, mark))
        shrink(e, low, term_input(e, group->linear[i], x), i, i + 1);
}

/* dB += scale · dyᵀ h and dA += dhᵀ x of the terms of linear i that train. */
static void term_gradients(struct exec *e, const struct low_rank *h, const struct low_rank *dh, size_t i,
                           const struct tensor *x, const struct tensor *y)
{
    for (size_t r = 0; r < h->terms->count; r++) {
        const struct term_rows *range = &h->terms->ranges[r];
        size_t count, at = range->row * h->ldh + low_rank_column(h, range->table, i);
        const struct lora_term *t = low_rank_terms(h, range->table, i, &count);
        struct buf dy = buf_numbers(gradient_of(e, y), range->row * y->width, y->number);
        struct buf in = buf_numbers(x->data, range->row * x->width, x->number);
        for (; count--; at += term_rank(t++)) {
            if (!buf_is(t->da)) continue;
            size_t rank = term_rank(t);
            e->k->outer(&e->stream, &(struct outer){t->db, dy, buf_at(h->h, at), y->number, NUMBER_F32, rank, y->width,
                                                    h->ldh, range->rows, y->width, rank, t->scale});
            e->k->outer(&e->stream, &(struct outer){t->da, buf_at(dh->h, at), in, NUMBER_F32, x->number, x->width,
                                                    dh->ldh, x->width, range->rows, rank, x->width, 1});
        }
    }
}

/* ---- forward -------------------------------------------------------------------------------- */

static void products(struct exec *e, const struct linear_group *group, struct tensor *const in[2],
                     const struct low_rank *low, struct tensor *const *out, bool accumulate)
{
    struct mark mark = exec_mark(e);
    struct tensor *x = form(e, group, in);
    if (e->observer.input) e->observer.input(e->observer.context, e, group, x);
    struct matmul a = {.x = x->data,
                       .number = x->number,
                       .ldx = x->width,
                       .rows = x->rows,
                       .cols = x->width,
                       .count = group->count,
                       .low = *low,
                       .scale = 1,
                       .accumulate = accumulate,
                       .int8_few_rows = group->int8_few_rows};
    if (e->dropout)
        shrink_all(e, group, &a.low, x);
    else if (a.low.terms) {
        a.low.h = exec_tensor(e, x->rows, a.low.ldh, NUMBER_F32)->data;
        a.shrink = true;
    }
    for (size_t i = 0; i < group->count; i++)
        a.out[i] = (struct matmul_output){&group->linear[i]->weight, out[i]->data, group->linear[i]->bias,
                                          out[i]->width, out[i]->number};
    exec_matmul(e, &a, true);
    exec_release(e, mark);
}

static void linear_backward(struct exec *e, const struct record *r);

/* Marks what wants gradients; pushes the record. */
static void record(struct exec *e, const struct linear_group *group, struct tensor *const in[2],
                   const struct row_terms *terms, const struct low_rank *low, struct tensor *residual,
                   struct tensor *const *out)
{
    bool below = in[0]->wants_gradient || (residual && residual->wants_gradient), wants = below;
    for (size_t i = 0; i < group->count; i++) {
        out[i]->wants_gradient = below || trains(low, i, i + 1);
        wants |= out[i]->wants_gradient;
    }
    struct record *r = wants ? exec_record(e, linear_backward, group) : NULL;
    if (!r) return;
    r->in[0] = in[0];
    r->in[1] = in[1];
    r->in[2] = residual;
    r->batch = terms;
    for (size_t i = 0; i < group->count; i++) r->out[i] = out[i];
}

void op_linear(struct exec *e, const struct linear_group *group, struct tensor *const in[2],
               const struct row_terms *terms, struct tensor *out[GROUP_LINEARS])
{
    struct low_rank low = low_rank_of(e, group, terms);
    for (size_t i = 0; i < group->count; i++)
        out[i] = exec_tensor(e, in[0]->rows, group->linear[i]->weight.rows, e->narrow);
    products(e, group, in, &low, out, false);
    record(e, group, in, terms, &low, NULL, out);
}

void op_linear_add(struct exec *e, const struct linear_group *group, struct tensor *const in[2],
                   const struct row_terms *terms, struct tensor *x, struct tensor *y, bool read)
{
    struct low_rank low = low_rank_of(e, group, terms);
    if (read) products(e, group, in, &low, &y, true);
    record(e, group, in, terms, &low, x, &y);
}

/* ---- backward ------------------------------------------------------------------------------- */

/* d (+)= Σ dy W + Σ dh A: the gradient of the products' input. */
static void input_gradient(struct exec *e, const struct linear_group *group, struct low_rank *dh,
                           struct tensor *const *out, struct buf d, const struct tensor *x, bool accumulate)
{
    struct matmul_back a = {.dx = d,
                            .number = x->number,
                            .lddx = x->width,
                            .rows = x->rows,
                            .cols = x->width,
                            .scale = 1,
                            .accumulate = accumulate,
                            .precision = e->precision};
    for (size_t i = 0; i < group->count; i++)
        a.in[a.count++] = (struct matmul_output){
            &group->linear[i]->weight, gradient_of(e, out[i]), {0}, out[i]->width, out[i]->number};
    if (!e->dropout) a.low = *dh;
    e->k->matmul_back(&e->stream, &a);
    if (!e->dropout || !dh->terms) return;
    struct mark mark = exec_mark(e);
    struct tensor *t = exec_tensor(e, x->rows, x->width, x->number); /* through the mask of each linear */
    a.dx = t->data;
    a.count = a.accumulate = 0;
    a.low = *dh;
    for (size_t i = 0; i < group->count; i++) {
        a.low.first = i;
        a.low.last = i + 1;
        e->k->matmul_back(&e->stream, &a);
        drop(e, group->linear[i], d, t, true);
    }
    exec_release(e, mark);
}

/* dh = scale · dy B of all terms; and where they train the gradients of A and B, for which h is computed again. */
static void terms_backward(struct exec *e, const struct linear_group *group, struct low_rank *dh,
                           struct tensor *const in[2], struct tensor *const *out)
{
    struct shrink a = {.low = *dh};
    if (!dh->terms) return;
    a.low.h = dh->h = exec_tensor(e, in[0]->rows, dh->ldh, NUMBER_F32)->data;
    for (size_t i = 0; i < group->count; i++)
        a.dy[i] = (struct matmul_output){
            &group->linear[i]->weight, gradient_of(e, out[i]), {0}, out[i]->width, out[i]->number};
    e->k->shrink_back(&e->stream, &a);
    if (!trains(dh, 0, group->count)) return;
    struct mark mark = exec_mark(e);
    struct low_rank h = *dh;
    struct tensor *x = form(e, group, in);
    double needed = e->stream.flops; /* what is computed again is not needed twice */
    shrink_all(e, group, &h, x);
    e->stream.flops = needed;
    struct mark masked = exec_mark(e);
    for (size_t i = 0; i < group->count; i++, exec_release(e, masked))
        term_gradients(e, &h, dh, i, term_input(e, group->linear[i], x), out[i]);
    exec_release(e, mark);
}

static void linear_backward(struct exec *e, const struct record *r)
{
    const struct linear_group *group = r->context;
    struct low_rank dh = low_rank_of(e, group, r->batch);
    struct mark mark = exec_mark(e);
    bool accumulate = false, any = false;
    for (size_t i = 0; i < group->count; i++) any |= gradient_exists(r->out[i]);
    for (size_t i = 0; any && i < group->count; i++)
        if (!gradient_exists(r->out[i])) gradient_add(e, r->out[i]);
    if (!any) return;
    terms_backward(e, group, &dh, r->in, r->out);
    if (r->in[0]->wants_gradient) {
        bool plain = !input_of(group)->form;
        struct tensor *d = plain ? r->in[0] : exec_tensor(e, r->in[0]->rows, r->in[0]->width, r->in[0]->number);
        struct buf into = plain ? gradient_write(e, d, &accumulate) : d->data;
        input_gradient(e, group, &dh, r->out, into, r->in[0], accumulate);
        if (!plain) input_of(group)->back(e, group, r->in, d);
    }
    exec_release(e, mark);
    if (r->in[2]) gradient_share(e, r->in[2], r->out[0]);
}
