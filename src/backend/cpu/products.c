/* products.c — matrix products on the CPU: cuts a product into tasks and drives the tiles.
 *
 * A task takes a group of weight columns, unpacks them into a panel in the cache once, and uses it for a range of rows,
 * whose activations it converts a block at a time. Depth is taken in blocks of DEPTH_BLOCK whatever the shapes, so that
 * a sum's order never depends on them. */
#include "backend/cpu/cpu.h"

#include <string.h>

enum {
    DEPTH_BLOCK = 2048,
    PART_ROWS = 4 * DEPTH_BLOCK,
    ROW_BLOCK = 64,  /* activation rows converted at once */
    LEAST_ROWS = 4,  /* of a task: a panel for fewer is not worth unpacking */
    LEAST_TILES = 4, /* of a task's panel: activations are converted again for every task */
    INT8_ROWS = 6,   /* up to so many rows, reading the weights once a row beats unpacking a panel */
};

/* One product y (+)= scale · x · op(W): `depth` runs along W's columns, or along its rows when transposed. */
struct product {
    struct cpu_backend *c;
    struct cpu_matrix w;
    const float *x, *bias;
    float *y;
    size_t ldx, ldy, rows, depth, cols;
    bool transposed, accumulate, bf16;
    float scale;
    size_t group, chunk, groups, chunks; /* columns and rows of a task, and their numbers */
};

static size_t min(size_t a, size_t b)
{
    return a < b ? a : b;
}

/* As many columns as fill the panel at this depth and leave two tasks a thread; as many rows as a task may take. */
static void plan(struct product *p)
{
    size_t tile = p->c->k.tile_cols, depth = min(p->depth, DEPTH_BLOCK);
    size_t bytes = tile * (depth + 1) * (p->bf16 ? 2 : 4);
    size_t tiles = CPU_PANEL_BYTES / bytes;
    size_t all = (p->cols + tile - 1) / tile, share = all / ((size_t)p->c->threads * 2);
    double flops = p->c->task_flops * (p->bf16 ? 2 : 1);
    size_t fit = (size_t)(flops / (2.0 * (double)p->depth * (double)tile * ROW_BLOCK)); /* deep products: few columns */
    tiles = min(min(tiles, fit), share < LEAST_TILES ? LEAST_TILES : share);
    p->group = min(tiles < 1 ? 1 : tiles, all) * tile;
    p->groups = (p->cols + p->group - 1) / p->group;
    size_t most = (size_t)(flops / (2.0 * (double)p->depth * (double)p->group));
    size_t chunk = most < ROW_BLOCK ? most / LEAST_ROWS * LEAST_ROWS : most / ROW_BLOCK * ROW_BLOCK;
    if (chunk < LEAST_ROWS) chunk = LEAST_ROWS;
    size_t wanted = (size_t)p->c->threads * 2, chunks = (wanted + p->groups - 1) / p->groups;
    size_t even = (p->rows / chunks + ROW_BLOCK - 1) / ROW_BLOCK * ROW_BLOCK;
    if (even >= 2 * ROW_BLOCK) chunk = min(chunk, even);
    p->chunk = chunk;
    p->chunks = (p->rows + chunk - 1) / chunk;
}

static void pack(const struct product *p, void *panel, size_t col, size_t cols, size_t d, size_t depth)
{
    const struct cpu_kernels *k = &p->c->k;
    if (p->bf16)
        (p->transposed ? k->pack_bf16_t : k->pack_bf16)(panel, &p->w, p->transposed ? d : col,
                                                        p->transposed ? depth : cols, p->transposed ? col : d,
                                                        p->transposed ? cols : depth);
    else
        (p->transposed ? k->pack_f32_t : k->pack_f32)(panel, &p->w, p->transposed ? d : col,
                                                      p->transposed ? depth : cols, p->transposed ? col : d,
                                                      p->transposed ? cols : depth);
}

/* `rows` (≤ ROW_BLOCK) rows against the panels of columns col .. col + cols. */
static void tiles(const struct product *p, struct cpu_scratch *scratch, size_t row, size_t rows, size_t col,
                  size_t cols, size_t d, size_t depth)
{
    const struct cpu_kernels *k = &p->c->k;
    size_t tile = k->tile_cols, even = (depth + 1) & ~(size_t)1;
    const float *x = p->x + row * p->ldx + d;
    uint16_t *x16 = scratch->rows;
    if (p->bf16)
        for (size_t i = 0; i < rows; i++) {
            k->to_bf16(x16 + i * even, x + i * p->ldx, depth);
            if (depth & 1) x16[i * even + depth] = 0;
        }
    bool accumulate = p->accumulate || d;
    for (size_t n = 0; n < cols; n += tile) {
        float *y = p->y + row * p->ldy + col + n;
        size_t width = min(tile, cols - n);
        if (p->bf16)
            k->tile_bf16(y, p->ldy, x16, even, (uint16_t *)scratch->panel + n * even, depth, rows, width, p->scale,
                         accumulate);
        else
            k->tile_f32(y, p->ldy, x, p->ldx, (float *)scratch->panel + n * depth, depth, rows, width, p->scale,
                        accumulate);
    }
}

