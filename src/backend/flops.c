/* flops.c — the FLOPs that a call needs: 2 per multiply-add; half of the square in causal attention. */
#include "backend/low_rank.h"

static double products(size_t rows, size_t cols, const struct matmul_output *o, size_t count)
{
    double sum = 0;
    for (size_t i = 0; i < count; i++) sum += 2.0 * (double)rows * (double)cols * (double)o[i].w->rows;
    return sum;
}

/* Of the terms of linears first .. last: rows · rank · 2 · their width, which is that of A or of B. */
static double terms(const struct low_rank *l, size_t first, size_t last, bool a)
{
    double sum = 0;
    for (size_t r = 0; l->terms && r < l->terms->count; r++)
        for (size_t i = first; i < last; i++) {
            size_t count;
            const struct lora_term *t = low_rank_terms(l, l->terms->ranges[r].table, i, &count);
            for (; count--; t++)
                sum += 2.0 * (double)l->terms->ranges[r].rows * (double)term_rank(t) *
                       (double)(a ? t->a[0].cols : t->b[0].rows);
        }
    return sum;
}

double flops_matmul(const struct matmul *a)
{
    double h = a->shrink ? terms(&a->low, 0, a->low.count, true) : 0;
    return products(a->rows, a->cols, a->out, a->count) + h + terms(&a->low, 0, a->low.count, false);
}
double flops_matmul_back(const struct matmul_back *a)
{
    return products(a->rows, a->cols, a->in, a->count) + terms(&a->low, a->low.first, a->low.last, true);
}
double flops_shrink(const struct shrink *a, bool backward)
{
    return terms(&a->low, a->low.first, a->low.last, !backward);
}
double flops_outer(const struct outer *a)
{
    return 2.0 * (double)a->rows * (double)a->n * (double)a->k;
}

/* Pairs of a query and a key that it sees; the first query sees one key. */
static double triangle(double rows)
{
    return rows * (rows + 1) / 2;
}

double flops_attention(const struct attention *a, bool backward)
{
    double pairs = 0;
    for (size_t i = 0; i < a->segment_count; i++) {
        size_t first = a->segments[i].position, last = first + a->segments[i].rows, window = a->window;
        size_t cut = !window || last < window ? last
                     : first > window         ? first
                                              : window; /* from here on: `window` keys */
        pairs += triangle((double)cut) - triangle((double)first) + (double)(last - cut) * (double)window;
    }
    return pairs * (double)(a->heads * a->head_dim) * (backward ? 8 : 4); /* two products; four in the backward */
}
