/* products.c — matrix products on the CPU: cuts them into tasks and drives the tiles.
 *
 * A task owns a block of y, whose f32 sums lie in its scratch. Operand by operand it takes the depth in blocks: unpacks
 * the weights of a block into a panel, and multiplies all its rows with each tile of the panel. Low-rank terms are
 * operands of a small depth on some of the rows. A sum's order is that of operands and depth alone, so that a row's
 * bits depend neither on the cut nor on the other rows. */
#include "backend/cpu/products.h"
#include "backend/cpu/pack.h"
#include "backend/cpu/prefetch.h"

#include <string.h>

enum {
    DEPTH_BLOCK = 256,
    PREFETCH_ROWS = 32, /* up to so many, reading the weights takes longer than multiplying them */
    PART_ROWS = 8192,   /* of a transposed weight, in one run: its tasks stay short */
    STRIP_PART = 2048,  /* the same by strips: their panels fit the scratch for many columns */
    MOST_ROWS = 512,    /* of a task: DEPTH_BLOCK of each fill the scratch */
    MOST_COLS = 256,    /* of a task: DEPTH_BLOCK of each fill the panel */
    GOOD_ROWS = 64,     /* of a task, at least, before its columns become fewer: a panel for fewer is not worth it */
    LEAST_ROWS = 8,     /* even so */
    TASKS_A_THREAD = 3  /* at least, where rows and columns allow */
};

bool product_in_bf16(const struct cpu_backend *c, enum precision precision)
{
    return precision == PRECISION_FAST && c->k.tile_bf16;
}

/* ---- a block of sums ------------------------------------------------------------------------ */

struct sums {
    const struct product *p;
    struct cpu_scratch *scratch;
    size_t row, rows, col, cols, ld; /* ld: cols rounded up to tiles */
    bool begun;
};

static size_t even(size_t n)
{
    return (n + 1) & ~(size_t)1;
}

/* Unpacks depth d .. d + depth of the block's columns, tile by tile. */
static void pack(const struct sums *b, const struct operand *o, size_t d, size_t depth)
{
    const struct cpu_kernels *k = &b->p->c->k;
    size_t tile = k->tile_cols, bytes = tile * (b->p->bf16 ? 2 * even(depth) : 4 * depth);
    char *panel = b->scratch->panel;
    for (size_t n = 0; n < b->cols; n += tile, panel += bytes) {
        size_t cols = size_min(tile, b->cols - n), row = o->transposed ? d : b->col + n;
        size_t col = o->transposed ? b->col + n : d, high = o->transposed ? depth : cols;
        size_t wide = o->transposed ? cols : depth;
        cpu_pack(k, panel, b->p->bf16, o->transposed, &o->w, row, high, col, wide);
    }
}

/* Depth d .. d + depth of the rows as the tiles take them: in place where they are stored so, else converted. */
static const void *rows_of(const struct sums *b, const struct operand *o, size_t row, size_t rows, size_t d,
                           size_t depth, size_t *ldx)
{
    const struct cpu_kernels *k = &b->p->c->k;
    const char *x = number_at(o->x, row * o->ldx + d, o->number);
    bool narrow = o->number == NUMBER_BF16;
    *ldx = o->ldx;
    if (narrow == b->p->bf16 && (!narrow || !((depth | o->ldx) & 1))) return x;
    size_t bytes = number_bytes(o->number), to = b->p->bf16 ? even(depth) : depth;
    char *y = b->scratch->rows;
    for (size_t i = 0; i < rows; i++, x += o->ldx * bytes, y += to * (b->p->bf16 ? 2 : 4)) {
        if (!b->p->bf16)
            k->from_bf16((float *)y, (const uint16_t *)x, depth);
        else if (narrow)
            memcpy(y, x, 2 * depth);
        else
            k->to_bf16((uint16_t *)y, (const float *)x, depth);
        if (to > depth) memset(y + 2 * depth, 0, 2);
    }
    *ldx = to;
    return b->scratch->rows;
}

/* With few rows the weights come from memory for every product, in short pieces of many rows, which nobody foresees:
 * asks for all that the block will read. */