static void add_bias(const struct product *p, size_t row, size_t rows, size_t col, size_t cols)
{
    if (p->bias)
        for (size_t i = row; i < row + rows; i++) p->c->k.axpy(p->y + i * p->ldy + col, p->bias + col, 1, cols);
}

static void product_task(void *context, size_t task, int worker)
{
    const struct product *p = context;
    struct cpu_scratch *scratch = &p->c->scratch[worker];
    size_t tile = p->c->k.tile_cols, col = task % p->groups * p->group, cols = min(p->group, p->cols - col);
    size_t first = task / p->groups * p->chunk, last = min(first + p->chunk, p->rows);

    for (size_t d = 0; d < p->depth; d += DEPTH_BLOCK) {
        size_t depth = min(DEPTH_BLOCK, p->depth - d), even = p->bf16 ? (depth + 1) & ~(size_t)1 : depth;
        for (size_t n = 0; n < cols; n += tile)
            pack(p, (char *)scratch->panel + n * even * (p->bf16 ? 2 : 4), col + n, min(tile, cols - n), d, depth);
        for (size_t row = first; row < last; row += ROW_BLOCK)
            tiles(p, scratch, row, min(ROW_BLOCK, last - row), col, cols, d, depth);
    }
    add_bias(p, first, last - first, col, cols);
}

/* ---- few rows: every weight row is read once ----------------------------------------------- */

struct gemv {
    struct cpu_backend *c;
    const struct matmul *a;
    size_t per_task;                  /* weight rows */
    size_t tasks[MATMUL_OUTPUTS + 1]; /* first task of each output */
};

static struct cpu_q8 q8_at(void *memory, size_t cols)
{
    size_t blocks = cols / 32;
    int8_t *q = memory;
    return (struct cpu_q8){q, (float *)(q + ((cols + 63) & ~(size_t)63)),
                           (float *)(q + ((cols + 63) & ~(size_t)63)) + blocks};
}

static void gemv_task(void *context, size_t task, int worker)
{
    const struct gemv *g = context;
    const struct matmul *a = g->a;
    size_t i = 0;
    while (task >= g->tasks[i + 1]) i++;
    const struct matmul_output *o = &a->out[i];
    struct cpu_matrix w = cpu_matrix_of(o->w);
    size_t first = (task - g->tasks[i]) * g->per_task, rows = min(g->per_task, w.rows - first);
    struct cpu_q8 x8 = q8_at(g->c->scratch[worker].rows, a->cols);

    for (size_t r = 0; r < a->rows; r++) {
        const float *x = cpu_floats(a->x) + r * a->ldx;
        float *into = cpu_floats(o->y) + r * o->ldy + first;
        float *y = a->accumulate || a->scale != 1 ? g->c->scratch[worker].panel : into; /* per_task floats fit */
        if (g->c->k.gemv_q8[w.type]) {
            g->c->k.quantize_q8(x8, x, a->cols);
            g->c->k.gemv_q8[w.type](y, &w, first, rows, x8);
        } else {
            g->c->k.gemv_f32[w.type](y, &w, first, rows, x);
        }
        if (y != into) {
            if (!a->accumulate) memset(into, 0, rows * sizeof *into);
            g->c->k.axpy(into, y, a->scale, rows);
        }
        if (buf_is(o->bias)) g->c->k.axpy(into, cpu_floats(o->bias) + first, 1, rows);
    }
}

static bool use_gemv(const struct cpu_backend *c, const struct matmul *a)
{
    size_t q8_bytes = (a->cols + 63) / 64 * 64 + a->cols / 32 * 8;
    if (!a->int8 || a->precision == PRECISION_EXACT || a->rows > INT8_ROWS || q8_bytes > CPU_ROWS_BYTES) return false;
    for (size_t i = 0; i < a->count; i++)
        if (!c->k.gemv_q8[a->out[i].w->type] && !c->k.gemv_f32[a->out[i].w->type]) return false;
    return true;
}

