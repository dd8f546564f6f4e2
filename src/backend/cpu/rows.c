/* rows.c — rows of tables, rotary positions, rows from place to place, the loss and the optimiser on the CPU. */
#include "backend/cpu/pack.h"
#include "backend/cpu/rows_run.h"

#include <math.h>
#include <string.h>

/* ---- tables --------------------------------------------------------------------------------- */

static void embed_task(void *context, size_t task, int worker)
{
    const struct rows_run *r = context;
    size_t n, i = span(r, task, &n);
    for (; n--; i++) {
        float *y = (float *)r->y + i * r->width, *x = r->accumulate ? r->c->scratch[worker].rows : y;
        cpu_dequantize(&r->c->k, x, &r->table, (size_t)r->ids[i]);
        if (r->accumulate)
            r->c->k.axpy(y, x, r->scale, r->width);
        else if (r->scale != 1)
            r->c->k.soft_cap(y, r->scale, 0, r->width);
    }
}

void cpu_embed(struct stream *s, struct buf y, const struct qmatrix *table, struct buf ids, size_t rows, float scale,
               bool accumulate)
{
    struct rows_run r = {.c = cpu_of(s),
                         .y = cpu_pointer(y),
                         .table = cpu_matrix_of(table),
                         .ids = cpu_pointer(ids),
                         .rows = rows,
                         .width = table->cols,
                         .scale = scale,
                         .accumulate = accumulate};
    run(s, &r, embed_task);
}

static void rope_table_task(void *context, size_t task, int worker)
{
    const struct rows_run *r = context;
    const float *inverse = r->a;
    size_t n, i = span(r, task, &n), pairs = r->rotary / 2;
    for (float *y = (float *)r->y + i * r->rotary; n--; i++)
        for (size_t k = 0; k < pairs; k++, y += 2) {
            float angle = (float)r->ids[i] * inverse[k]; /* in f32, as the models were trained */
            y[0] = (float)cos((double)angle) * r->scale;
            y[1] = (float)sin((double)angle) * r->scale;
        }
}

void cpu_rope_table(struct stream *s, struct buf table, struct buf positions, struct buf inverse, size_t rows,
                    size_t rotary, float factor)
{
    struct rows_run r = {.c = cpu_of(s),
                         .y = cpu_floats(table),
                         .ids = cpu_pointer(positions),
                         .a = cpu_floats(inverse),
                         .rows = rows,
                         .width = rotary * 32,
                         .rotary = rotary,
                         .scale = factor};
    run(s, &r, rope_table_task);
}

static void rope_task(void *context, size_t task, int worker)
{
    const struct rows_run *r = context;
    size_t n, i = span(r, task, &n);
    for (; n--; i++) {
        float *x = (float *)(uintptr_t)get(r, worker, 0, r->y, i * r->ldy, r->width);
        r->c->k.rope(x, r->ldy, (const float *)r->a + i * r->rotary, 1, r->heads, r->head_dim, r->rotary,
                     r->interleaved, r->inverse);
        put(r, r->y, i * r->ldy, r->width, x);
    }
}

void cpu_rope(struct stream *s, struct buf x, enum number number, size_t ld, struct buf table, size_t rows,
              size_t heads, size_t head_dim, size_t rotary, bool interleaved, bool inverse)
{
    struct rows_run r = {.c = cpu_of(s),
                         .number = number,
                         .y = cpu_pointer(x),
                         .ldy = ld,
                         .a = cpu_pointer(table),
                         .rows = rows,
                         .width = heads * head_dim,
                         .heads = heads,
                         .head_dim = head_dim,
                         .rotary = rotary,
                         .interleaved = interleaved,
                         .inverse = inverse};
    run(s, &r, rope_task);
}

/* ---- moving rows ---------------------------------------------------------------------------- */

/* y[i] = x[i], or x[ids[i]] where there are ids. */
static void copy_rows_task(void *context, size_t task, int worker)
{
    const struct rows_run *r = context;
    size_t n, i = span(r, task, &n), bytes = number_bytes(r->number);
    for (; n--; i++) {
        size_t from = r->ids ? (size_t)r->ids[i] : i;
        memcpy((char *)r->y + i * r->ldy * bytes, (const char *)r->a + from * r->lda * bytes, r->width * bytes);
    }
}

