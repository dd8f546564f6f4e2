/* rows.c — element-wise and row-wise work on the CPU: cuts it into tasks for the row kernels. */
#include "backend/cpu/cpu.h"
#include "base/random.h"

#include <math.h>
#include <string.h>

enum { WORK = SUM_SQUARES_BLOCK }; /* elements a task takes: some 20 us; sum_squares counts on it */

/* One argument block serves all entries of this file: which fields mean what stands at each entry. */
struct rows_run {
    struct cpu_backend *c;
    float *y, *z;
    const float *a, *b, *d;
    const int32_t *ids;
    struct cpu_matrix table;
    size_t rows, width, ldy, lda, step, heads, head_dim, rotary;
    bool interleaved, inverse, accumulate;
    float scale;
    uint32_t key[2];
    double *sums;
    const struct cross_entropy *ce;
    const struct adamw *adamw;
};

static size_t span(const struct rows_run *r, size_t task, size_t *count)
{
    size_t first = task * r->step;
    *count = r->rows - first < r->step ? r->rows - first : r->step;
    return first;
}

static void run(struct stream *s, struct rows_run *r, pool_task task)
{
    if (!r->rows) return;
    r->step = cpu_rows_per_task(r->rows, r->width, WORK);
    cpu_run(s, task, r, (r->rows + r->step - 1) / r->step);
}

/* Flat arrays are cut as rows of width 1. */
static void run_flat(struct stream *s, struct rows_run *r, pool_task task)
{
    r->width = 1;
    run(s, r, task);
}

/* ---- tables --------------------------------------------------------------------------------- */

static void embed_task(void *context, size_t task, int worker)
{
    const struct rows_run *r = context;
    size_t n, i = span(r, task, &n);
    for (; n--; i++) r->c->k.dequantize(r->y + i * r->width, &r->table, (size_t)r->ids[i]);
}

void cpu_embed(struct stream *s, struct buf y, const struct qmatrix *table, struct buf ids, size_t rows)
{
    struct rows_run r = {.c = cpu_of(s),
                         .y = cpu_floats(y),
                         .table = cpu_matrix_of(table),
                         .ids = cpu_pointer(ids),
                         .rows = rows,
                         .width = table->cols};
    run(s, &r, embed_task);
}

