/* q8_rows.c — the activations of a product of many rows in int8: quantised once, read by all its tasks. */
#include "backend/cpu/products.h"
#include "quant/planes.h"

enum { ROWS_A_TASK = 16, LEAST_ROWS = 2 };

struct q8_run {
    struct cpu_backend *c;
    const struct matmul *a;
    struct cpu_q8_rows x8;
};

bool q8_rows_takes(const struct cpu_backend *c, const struct qmatrix *w)
{
    struct quant_matrix m = cpu_matrix_of(w);
    return c->k.pack_q8[w->type] && quant_in_blocks(&m);
}

bool q8_rows_can(const struct cpu_backend *c, const struct matmul *a)
{
    if (!a->int8 || (a->int8_few_rows && a->rows > FEW_ROWS) || a->precision == PRECISION_EXACT ||
        a->rows < LEAST_ROWS || a->cols % 32 || !c->k.q8_record || a->number != NUMBER_F32 || !buf_is(a->scratch))
        return false;
    for (size_t i = 0; i < a->count; i++)
        if (q8_rows_takes(c, a->out[i].w)) return true;
    return false;
}

static void quantize_task(void *context, size_t task, int worker)
{
    const struct q8_run *r = context;
    size_t row = task * ROWS_A_TASK, rows = size_min(ROWS_A_TASK, r->a->rows - row);
    r->c->k.quantize_q8_rows(cpu_q8_rows_at(r->x8, row, 0), cpu_floats(r->a->x) + row * r->a->ldx, r->a->ldx, rows,
                             r->a->cols);
}

void q8_rows_make(struct stream *s, const struct matmul *a, struct cpu_q8_rows *x8)
{
    size_t blocks = a->cols / 32, ldq = (a->cols + 63) / 64 * 64;
    char *at = cpu_pointer(a->scratch);
    float *d = (float *)(at + a->rows * ldq);
    *x8 =
        (struct cpu_q8_rows){(int8_t *)at, d, d + a->rows * blocks, (int16_t *)(d + 2 * a->rows * blocks), ldq, blocks};
    struct q8_run r = {cpu_of(s), a, *x8};
    cpu_run(s, quantize_task, &r, (a->rows + ROWS_A_TASK - 1) / ROWS_A_TASK);
}
