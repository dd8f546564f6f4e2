/* shrink.c — the inner products of low-rank terms on the CPU, and the gradients of their matrices. */
#include "backend/cpu/products.h"

enum { TERM_ROWS = 256, OUTER_ROWS = 128, OUTER_N = 64, OUTER_K = 128, OUTER_LEAST_K = 32 };

/* ---- h = x Aᵀ, dh = scale · dy B ------------------------------------------------------------- */

struct shrink_run {
    struct cpu_backend *c;
    const struct shrink *a;
    bool back;
    size_t blocks, linears; /* of rows, of the longest range; of the group, computed */
};

/* h[row .. row + rows] of one term */
static void shrink_term(const struct shrink_run *run, struct cpu_scratch *scratch, size_t linear,
                        const struct lora_term *t, size_t row, size_t rows, float *h)
{
    const struct shrink *a = run->a;
    const struct matmul_output *dy = &a->dy[linear];
    const struct qmatrix *w = run->back ? &t->b[a->low.precision] : &t->a[a->low.precision];
    size_t r = term_rank(t);
    struct operand o = {cpu_pointer(a->x), a->number, a->ldx, cpu_matrix_of(w), false, 1};
    if (run->back) o = (struct operand){cpu_pointer(dy->y), dy->number, dy->ldy, cpu_matrix_of(w), true, t->scale};
    o.x = number_at(o.x, row * o.ldx, o.number);
    struct product p = {.c = run->c,
                        .operand = {o},
                        .count = 1,
                        .y = h,
                        .number = NUMBER_F32,
                        .ldy = a->low.ldh,
                        .rows = rows,
                        .cols = r,
                        .bf16 = product_in_bf16(run->c, a->low.precision)};
    for (size_t col = 0; col < r; col += OUTER_K) product_block(&p, scratch, 0, rows, col, size_min(OUTER_K, r - col));
}

/* Task = (range, block of rows, linear); blocks beyond a range's end do nothing. */
static void shrink_task(void *context, size_t task, int worker)
{
    const struct shrink_run *run = context;
    const struct low_rank *low = &run->a->low;
    size_t i = low->first + task % run->linears, block = task / run->linears % run->blocks, count;
    const struct term_rows *range = &low->terms->ranges[task / run->linears / run->blocks];
    if (block * TERM_ROWS >= range->rows) return;
    size_t row = range->row + block * TERM_ROWS, rows = size_min(TERM_ROWS, range->rows - block * TERM_ROWS);
    const struct lora_term *terms = low_rank_terms(low, range->table, i, &count);
    float *h = cpu_floats(low->h) + row * low->ldh + low_rank_column(low, range->table, i);
    for (size_t t = 0; t < count; h += term_rank(&terms[t++]))
        shrink_term(run, &run->c->scratch[worker], i, &terms[t], row, rows, h);
}

static void shrink(struct stream *s, const struct shrink *a, bool back)
{
    struct shrink_run run = {.c = cpu_of(s), .a = a, .back = back, .linears = a->low.last - a->low.first};
    size_t longest = 0;
    s->flops += flops_shrink(a, back);
    for (size_t r = 0; r < a->low.terms->count; r++)
        if (a->low.terms->ranges[r].rows > longest) longest = a->low.terms->ranges[r].rows;
    run.blocks = (longest + TERM_ROWS - 1) / TERM_ROWS;
    cpu_run(s, shrink_task, &run, a->low.terms->count * run.blocks * run.linears);
}

void cpu_shrink(struct stream *s, const struct shrink *a)
{
    shrink(s, a, false);
}
void cpu_shrink_back(struct stream *s, const struct shrink *a)
{
    shrink(s, a, true);
}

/* ---- dw += scale · dyᵀ x --------------------------------------------------------------------- */

struct outer_run {
    struct cpu_backend *c;
    const struct outer *a;
    size_t k_tasks, k_step;
};

/* Rows × cols of a matrix as f32: in place, or converted into `to`. */
static const float *as_floats(const struct cpu_kernels *k, const void *x, enum number number, size_t *ld, size_t rows,
                              size_t cols, float *to)
{
    if (number == NUMBER_F32) return x;
    for (size_t i = 0; i < rows; i++) k->from_bf16(to + i * cols, (const uint16_t *)x + i * *ld, cols);
    *ld = cols;
    return to;
}

static void outer_task(void *context, size_t task, int worker)
{
    const struct outer_run *r = context;
    const struct outer *a = r->a;
    const struct cpu_kernels *k = &r->c->k;
    size_t n = task / r->k_tasks * OUTER_N, col = task % r->k_tasks * r->k_step;
    size_t n_count = size_min(OUTER_N, a->n - n), k_count = size_min(r->k_step, a->k - col);
    for (size_t row = 0; row < a->rows; row += OUTER_ROWS) {
        size_t rows = size_min(OUTER_ROWS, a->rows - row), lddy = a->lddy, ldx = a->ldx;
        const float *dy = as_floats(k, number_at(cpu_pointer(a->dy), row * lddy + n, a->dy_number), a->dy_number, &lddy,
                                    rows, n_count, r->c->scratch[worker].rows);
        const float *x = as_floats(k, number_at(cpu_pointer(a->x), row * ldx + col, a->x_number), a->x_number, &ldx,
                                   rows, k_count, r->c->scratch[worker].panel);
        k->outer(cpu_floats(a->dw) + n * a->lddw + col, a->lddw, dy, lddy, x, ldx, rows, n_count, k_count, a->scale);
    }
}

void cpu_outer(struct stream *s, const struct outer *a)
{
    s->flops += flops_outer(a);
    struct outer_run r = {.c = cpu_of(s), .a = a, .k_step = OUTER_K};
    size_t n_tasks = (a->n + OUTER_N - 1) / OUTER_N;
    while (r.k_step > OUTER_LEAST_K && n_tasks * (a->k / r.k_step) < (size_t)r.c->threads) r.k_step /= 2;
    r.k_tasks = (a->k + r.k_step - 1) / r.k_step;
    cpu_run(s, outer_task, &r, n_tasks * r.k_tasks);
}
