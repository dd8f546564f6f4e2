/* rows.c — element-wise and row-wise work on the CPU: cuts it into tasks for the row kernels.
 *
 * The kernels know f32 alone. Where activations are bf16, a task takes a row or a piece at a time: converts what it
 * reads into scratch, and what it wrote back from there. */
#include "backend/cpu/cpu.h"
#include "base/random.h"

#include <math.h>
#include <string.h>

enum {
    WORK = 1 << 16,                               /* elements a task takes: some 20 us */
    TASKS_A_THREAD = 4,                           /* at least, of PIECE elements or more */
    PIECE = 2048,                                 /* elements converted at once: they stay in the first-level cache */
    WIDEST = CPU_PANEL_BYTES / sizeof(float) / 2, /* row that is converted at once */
};

/* One argument block serves all entries of this file: which fields mean what stands at each entry. */
struct rows_run {
    struct cpu_backend *c;
    enum number number;
    void *y, *z;
    const void *a, *b, *d;
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

static void run_steps(struct stream *s, struct rows_run *r, pool_task task, size_t step)
{
    r->step = step;
    if (r->rows) cpu_run(s, task, r, (r->rows + step - 1) / step);
}

/* Fewer than WORK elements a task where all threads would not have enough of them; flat arrays in whole pieces. */
static void run(struct stream *s, struct rows_run *r, pool_task task)
{
    size_t most = cpu_rows_per_task(r->rows, r->width, WORK), least = cpu_rows_per_task(r->rows, r->width, PIECE);
    size_t share = r->rows / (TASKS_A_THREAD * (size_t)r->c->threads) / least * least;
    run_steps(s, r, task, share < least ? least : share < most ? share : most);
}

/* Flat arrays are cut as rows of width 1. */
static void run_flat(struct stream *s, struct rows_run *r, pool_task task)
{
    r->width = 1;
    run(s, r, task);
}

/* ---- numbers as f32 -------------------------------------------------------------------------- */

/* The scratch for a row's (slots 0 and 1) or a piece's (slots 0 to 4) numbers. */
static float *spare(const struct rows_run *r, int worker, size_t slot, size_t n)
{
    return (float *)r->c->scratch[worker].panel + slot * (n > PIECE ? WIDEST : PIECE);
}

/* n numbers from the at-th on, to be read. */
static const float *get(const struct rows_run *r, int worker, size_t slot, const void *x, size_t at, size_t n)
{
    if (r->number == NUMBER_F32) return (const float *)x + at;
    r->c->k.from_bf16(spare(r, worker, slot, n), (const uint16_t *)x + at, n);
    return spare(r, worker, slot, n);
}

/* Where n numbers are to be written that `put` then stores. */
static float *room(const struct rows_run *r, int worker, size_t slot, void *y, size_t at, size_t n)
{
    return r->number == NUMBER_F32 ? (float *)y + at : spare(r, worker, slot, n);
}
static void put(const struct rows_run *r, void *y, size_t at, size_t n, const float *from)
{
    if (r->number == NUMBER_BF16) r->c->k.to_bf16((uint16_t *)y + at, from, n);
}

/* ---- tables --------------------------------------------------------------------------------- */

static void embed_task(void *context, size_t task, int worker)
{
    const struct rows_run *r = context;
    size_t n, i = span(r, task, &n);
    for (; n--; i++) r->c->k.dequantize((float *)r->y + i * r->width, &r->table, (size_t)r->ids[i]);
}

void cpu_embed(struct stream *s, struct buf y, const struct qmatrix *table, struct buf ids, size_t rows)
{
    struct rows_run r = {.c = cpu_of(s),
                         .y = cpu_pointer(y),
                         .table = cpu_matrix_of(table),
                         .ids = cpu_pointer(ids),
                         .rows = rows,
                         .width = table->cols};
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

/* ---- normalisation -------------------------------------------------------------------------- */

static void normalize_task(void *context, size_t task, int worker)
{
    const struct rows_run *r = context;
    size_t n, i = span(r, task, &n);
    for (; n--; i++) {
        float *y = room(r, worker, 0, r->y, i * r->width, r->width);
        r->c->k.normalize(y, (float *)r->z + i, (const float *)r->a + i * r->width, 1, r->width, r->scale);
        put(r, r->y, i * r->width, r->width, y);
    }
}

void cpu_normalize(struct stream *s, struct buf y, enum number number, struct buf scale, struct buf x, size_t rows,
                   size_t width, float eps)
{
    struct rows_run r = {.c = cpu_of(s),
                         .number = number,
                         .y = cpu_pointer(y),
                         .z = cpu_pointer(scale),
                         .a = cpu_pointer(x),
                         .rows = rows,
                         .width = width,
                         .scale = eps};
    run(s, &r, normalize_task);
}

static void normalize_back_task(void *context, size_t task, int worker)
{
    const struct rows_run *r = context;
    size_t n, i = span(r, task, &n);
    for (; n--; i++)
        r->c->k.normalize_back((float *)r->y + i * r->width, get(r, worker, 0, r->a, i * r->width, r->width),
                               get(r, worker, 1, r->b, i * r->width, r->width), (const float *)r->d + i, 1, r->width);
}

void cpu_normalize_back(struct stream *s, struct buf dx, struct buf dy, struct buf y, enum number number,
                        struct buf scale, size_t rows, size_t width)
{
    struct rows_run r = {.c = cpu_of(s),
                         .number = number,
                         .y = cpu_pointer(dx),
                         .a = cpu_pointer(dy),
                         .b = cpu_pointer(y),
                         .d = cpu_pointer(scale),
                         .rows = rows,
                         .width = width};
    run(s, &r, normalize_back_task);
}

static void scale_columns_task(void *context, size_t task, int worker)
{
    const struct rows_run *r = context;
    size_t n, i = span(r, task, &n);
    for (; n--; i++) {
        const float *x = get(r, worker, 0, r->a, i * r->width, r->width);
        float *y = room(r, worker, 0, r->y, i * r->width, r->width);
        r->c->k.multiply(y, x, r->b, r->width);
        put(r, r->y, i * r->width, r->width, y);
    }
}

void cpu_scale_columns(struct stream *s, struct buf y, struct buf x, enum number number, struct buf w, size_t rows,
                       size_t width)
{
    struct rows_run r = {.c = cpu_of(s),
                         .number = number,
                         .y = cpu_pointer(y),
                         .a = cpu_pointer(x),
                         .b = cpu_pointer(w),
                         .rows = rows,
                         .width = width};
    run(s, &r, scale_columns_task);
}

/* ---- element-wise: a task's span in pieces ----------------------------------------------------- */

static size_t piece(size_t n)
{
    return n < PIECE ? n : PIECE;
}

static void silu_mul_task(void *context, size_t task, int worker)
{
    const struct rows_run *r = context;
    size_t n, i = span(r, task, &n);
    for (size_t end = i + n; i < end; i += n) {
        n = piece(end - i);
        float *y = room(r, worker, 2, r->y, i, n);
        r->c->k.silu_mul(y, get(r, worker, 0, r->a, i, n), get(r, worker, 1, r->b, i, n), n);
        put(r, r->y, i, n, y);
    }
}

void cpu_silu_mul(struct stream *s, struct buf y, struct buf gate, struct buf up, enum number number, size_t n)
{
    struct rows_run r = {
        .c = cpu_of(s), .number = number, .y = cpu_pointer(y), .a = cpu_pointer(gate), .b = cpu_pointer(up), .rows = n};
    run_flat(s, &r, silu_mul_task);
}

static void silu_mul_back_task(void *context, size_t task, int worker)
{
    const struct rows_run *r = context;
    size_t n, i = span(r, task, &n);
    for (size_t end = i + n; i < end; i += n) {
        n = piece(end - i);
        float *dgate = room(r, worker, 3, r->y, i, n), *dup = room(r, worker, 4, r->z, i, n);
        r->c->k.silu_mul_back(dgate, dup, get(r, worker, 0, r->d, i, n), get(r, worker, 1, r->a, i, n),
                              get(r, worker, 2, r->b, i, n), n);
        put(r, r->y, i, n, dgate);
        put(r, r->z, i, n, dup);
    }
}

void cpu_silu_mul_back(struct stream *s, struct buf dgate, struct buf dup, struct buf dy, struct buf gate,
                       struct buf up, enum number number, size_t n)
{
    struct rows_run r = {.c = cpu_of(s),
                         .number = number,
                         .y = cpu_pointer(dgate),
                         .z = cpu_pointer(dup),
                         .d = cpu_pointer(dy),
                         .a = cpu_pointer(gate),
                         .b = cpu_pointer(up),
                         .rows = n};
    run_flat(s, &r, silu_mul_back_task);
}

static void axpy_task(void *context, size_t task, int worker)
{
    const struct rows_run *r = context;
    size_t n, i = span(r, task, &n);
    for (size_t end = i + n; i < end; i += n) {
        n = piece(end - i);
        float *y = (float *)(uintptr_t)get(r, worker, 0, r->y, i, n);
        r->c->k.axpy(y, get(r, worker, 1, r->a, i, n), r->scale, n);
        put(r, r->y, i, n, y);
    }
}

void cpu_axpy(struct stream *s, struct buf y, struct buf x, enum number number, float scale, size_t n)
{
    struct rows_run r = {
        .c = cpu_of(s), .number = number, .y = cpu_pointer(y), .a = cpu_pointer(x), .rows = n, .scale = scale};
    run_flat(s, &r, axpy_task);
}

static void fill_task(void *context, size_t task, int worker)
{
    const struct rows_run *r = context;
    size_t n, i = span(r, task, &n);
    for (size_t end = i + n; i < end; i += n) {
        n = piece(end - i);
        float *y = room(r, worker, 0, r->y, i, n);
        for (size_t k = 0; k < n; k++) y[k] = r->scale;
        put(r, r->y, i, n, y);
    }
}

void cpu_fill(struct stream *s, struct buf y, enum number number, float value, size_t n)
{
    struct rows_run r = {.c = cpu_of(s), .number = number, .y = cpu_pointer(y), .rows = n, .scale = value};
    run_flat(s, &r, fill_task);
}

static void dropout_task(void *context, size_t task, int worker)
{
    const struct rows_run *r = context;
    size_t n, i = span(r, task, &n);
    struct random_key key = {{r->key[0], r->key[1]}};
    float keep = 1 / (1 - r->scale);
    uint32_t drop = (uint32_t)(r->scale * 4294967296.0f);
    for (size_t end = i + n; i < end; i += n) {
        n = piece(end - i);
        const float *x = get(r, worker, 0, r->a, i, n), *old = r->accumulate ? get(r, worker, 1, r->y, i, n) : NULL;
        float *y = room(r, worker, 1, r->y, i, n);
        for (size_t k = 0; k < n; k++) y[k] = (random_u32(key, i + k) < drop ? 0 : x[k] * keep) + (old ? old[k] : 0);
        put(r, r->y, i, n, y);
    }
}

void cpu_dropout(struct stream *s, struct buf y, struct buf x, enum number number, const uint32_t key[2], float p,
                 size_t n, bool accumulate)
{
    struct rows_run r = {.c = cpu_of(s),
                         .number = number,
                         .y = cpu_pointer(y),
                         .a = cpu_pointer(x),
                         .rows = n,
                         .scale = p,
                         .key = {key[0], key[1]},
                         .accumulate = accumulate};
    run_flat(s, &r, dropout_task);
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