static void prefetch_block(const struct sums *b, const struct operand *o)
{
    if (b->rows <= PREFETCH_ROWS) prefetch((uintptr_t)(o->w.data + b->col * o->w.row_bytes), b->cols * o->w.row_bytes);
}

/* sums[row ..] (+)= scale · x · op(W), rows counted from the block's first; x's row 0 belongs to y's row 0. */
static void add_operand(struct sums *b, const struct operand *o, size_t row, size_t rows)
{
    const struct cpu_kernels *k = &b->p->c->k;
    size_t tile = k->tile_cols, all = operand_depth(o);
    for (size_t d = 0; d < all; d += DEPTH_BLOCK) {
        size_t depth = size_min(DEPTH_BLOCK, all - d), ldx;
        const void *x = rows_of(b, o, b->row + row, rows, d, depth, &ldx);
        pack(b, o, d, depth);
        for (size_t n = 0; n < b->cols; n += tile) {
            float *y = b->scratch->sums + row * b->ld + n;
            if (b->p->bf16)
                k->tile_bf16(y, b->ld, x, ldx, (uint16_t *)b->scratch->panel + n * even(depth), depth, rows,
                             size_min(tile, b->cols - n), o->scale, b->begun);
            else
                k->tile_f32(y, b->ld, x, ldx, (float *)b->scratch->panel + n * depth, depth, rows,
                            size_min(tile, b->cols - n), o->scale, b->begun);
        }
        b->begun = true;
    }
}

/* The same with int8 activations against codes: all the rows. */
static void add_q8(struct sums *b, const struct operand *o)
{
    const struct cpu_kernels *k = &b->p->c->k;
    size_t tile = k->tile_cols;
    prefetch_block(b, o);
    for (size_t d = 0; d < o->w.cols; d += DEPTH_BLOCK) {
        size_t depth = size_min(DEPTH_BLOCK, o->w.cols - d);
        struct cpu_q8_rows x = cpu_q8_rows_at(*b->p->x8, b->row, d);
        uint8_t *panel = b->scratch->panel;
        for (size_t n = 0; n < b->cols; n += tile) {
            size_t cols = size_min(tile, b->cols - n);
            k->pack_q8[o->w.type](panel, &o->w, b->col + n, cols, d, depth);
            k->tile_q8[o->w.type](b->scratch->sums + n, b->ld, x, panel, depth, b->rows, cols, o->scale, b->begun);
        }
        b->begun = true;
    }
}

/* The terms of the linears first .. last on the rows of their ranges: h Bᵀ, or, backward, dh A. */
static void add_terms(struct sums *b, const struct low_rank *low)
{
    for (size_t r = 0; r < low->terms->count; r++) {
        const struct term_rows *range = &low->terms->ranges[r];
        size_t from = range->row > b->row ? range->row : b->row, count;
        size_t to = size_min(range->row + range->rows, b->row + b->rows);
        for (size_t i = low->first; from < to && i < low->last; i++) {
            size_t column = low_rank_column(low, range->table, i);
            const struct lora_term *terms = low_rank_terms(low, range->table, i, &count);
            for (size_t t = 0; t < count; column += term_rank(&terms[t++])) {
                struct operand o = term_operand(b->p, &terms[t], column);
                add_operand(b, &o, from - b->row, to - from);
            }
        }
    }
}

void product_store(const struct product *p, struct cpu_scratch *scratch, size_t ld, size_t row, size_t rows, size_t col,
                   size_t cols)
{
    const struct cpu_kernels *k = &p->c->k;
    for (size_t i = 0; i < rows; i++) {
        float *sums = scratch->sums + i * ld;
        void *y = (char *)p->y + ((row + i) * p->ldy + col) * number_bytes(p->number);
        if (p->bias) k->axpy(sums, p->bias + col, 1, cols);
        if (p->number == NUMBER_BF16) {
            if (p->accumulate) {
                k->from_bf16(scratch->rows, y, cols);
                k->axpy(sums, scratch->rows, 1, cols);
            }
            k->to_bf16(y, sums, cols);
        } else if (p->accumulate) {
            k->axpy(y, sums, 1, cols);
        } else {
            memcpy(y, sums, cols * sizeof *sums);
        }
    }
}

