/* few_terms.c — low-rank terms of few rows on the CPU: generation, where every byte of A and B is read for one row.
 *
 * A task computes all that a range of rows gets from the terms of one linear, h = A x and then scale · B h: two runs
 * through memory that the CPU foresees. They stand at the head of the run, before the tasks of the weights. */
#include "backend/cpu/products.h"

#include <sched.h>
#include <string.h>

enum { SPINS_A_YIELD = 1000, BLOCK_ROWS = 4096 };

bool few_terms_can(const struct matmul *a)
{
    if (!a->shrink || a->precision == PRECISION_EXACT || a->number != NUMBER_F32) return false;
    for (size_t i = 0; i < a->count; i++)
        if (a->out[i].number != NUMBER_F32) return false;
    for (size_t r = 0; r < a->low.terms->count; r++)
        if (a->low.terms->ranges[r].table && a->low.terms->ranges[r].rows > FEW_ROWS) return false;
    return true;
}

struct few_terms few_terms_of(struct cpu_backend *c, const struct matmul *a)
{
    return (struct few_terms){c, a, few_terms_can(a) ? a->low.terms->count * a->low.count : 0, 0};
}

/* y += scale · B A x; h: the term's numbers of h. */
static void add_term(const struct few_terms *f, const struct lora_term *t, const float *x, float *h, float *y,
                     float *spare)
{
    const struct cpu_kernels *k = &f->c->k;
    struct quant_matrix a = cpu_matrix_of(&t->a[f->a->low.precision]), b = cpu_matrix_of(&t->b[f->a->low.precision]);
    k->gemv_f32[a.type](h, &a, 0, a.rows, x);
    for (size_t first = 0, n; first < b.rows; first += n) {
        n = size_min(BLOCK_ROWS, b.rows - first);
        k->gemv_f32[b.type](spare, &b, first, n, h);
        k->axpy(y + first, spare, t->scale, n);
    }
}

void few_terms_task(struct few_terms *f, size_t task, struct cpu_scratch *scratch)
{
    const struct matmul *a = f->a;
    const struct low_rank *low = &a->low;
    const struct term_rows *range = &low->terms->ranges[task / low->count];
    size_t i = task % low->count, column = low_rank_column(low, range->table, i), count;
    const struct lora_term *terms = low_rank_terms(low, range->table, i, &count);
    for (size_t row = range->row; row < range->row + range->rows; row++) {
        float *h = cpu_floats(low->h) + row * low->ldh + column, *y = cpu_floats(a->out[i].y) + row * a->out[i].ldy;
        if (!a->accumulate) memset(y, 0, a->out[i].w->rows * sizeof *y);
        for (size_t t = 0; t < count; h += term_rank(&terms[t++]))
            add_term(f, &terms[t], cpu_floats(a->x) + row * a->ldx, h, y, scratch->panel);
    }
    atomic_fetch_add_explicit(&f->done, 1, memory_order_release);
}

void few_terms_wait(struct few_terms *f)
{
    for (size_t i = 1; atomic_load_explicit(&f->done, memory_order_acquire) < f->tasks; i++)
        if (i % SPINS_A_YIELD == 0) sched_yield();
}