void cpu_copy_rows(struct stream *s, struct buf y, size_t ldy, struct buf x, size_t ldx, enum number number,
                   size_t rows, size_t width)
{
    struct rows_run r = {.c = cpu_of(s),
                         .number = number,
                         .y = cpu_pointer(y),
                         .ldy = ldy,
                         .a = cpu_pointer(x),
                         .lda = ldx,
                         .rows = rows,
                         .width = width};
    run(s, &r, copy_rows_task);
}

void cpu_gather_rows(struct stream *s, struct buf y, struct buf x, enum number number, struct buf index, size_t rows,
                     size_t width)
{
    struct rows_run r = {.c = cpu_of(s),
                         .number = number,
                         .y = cpu_pointer(y),
                         .ldy = width,
                         .a = cpu_pointer(x),
                         .lda = width,
                         .ids = cpu_pointer(index),
                         .rows = rows,
                         .width = width};
    run(s, &r, copy_rows_task);
}

static void scatter_task(void *context, size_t task, int worker)
{
    const struct rows_run *r = context;
    size_t n, i = span(r, task, &n);
    for (; n--; i++) {
        const float *dy = (const float *)r->a + i * r->width;
        size_t at = (size_t)r->ids[i] * r->width;
        put(r, r->y, at, r->width, dy);
        if (r->number == NUMBER_F32) memcpy((float *)r->y + at, dy, r->width * sizeof *dy);
    }
}

void cpu_scatter_rows(struct stream *s, struct buf dx, enum number number, struct buf dy, struct buf index, size_t rows,
                      size_t width)
{
    struct rows_run r = {.c = cpu_of(s),
                         .number = number,
                         .y = cpu_pointer(dx),
                         .a = cpu_pointer(dy),
                         .ids = cpu_pointer(index),
                         .rows = rows,
                         .width = width};
    run(s, &r, scatter_task);
}

/* ---- loss and optimiser --------------------------------------------------------------------- */

static void cross_entropy_task(void *context, size_t task, int worker)
{
    const struct rows_run *r = context;
    const struct cross_entropy *a = r->ce;
    const int32_t *target = cpu_pointer(a->targets);
    const float *weight = cpu_pointer(a->weights);
    size_t n, i = span(r, task, &n);
    for (; n--; i++) {
        float *z = (float *)r->y + i * a->vocab;
        ((float *)r->z)[i] = r->c->k.cross_entropy(z, a->vocab, (size_t)target[i], a->gradient ? weight[i] : 0);
        if (a->gradient && a->number == NUMBER_BF16) r->c->k.to_bf16((uint16_t *)z, z, a->vocab);
    }
}

void cpu_cross_entropy(struct stream *s, const struct cross_entropy *a)
{
    struct rows_run r = {.c = cpu_of(s),
                         .y = cpu_floats(a->logits),
                         .z = cpu_floats(a->losses),
                         .rows = a->rows,
                         .width = a->vocab * 8,
                         .ce = a};
    run(s, &r, cross_entropy_task);
}

static void sum_squares_task(void *context, size_t task, int worker)
{
    const struct rows_run *r = context;
    size_t n, i = span(r, task, &n);
    r->sums[task] = r->c->k.sum_squares((const float *)r->a + i, n);
}

void cpu_sum_squares(struct stream *s, struct buf sums, struct buf x, size_t n)
{
    struct rows_run r = {.c = cpu_of(s), .sums = cpu_pointer(sums), .a = cpu_floats(x), .rows = n};
    run_steps(s, &r, sum_squares_task, SUM_SQUARES_BLOCK);
}

static void adamw_task(void *context, size_t task, int worker)
{
    const struct rows_run *r = context;
    const struct adamw *a = r->adamw;
    size_t n, i = span(r, task, &n);
    r->c->k.adamw(cpu_floats(a->p) + i, cpu_floats(a->g) + i, cpu_floats(a->m) + i, cpu_floats(a->v) + i, n, a->lr,
                  a->beta1, a->beta2, a->eps, a->decay, a->correction1, a->correction2, a->grad_scale);
}

void cpu_adamw(struct stream *s, const struct adamw *a)
{
    struct rows_run r = {.c = cpu_of(s), .adamw = a, .rows = a->n};
    run_flat(s, &r, adamw_task);
}