void product_block(const struct product *p, struct cpu_scratch *scratch, size_t row, size_t rows, size_t col,
                   size_t cols)
{
    size_t tile = p->c->k.tile_cols;
    if (strips_depth(p)) {
        strips_block(p, scratch, row, rows, col, cols);
        return;
    }
    struct sums b = {p, scratch, row, rows, col, cols, (cols + tile - 1) / tile * tile, false};
    if (p->x8) add_q8(&b, &p->operand[0]);
    for (size_t i = p->x8 ? 1 : 0; i < p->count; i++) add_operand(&b, &p->operand[i], 0, rows);
    if (!b.begun) memset(scratch->sums, 0, rows * b.ld * sizeof(float));
    b.begun = true;
    if (p->few)
        few_terms_wait(p->few);
    else if (p->low)
        add_terms(&b, p->low);
    product_store(p, scratch, b.ld, row, rows, col, cols);
}

/* ---- tasks ---------------------------------------------------------------------------------- */

/* Whether no task converts its rows. Then it costs less to go through them again than to unpack a panel again. */
static bool as_they_lie(const struct product *p)
{
    return p->x8 || (p->bf16 && p->operand[0].number == NUMBER_BF16);
}

/* Blocks as large as scratch and the pool's promise allow, and enough of them for all threads. */
static void plan_blocks(struct product *p)
{
    size_t tile = p->c->k.tile_cols, depth = 1, all = (p->cols + tile - 1) / tile * tile;
    for (size_t i = 0; i < p->count; i++) depth += operand_depth(&p->operand[i]);
    size_t work = (size_t)(p->c->task_flops * (p->bf16 || p->x8 ? 3 : 1) / 2 / (double)depth);
    work = size_min(work, CPU_SUMS_BYTES / sizeof(float));
    size_t cols = size_min(all, MOST_COLS / tile * tile), rows = size_min(p->rows, MOST_ROWS);
    size_t good = size_min(rows, as_they_lie(p) ? rows : GOOD_ROWS);
    if (cols * good > work) cols = work / good / tile > 1 ? work / good / tile * tile : tile;
    if (cols * rows > work) rows = work / cols > LEAST_ROWS ? work / cols / LEAST_ROWS * LEAST_ROWS : LEAST_ROWS;
    size_t wanted = (size_t)p->c->threads * TASKS_A_THREAD;
    while (cols > tile && (all / cols) * ((p->rows + rows - 1) / rows) < wanted)
        cols = (cols / 2 + tile - 1) / tile * tile;
    while (rows > 2 * GOOD_ROWS && (all / cols) * ((p->rows + rows - 1) / rows) < wanted)
        rows = (rows / 2 + 7) & ~(size_t)7;
    p->step_rows = rows < 1 ? 1 : rows;
    p->step_cols = cols;
}

static void plan(struct product *p)
{
    size_t depth = strips_depth(p);
    if (depth)
        strips_plan(p, depth);
    else
        plan_blocks(p);
    p->row_tasks = (p->rows + p->step_rows - 1) / p->step_rows;
    p->col_tasks = (p->cols + p->step_cols - 1) / p->step_cols;
}

struct products {
    struct product item[GROUP_LINEARS];
    size_t first[GROUP_LINEARS + 1]; /* task of each item */
    size_t count;
    struct few_terms few; /* its tasks come first */
};

static void product_task(void *context, size_t task, int worker)
{
    struct products *all = context;
    size_t i = 0;
    if (task < all->few.tasks) {
        few_terms_task(&all->few, task, &all->few.c->scratch[worker]);
        return;
    }
    task -= all->few.tasks;
    while (task >= all->first[i + 1]) i++;
    const struct product *p = &all->item[i];
    task -= all->first[i];
    size_t row = task / p->col_tasks * p->step_rows, col = task % p->col_tasks * p->step_cols;
    product_block(p, &p->c->scratch[worker], row, size_min(p->step_rows, p->rows - row), col,
                  size_min(p->step_cols, p->cols - col));
}

