/* gemv.c — products of few rows on the CPU: every weight row is read once, against all activation rows.
 *
 * One row is quantised by each task for itself; several are quantised once beforehand. */
#include "backend/cpu/pack.h"
#include "backend/cpu/products.h"
#include "quant/planes.h"

#include <string.h>

struct gemv_run {
    struct cpu_backend *c;
    const struct matmul *a;
    struct cpu_q8_rows x8; /* several rows in int8 */
    struct few_terms few;
    size_t per_task;                 /* weight rows */
    size_t tasks[GROUP_LINEARS + 1]; /* first task of each output */
};

static struct cpu_q8 q8_at(void *memory, size_t cols)
{
    size_t blocks = cols / 32;
    int8_t *q = memory;
    return (struct cpu_q8){q, (float *)(q + ((cols + 63) & ~(size_t)63)),
                           (float *)(q + ((cols + 63) & ~(size_t)63)) + blocks};
}

static struct cpu_q8 row_of(struct cpu_q8_rows x, size_t row)
{
    x = cpu_q8_rows_at(x, row, 0);
    return (struct cpu_q8){x.q, x.d, x.sum};
}

/* y[r · ld + i] = W[first + i] · x[r]; all rows of x. */
static void products(const struct gemv_run *g, struct cpu_scratch *scratch, const struct quant_matrix *w, size_t first,
                     size_t rows, float *y, size_t ld)
{
    const struct cpu_kernels *k = &g->c->k;
    const struct matmul *a = g->a;
    struct cpu_q8 x8 = q8_at(scratch->rows, a->cols);
    if (g->x8.q && k->gemv_q8_rows[w->type]) {
        k->gemv_q8_rows[w->type](y, ld, w, first, rows, g->x8, a->rows, scratch->rows);
        return;
    }
    for (size_t r = 0; r < a->rows; r++, y += ld) {
        const float *x = cpu_floats(a->x) + r * a->ldx;
        if (!k->gemv_q8[w->type] || !quant_in_blocks(w)) {
            cpu_gemv_f32(k, y, w, first, rows, x, scratch->rows);
            continue;
        }
        if (g->x8.q)
            x8 = row_of(g->x8, r);
        else
            k->quantize_q8(x8, x, a->cols);
        k->gemv_q8[w->type](y, w, first, rows, x8);
    }
}

static void gemv_task(void *context, size_t task, int worker)
{
    struct gemv_run *g = context;
    const struct matmul *a = g->a;
    size_t i = 0;
    if (task < g->few.tasks) {
        few_terms_task(&g->few, task, &g->c->scratch[worker]);
        return;
    }
    task -= g->few.tasks;
    while (task >= g->tasks[i + 1]) i++;
    const struct matmul_output *o = &a->out[i];
    struct quant_matrix w = cpu_matrix_of(o->w);
    size_t first = (task - g->tasks[i]) * g->per_task, rows = size_min(g->per_task, w.rows - first);
    float *spare = g->c->scratch[worker].panel; /* FEW_ROWS · per_task floats fit */
    float *into = cpu_floats(o->y) + first;
    bool add = a->accumulate || g->few.tasks, direct = !add && a->scale == 1;

    products(g, &g->c->scratch[worker], &w, first, rows, direct ? into : spare, direct ? o->ldy : rows);
    few_terms_wait(&g->few);
    for (size_t r = 0; r < a->rows; r++, into += o->ldy) {
        if (!direct && !add) memset(into, 0, rows * sizeof *into);
        if (!direct) g->c->k.axpy(into, spare + r * rows, a->scale, rows);
        if (buf_is(o->bias)) g->c->k.axpy(into, cpu_floats(o->bias) + first, 1, rows);
    }
}

/* Whether a few rows against this format are better multiplied without a panel. */
static bool few(const struct cpu_backend *c, const struct qmatrix *w, size_t rows)
{
    if (q8_rows_takes(c, w)) return rows < c->k.q8_panel_rows[w->type];
    return rows <= (w->type < QUANT_OWN_KERNELS ? FEW_ROWS : 1); /* each would unpack the weights again */
}

bool gemv_can(const struct cpu_backend *c, const struct matmul *a)
{
    size_t one = (a->cols + 63) / 64 * 64 + a->cols / 32 * 8, several = cpu_several_bytes(a->cols);
    if (!a->int8 || a->precision == PRECISION_EXACT || a->rows > FEW_ROWS ||
        (a->rows > 1 ? several : one) > CPU_ROWS_BYTES || a->number != NUMBER_F32 ||
        (a->low.terms && !few_terms_can(a)))
        return false;
    for (size_t i = 0; i < a->count; i++) {
        if (a->out[i].number != NUMBER_F32 || !few(c, a->out[i].w, a->rows)) return false;
    }
    return true;
}

void gemv(struct stream *s, const struct matmul *a)
{
    struct gemv_run g = {.c = cpu_of(s), .a = a};
    if (q8_rows_can(g.c, a)) q8_rows_make(s, a, &g.x8);
    size_t total = 0, least = 65536 / (a->cols ? a->cols : 1) + 1;
    for (size_t i = 0; i < a->count; i++) total += a->out[i].w->rows;
    g.per_task = total / ((size_t)g.c->threads * 4) + 1;
    if (g.per_task < least) g.per_task = least;
    if (g.per_task * a->cols > 4000000) g.per_task = 4000000 / a->cols + 1;
    g.per_task = size_min((g.per_task + 15) & ~(size_t)15, CPU_PANEL_BYTES / sizeof(float) / FEW_ROWS / 16 * 16);
    for (size_t i = 0; i < a->count; i++)
        g.tasks[i + 1] = g.tasks[i] + (a->out[i].w->rows + g.per_task - 1) / g.per_task;
    for (size_t i = a->count; i < GROUP_LINEARS; i++) g.tasks[i + 1] = g.tasks[a->count];
    if (a->low.terms) g.few = few_terms_of(g.c, a);
    cpu_run(s, gemv_task, &g, g.few.tasks + g.tasks[a->count]);
}
