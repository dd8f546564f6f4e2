/* few_terms.c — low-rank terms of few rows on the CPU: generation, where every byte of A and B is read for one row. */
#include "backend/cpu/products.h"

#include <sched.h>

enum { SPINS_A_YIELD = 1000 };

bool few_terms_can(const struct matmul *a)
{
    if (a->precision == PRECISION_EXACT || a->number != NUMBER_F32) return false;
    for (size_t r = 0; r < a->low.terms->count; r++)
        if (a->low.terms->ranges[r].table && a->low.terms->ranges[r].rows > FEW_ROWS) return false;
    return true;
}

void few_terms_task(struct few_terms *f, size_t task)
{
    const struct matmul *a = f->a;
    const struct low_rank *low = &a->low;
    const struct term_rows *range = &low->terms->ranges[task / low->count];
    size_t linear = task % low->count, column = low_rank_column(low, range->table, linear), count;
    const struct lora_term *terms = low_rank_terms(low, range->table, linear, &count);
    for (size_t t = 0; t < count; column += term_rank(&terms[t++])) {
        struct cpu_matrix m = cpu_matrix_of(&terms[t].a[low->precision]);
        for (size_t row = range->row; row < range->row + range->rows; row++)
            f->c->k.gemv_f32[m.type](cpu_floats(low->h) + row * low->ldh + column, &m, 0, m.rows,
                                     cpu_floats(a->x) + row * a->ldx);
    }
    atomic_fetch_add_explicit(&f->done, 1, memory_order_release);
}

/* The slices are small and far apart: nobody else foresees them. */
void few_terms_prefetch(const struct low_rank *low, size_t linear, size_t first, size_t n)
{
    for (size_t r = 0, count; low->terms && r < low->terms->count; r++) {
        const struct lora_term *terms = low_rank_terms(low, low->terms->ranges[r].table, linear, &count);
        for (size_t t = 0; t < count; t++) {
            struct cpu_matrix b = cpu_matrix_of(&terms[t].b[low->precision]);
            const uint8_t *from = b.data + first * b.row_bytes;
            for (size_t at = 0; at < n * b.row_bytes; at += 64) __builtin_prefetch(from + at, 0, 2);
        }
    }
}

void few_terms_wait(struct few_terms *f)
{
    for (size_t i = 1; atomic_load_explicit(&f->done, memory_order_acquire) < f->tasks; i++)
        if (i % SPINS_A_YIELD == 0) sched_yield();
}

void few_terms_add(const struct cpu_backend *c, const struct low_rank *low, const struct term_rows *range,
                   size_t linear, size_t row, size_t first, size_t n, float *y, float *spare)
{
    size_t count;
    const float *h = cpu_floats(low->h) + row * low->ldh + low_rank_column(low, range->table, linear);
    const struct lora_term *terms = low_rank_terms(low, range->table, linear, &count);
    for (size_t t = 0; t < count; h += term_rank(&terms[t++])) {
        struct cpu_matrix b = cpu_matrix_of(&terms[t].b[low->precision]);
        c->k.gemv_f32[b.type](spare, &b, first, n, h);
        c->k.axpy(y, spare, terms[t].scale, n);
    }
}