static void run(struct stream *s, struct products *all)
{
    for (size_t i = 0; i < all->count; i++) {
        plan(&all->item[i]);
        all->first[i + 1] = all->first[i] + all->item[i].row_tasks * all->item[i].col_tasks;
    }
    cpu_run(s, product_task, all, all->few.tasks + all->first[all->count]);
}

/* h = A x as a run of its own. */
static void shrink_input(struct stream *s, const struct matmul *a)
{
    struct shrink h = {a->x, a->number, a->ldx, a->cols, .low = a->low};
    double flops = s->flops; /* counted with the product */
    cpu_shrink(s, &h);
    s->flops = flops;
}

/* ---- the backend's entries ------------------------------------------------------------------ */

void cpu_matmul(struct stream *s, const struct matmul *a)
{
    struct cpu_backend *c = cpu_of(s);
    struct products all = {.count = a->count};
    struct low_rank low[GROUP_LINEARS];
    struct cpu_q8_rows x8;
    s->flops += flops_matmul(a);
    if (gemv_can(c, a)) {
        gemv(s, a);
        return;
    }
    struct matmul narrowed;
    bool int8 = q8_rows_can(c, a);
    all.few = few_terms_of(c, a);
    if (!all.few.tasks && !int8 && bf16_rows_make(s, a, &narrowed)) a = &narrowed;
    if (a->shrink && !all.few.tasks) shrink_input(s, a);
    if (int8) q8_rows_make(s, a, &x8);
    for (size_t i = 0; i < a->count; i++) {
        const struct matmul_output *o = &a->out[i];
        low[i] = a->low;
        low[i].first = i;
        low[i].last = i + 1;
        all.item[i] =
            (struct product){.c = c,
                             .operand = {{cpu_pointer(a->x), a->number, a->ldx, cpu_matrix_of(o->w), false, a->scale}},
                             .count = 1,
                             .x8 = int8 && q8_rows_takes(c, o->w) ? &x8 : NULL,
                             .low = a->low.terms ? &low[i] : NULL,
                             .few = all.few.tasks ? &all.few : NULL,
                             .y = cpu_pointer(o->y),
                             .number = o->number,
                             .ldy = o->ldy,
                             .rows = a->rows,
                             .cols = o->w->rows,
                             .bias = cpu_floats(o->bias),
                             .accumulate = a->accumulate || all.few.tasks,
                             .bf16 = product_in_bf16(c, a->precision)};
    }
    run(s, &all);
}

/* Weight rows first .. first + rows of the one input: a head's many are taken in parts, added up in dx. */
static struct product part(const struct stream *s, const struct matmul_back *a, size_t first, size_t rows)
{
    struct product p = {.c = cpu_of(s),
                        .y = cpu_pointer(a->dx),
                        .number = a->number,
                        .ldy = a->lddx,
                        .rows = a->rows,
                        .cols = a->cols,
                        .accumulate = a->accumulate || first,
                        .bf16 = product_in_bf16(cpu_of(s), a->precision)};
    p.operand[0].transposed = true; /* the terms' way as well */
    for (p.count = 0; p.count < a->count; p.count++) {
        const struct matmul_output *in = &a->in[p.count];
        struct operand *o = &p.operand[p.count];
        *o = (struct operand){number_at(cpu_pointer(in->y), first, in->number),
                              in->number,
                              in->ldy,
                              cpu_matrix_of(in->w),
                              true,
                              a->scale};
        o->w = quant_rows_from(o->w, first);
        o->w.rows = size_min(rows, o->w.rows);
    }
    return p;
}

void cpu_matmul_back(struct stream *s, const struct matmul_back *a)
{
    bool parts = a->count == 1 && a->number == NUMBER_F32;
    size_t most = cpu_of(s)->k.strip_bf16 && product_in_bf16(cpu_of(s), a->precision) ? STRIP_PART : PART_ROWS;
    size_t all = a->count ? a->in[0].w->rows : 1, step = parts ? most : all;
    s->flops += flops_matmul_back(a);
    for (size_t first = 0; first < all; first += step) {
        struct products one = {.count = 1, .item = {part(s, a, first, parts ? step : SIZE_MAX)}};
        if (a->low.terms && first + step >= all) one.item[0].low = &a->low;
        run(s, &one);
    }
}
