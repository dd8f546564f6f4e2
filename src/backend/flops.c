/* flops.c — the FLOPs that a call needs: 2 per multiply-add; half of the square in causal attention. */
#include "backend/backend.h"

static double products(size_t rows, size_t cols, const struct matmul_output *o, size_t count)
{
    double sum = 0;
    for (size_t i = 0; i < count; i++) sum += 2.0 * (double)rows * (double)cols * (double)o[i].w->rows;
    return sum;
}

double flops_matmul(const struct matmul *a)
{
    return products(a->rows, a->cols, a->out, a->count);
}
double flops_matmul_back(const struct matmul_back *a)
{
    return products(a->rows, a->cols, a->in, a->count);
}
double flops_outer(const struct outer *a)
{
    return 2.0 * (double)a->rows * (double)a->n * (double)a->k;
}

double flops_attention(const struct attention *a, bool backward)
{
    double pairs = 0; /* of a query and a key that it sees */
    for (size_t i = 0; i < a->segment_count; i++) {
        double rows = (double)a->segments[i].rows, first = (double)a->segments[i].position;
        pairs += rows * first + rows * (rows + 1) / 2;
    }
    return pairs * (double)(a->heads * a->head_dim) * (backward ? 8 : 4); /* two products; four in the backward */
}
