/* rows_run.h — what the drivers of the row kernels share: how rows become tasks, and bf16 numbers f32 and back.
 *
 * The kernels know f32 alone. Where activations are bf16, a task takes a row or a piece at a time: converts what it
 * reads into scratch, and what it wrote back from there. */
#ifndef CPU_ROWS_RUN_H
#define CPU_ROWS_RUN_H

#include "backend/cpu/cpu.h"

enum {
    WORK = 1 << 16,                               /* elements a task takes: some 20 us */
    TASKS_A_THREAD = 4,                           /* at least, of PIECE elements or more */
    PIECE = 2048,                                 /* elements converted at once: they stay in the first-level cache */
    WIDEST = CPU_PANEL_BYTES / sizeof(float) / 2, /* row that is converted at once */
};

/* One argument block serves all entries of the drivers: which fields mean what stands at each entry. */
struct rows_run {
    struct cpu_backend *c;
    enum number number, x_number;
    void *y, *z;
    const void *a, *b, *d;
    const int32_t *ids;
    struct quant_matrix table;
    size_t rows, width, ldy, lda, step, heads, head_dim, rotary;
    bool interleaved, inverse, accumulate;
    float scale, cap;
    enum activation activation;
    uint32_t key[2];
    double *sums;
    const struct cross_entropy *ce;
    const struct adamw *adamw;
    const struct normalize *norm;
};

static inline size_t span(const struct rows_run *r, size_t task, size_t *count)
{
    size_t first = task * r->step;
    *count = r->rows - first < r->step ? r->rows - first : r->step;
    return first;
}

static inline void run_steps(struct stream *s, struct rows_run *r, pool_task task, size_t step)
{
    r->step = step;
    if (r->rows) cpu_run(s, task, r, (r->rows + step - 1) / step);
}

/* Fewer than WORK elements a task where all threads would not have enough of them; flat arrays in whole pieces. */
static inline void run(struct stream *s, struct rows_run *r, pool_task task)
{
    size_t most = cpu_rows_per_task(r->rows, r->width, WORK), least = cpu_rows_per_task(r->rows, r->width, PIECE);
    size_t share = r->rows / (TASKS_A_THREAD * (size_t)r->c->threads) / least * least;
    run_steps(s, r, task, share < least ? least : share < most ? share : most);
}

/* Flat arrays are cut as rows of width 1. */
static inline void run_flat(struct stream *s, struct rows_run *r, pool_task task)
{
    r->width = 1;
    run(s, r, task);
}

/* ---- numbers as f32 -------------------------------------------------------------------------- */

/* The scratch for a row's (slots 0 and 1) or a piece's (slots 0 to 4) numbers. */
static inline float *spare(const struct rows_run *r, int worker, size_t slot, size_t n)
{
    return (float *)r->c->scratch[worker].panel + slot * (n > PIECE ? WIDEST : PIECE);
}

/* n numbers from the at-th on, to be read. */
static inline const float *get_as(const struct rows_run *r, enum number number, int worker, size_t slot, const void *x,
                                  size_t at, size_t n)
{
    if (number == NUMBER_F32) return (const float *)x + at;
    r->c->k.from_bf16(spare(r, worker, slot, n), (const uint16_t *)x + at, n);
    return spare(r, worker, slot, n);
}
static inline const float *get(const struct rows_run *r, int worker, size_t slot, const void *x, size_t at, size_t n)
{
    return get_as(r, r->number, worker, slot, x, at, n);
}

/* Where n numbers are to be written that `put` then stores. */
static inline float *room(const struct rows_run *r, int worker, size_t slot, void *y, size_t at, size_t n)
{
    return r->number == NUMBER_F32 ? (float *)y + at : spare(r, worker, slot, n);
}
/* The same with the numbers that are there; room: for bf16 ones, n floats. */
static inline float *change_as(const struct rows_run *r, enum number number, float *room, void *y, size_t at, size_t n)
{
    if (number == NUMBER_F32) return (float *)y + at;
    r->c->k.from_bf16(room, (const uint16_t *)y + at, n);
    return room;
}
static inline void put_as(const struct rows_run *r, enum number number, void *y, size_t at, size_t n, const float *from)
{
    if (number == NUMBER_BF16) r->c->k.to_bf16((uint16_t *)y + at, from, n);
}
static inline void put(const struct rows_run *r, void *y, size_t at, size_t n, const float *from)
{
    put_as(r, r->number, y, at, n, from);
}

#endif