static void gemv(struct stream *s, const struct matmul *a)
{
    struct gemv g = {.c = cpu_of(s), .a = a};
    size_t total = 0, least = 65536 / (a->cols ? a->cols : 1) + 1;
    for (size_t i = 0; i < a->count; i++) total += a->out[i].w->rows;
    g.per_task = total / ((size_t)g.c->threads * 2) + 1;
    if (g.per_task < least) g.per_task = least;
    if (g.per_task * a->cols > 4000000) g.per_task = 4000000 / a->cols + 1;
    g.per_task = min((g.per_task + 15) & ~(size_t)15, CPU_PANEL_BYTES / sizeof(float));
    for (size_t i = 0; i < a->count; i++)
        g.tasks[i + 1] = g.tasks[i] + (a->out[i].w->rows + g.per_task - 1) / g.per_task;
    for (size_t i = a->count; i < MATMUL_OUTPUTS; i++) g.tasks[i + 1] = g.tasks[a->count];
    cpu_run(s, gemv_task, &g, g.tasks[a->count]);
}

/* ---- the backend's entries ----------------------------------------------------------------- */

/* bf16 is worth its rounding where the weights are many; adapters (f32, narrow) stay in f32. */
static bool use_bf16(const struct cpu_backend *c, enum precision precision, const struct qmatrix *w)
{
    return precision == PRECISION_FAST && c->k.tile_bf16 && w->type != QUANT_F32;
}

void cpu_matmul(struct stream *s, const struct matmul *a)
{
    s->flops += flops_matmul(a);
    if (use_gemv(cpu_of(s), a)) {
        gemv(s, a);
        return;
    }
    for (size_t i = 0; i < a->count; i++) {
        const struct matmul_output *o = &a->out[i];
        struct product p = {.c = cpu_of(s),
                            .w = cpu_matrix_of(o->w),
                            .x = cpu_floats(a->x),
                            .bias = cpu_floats(o->bias),
                            .y = cpu_floats(o->y),
                            .ldx = a->ldx,
                            .ldy = o->ldy,
                            .rows = a->rows,
                            .depth = a->cols,
                            .cols = o->w->rows,
                            .accumulate = a->accumulate,
                            .scale = a->scale,
                            .bf16 = use_bf16(cpu_of(s), a->precision, o->w)};
        plan(&p);
        cpu_run(s, product_task, &p, p.groups * p.chunks);
    }
}

/* Weight rows first .. first + rows of input i. */
static void back_part(struct stream *s, const struct matmul_back *a, size_t i, size_t first, size_t rows)
{
    const struct matmul_output *in = &a->in[i];
    struct product p = {.c = cpu_of(s),
                        .w = cpu_matrix_of(in->w),
                        .x = cpu_floats(in->y) + first,
                        .y = cpu_floats(a->dx),
                        .ldx = in->ldy,
                        .ldy = a->lddx,
                        .rows = a->rows,
                        .depth = rows,
                        .cols = a->cols,
                        .transposed = true,
                        .accumulate = a->accumulate || i || first,
                        .scale = a->scale,
                        .bf16 = use_bf16(cpu_of(s), a->precision, in->w)};
    p.w.data += first * in->w->row_bytes;
    p.w.rows = rows;
    plan(&p);
    cpu_run(s, product_task, &p, p.groups * p.chunks);
}

/* A head's many rows are taken in parts, so that a task stays short; the order of the sums is that of one part. */
void cpu_matmul_back(struct stream *s, const struct matmul_back *a)
{
    s->flops += flops_matmul_back(a);
    for (size_t i = 0; i < a->count; i++)
        for (size_t first = 0; first < a->in[i].w->rows; first += PART_ROWS)
            back_part(s, a, i, first, min(PART_ROWS, a->in[i].w->rows - first));
}

struct outer_run {
    struct cpu_backend *c;
    const struct outer *a;
    size_t n_step, k_step, k_tasks;
};

static void outer_task(void *context, size_t task, int worker)
{
    const struct outer_run *r = context;
    const struct outer *a = r->a;
    size_t n = task / r->k_tasks * r->n_step, k = task % r->k_tasks * r->k_step;
    r->c->k.outer(cpu_floats(a->dw) + n * a->lddw + k, a->lddw, cpu_floats(a->dy) + n, a->lddy, cpu_floats(a->x) + k,
                  a->ldx, a->rows, min(r->n_step, a->n - n), min(r->k_step, a->k - k), a->scale);
}

void cpu_outer(struct stream *s, const struct outer *a)
{
    s->flops += flops_outer(a);
    struct outer_run r = {.c = cpu_of(s), .a = a, .n_step = min(a->n, 64), .k_step = min(a->k, 128)};
    r.k_tasks = (a->k + r.k_step - 1) / r.k_step;
    cpu_run(s, outer_task, &r, (a->n + r.n_step - 1) / r.n_step * r.k_tasks);
}