static void rope_table_task(void *context, size_t task, int worker)
{
    const struct rows_run *r = context;
    size_t n, i = span(r, task, &n), pairs = r->rotary / 2;
    for (; n--; i++)
        for (size_t k = 0; k < pairs; k++) {
            float angle = (float)r->ids[i] * r->a[k]; /* in f32, as the models were trained */
            r->y[(i * pairs + k) * 2] = (float)cos((double)angle) * r->scale;
            r->y[(i * pairs + k) * 2 + 1] = (float)sin((double)angle) * r->scale;
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
    r->c->k.rope(r->y + i * r->ldy, r->ldy, r->a + i * r->rotary, n, r->heads, r->head_dim, r->rotary, r->interleaved,
                 r->inverse);
}

void cpu_rope(struct stream *s, struct buf x, size_t ld, struct buf table, size_t rows, size_t heads, size_t head_dim,
              size_t rotary, bool interleaved, bool inverse)
{
    struct rows_run r = {.c = cpu_of(s),
                         .y = cpu_floats(x),
                         .ldy = ld,
                         .a = cpu_floats(table),
                         .rows = rows,
                         .width = heads * head_dim,
                         .heads = heads,
                         .head_dim = head_dim,
                         .rotary = rotary,
                         .interleaved = interleaved,
                         .inverse = inverse};
    run(s, &r, rope_task);
}

/* ---- normalisation -------------------------------------------------------------------------- */

static void rms_norm_task(void *context, size_t task, int worker)
{
    const struct rows_run *r = context;
    size_t n, i = span(r, task, &n);
    r->c->k.rms_norm(r->y + i * r->width, r->z ? r->z + i : NULL, r->a + i * r->width, r->b, n, r->width, r->scale);
}

void cpu_rms_norm(struct stream *s, struct buf y, struct buf scale, struct buf x, struct buf w, size_t rows,
                  size_t width, float eps)
{
    struct rows_run r = {.c = cpu_of(s),
                         .y = cpu_floats(y),
                         .z = cpu_floats(scale),
                         .a = cpu_floats(x),
                         .b = cpu_floats(w),
                         .rows = rows,
                         .width = width,
                         .scale = eps};
    run(s, &r, rms_norm_task);
}

static void rms_norm_back_task(void *context, size_t task, int worker)
{
    const struct rows_run *r = context;
    size_t n, i = span(r, task, &n), at = i * r->width;
    r->c->k.rms_norm_back(r->y + at, r->z + at, r->a + at, r->b, r->d + i, n, r->width);
}

void cpu_rms_norm_back(struct stream *s, struct buf dx, struct buf dy, struct buf x, struct buf w, struct buf scale,
                       size_t rows, size_t width)
{
    struct rows_run r = {.c = cpu_of(s),
                         .y = cpu_floats(dx),
                         .z = cpu_floats(dy),
                         .a = cpu_floats(x),
                         .b = cpu_floats(w),
                         .d = cpu_floats(scale),
                         .rows = rows,
                         .width = width};
    run(s, &r, rms_norm_back_task);
}

/* ---- element-wise --------------------------------------------------------------------------- */

static void silu_mul_task(void *context, size_t task, int worker)
{
    const struct rows_run *r = context;
    size_t n, i = span(r, task, &n);
    r->c->k.silu_mul(r->y + i, r->a + i, r->b + i, n);
}

void cpu_silu_mul(struct stream *s, struct buf y, struct buf gate, struct buf up, size_t n)
{
    struct rows_run r = {.c = cpu_of(s), .y = cpu_floats(y), .a = cpu_floats(gate), .b = cpu_floats(up), .rows = n};
    run_flat(s, &r, silu_mul_task);
}

static void silu_mul_back_task(void *context, size_t task, int worker)
{
    const struct rows_run *r = context;
    size_t n, i = span(r, task, &n);
    r->c->k.silu_mul_back(r->y + i, r->z + i, r->d + i, r->a + i, r->b + i, n);
}

void cpu_silu_mul_back(struct stream *s, struct buf dgate, struct buf dup, struct buf dy, struct buf gate,
                       struct buf up, size_t n)
{
    struct rows_run r = {.c = cpu_of(s),
                         .y = cpu_floats(dgate),
                         .z = cpu_floats(dup),
                         .d = cpu_floats(dy),
                         .a = cpu_floats(gate),
                         .b = cpu_floats(up),
                         .rows = n};
    run_flat(s, &r, silu_mul_back_task);
}

static void add_task(void *context, size_t task, int worker)
{
    const struct rows_run *r = context;
    size_t n, i = span(r, task, &n);
    r->c->k.add(r->y + i, r->a + i, r->b + i, n);
}

void cpu_add(struct stream *s, struct buf y, struct buf a, struct buf b, size_t n)
{
    struct rows_run r = {.c = cpu_of(s), .y = cpu_floats(y), .a = cpu_floats(a), .b = cpu_floats(b), .rows = n};
    run_flat(s, &r, add_task);
}

static void axpy_task(void *context, size_t task, int worker)
{
    const struct rows_run *r = context;
    size_t n, i = span(r, task, &n);
    r->c->k.axpy(r->y + i, r->a + i, r->scale, n);
}

void cpu_axpy(struct stream *s, struct buf y, struct buf x, float scale, size_t n)
{
    struct rows_run r = {.c = cpu_of(s), .y = cpu_floats(y), .a = cpu_floats(x), .rows = n, .scale = scale};
    run_flat(s, &r, axpy_task);
}

static void fill_task(void *context, size_t task, int worker)
{
    const struct rows_run *r = context;
    size_t n, i = span(r, task, &n);
    for (; n--; i++) r->y[i] = r->scale;
}

void cpu_fill(struct stream *s, struct buf y, float value, size_t n)
{
    struct rows_run r = {.c = cpu_of(s), .y = cpu_floats(y), .rows = n, .scale = value};
    run_flat(s, &r, fill_task);
}

static void dropout_task(void *context, size_t task, int worker)
{
    const struct rows_run *r = context;
    size_t n, i = span(r, task, &n);
    struct random_key key = {{r->key[0], r->key[1]}};
    float keep = 1 / (1 - r->scale);
    uint32_t drop = (uint32_t)(r->scale * 4294967296.0f);
    for (; n--; i++) {
        float x = random_u32(key, i) < drop ? 0 : r->a[i] * keep;
        r->y[i] = r->accumulate ? r->y[i] + x : x;
    }
}

void cpu_dropout(struct stream *s, struct buf y, struct buf x, const uint32_t key[2], float p, size_t n,
                 bool accumulate)
{
    struct rows_run r = {.c = cpu_of(s),
                         .y = cpu_floats(y),
                         .a = cpu_floats(x),
                         .rows = n,
                         .scale = p,
                         .key = {key[0], key[1]},
                         .accumulate = accumulate};
    run_flat(s, &r, dropout_task);
}

/* ---- moving rows ---------------------------------------------------------------------------- */

static void copy_rows_task(void *context, size_t task, int worker)
{
    const struct rows_run *r = context;
    size_t n, i = span(r, task, &n);
    for (; n--; i++) memcpy(r->y + i * r->ldy, r->a + i * r->lda, r->width * sizeof *r->y);
}

void cpu_copy_rows(struct stream *s, struct buf y, size_t ldy, struct buf x, size_t ldx, size_t rows, size_t width)
{
    struct rows_run r = {
        .c = cpu_of(s), .y = cpu_floats(y), .ldy = ldy, .a = cpu_floats(x), .lda = ldx, .rows = rows, .width = width};
    run(s, &r, copy_rows_task);
}

static void gather_task(void *context, size_t task, int worker)
{
    const struct rows_run *r = context;
    size_t n, i = span(r, task, &n);
    for (; n--; i++) memcpy(r->y + i * r->width, r->a + (size_t)r->ids[i] * r->width, r->width * sizeof *r->y);
}

void cpu_gather_rows(struct stream *s, struct buf y, struct buf x, struct buf index, size_t rows, size_t width)
{
    struct rows_run r = {.c = cpu_of(s),
                         .y = cpu_floats(y),
                         .a = cpu_floats(x),
                         .ids = cpu_pointer(index),
                         .rows = rows,
                         .width = width};
    run(s, &r, gather_task);
}

static void scatter_task(void *context, size_t task, int worker)
{
    const struct rows_run *r = context;
    size_t n, i = span(r, task, &n);
    for (; n--; i++) r->c->k.axpy(r->y + (size_t)r->ids[i] * r->width, r->a + i * r->width, 1, r->width);
}

void cpu_scatter_rows(struct stream *s, struct buf dx, struct buf dy, struct buf index, size_t rows, size_t width)
{
    struct rows_run r = {.c = cpu_of(s),
                         .y = cpu_floats(dx),
                         .a = cpu_floats(dy),
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
    for (; n--; i++)
        r->z[i] = r->c->k.cross_entropy(r->y + i * a->vocab, a->vocab, (size_t)target[i], a->gradient ? weight[i] : 0);
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
    r->sums[task] = r->c->k.sum_squares(r->a + i, n);
}

void cpu_sum_squares(struct stream *s, struct buf sums, struct buf x, size_t n)
{
    struct rows_run r = {.c = cpu_of(s), .sums = cpu_pointer(sums), .a = cpu_floats(x), .rows = n};
    run_flat(s, &r, sum_squares_task);
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
