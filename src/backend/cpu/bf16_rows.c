/* bf16_rows.c — the activations of a product of many rows in bf16: converted once, read by all its tasks. */
#include "backend/cpu/products.h"

enum { ROWS_A_TASK = 16, LEAST_ROWS = 32 };

struct narrowing {
    const struct cpu_kernels *k;
    const struct matmul *a;
    uint16_t *y;
    size_t ldy;
};

static void narrow_task(void *context, size_t task, int worker)
{
    const struct narrowing *n = context;
    size_t row = task * ROWS_A_TASK, end = size_min(row + ROWS_A_TASK, n->a->rows);
    (void)worker;
    for (; row < end; row++) n->k->to_bf16(n->y + row * n->ldy, cpu_floats(n->a->x) + row * n->a->ldx, n->a->cols);
}

bool bf16_rows_make(struct stream *s, const struct matmul *a, struct matmul *narrowed)
{
    struct cpu_backend *c = cpu_of(s);
    if (!product_in_bf16(c, a->precision) || a->number != NUMBER_F32 || !buf_is(a->scratch) || a->cols % 2 ||
        (!c->k.strip_bf16 && a->rows < LEAST_ROWS))
        return false;
    *narrowed = *a;
    narrowed->x = a->scratch;
    narrowed->number = NUMBER_BF16;
    narrowed->ldx = a->cols + (a->cols * sizeof(uint16_t) % CPU_SET_BYTES ? 0 : CPU_STRIP_DEPTH);
    struct narrowing n = {&c->k, a, cpu_pointer(a->scratch), narrowed->ldx};
    cpu_run(s, narrow_task, &n, (a->rows + ROWS_A_TASK - 1) / ROWS_A_TASK);
    return true;
}
