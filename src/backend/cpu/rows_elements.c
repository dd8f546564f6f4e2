/* rows_elements.c — element-wise work on the CPU: a task takes its span in pieces. */
#include "backend/cpu/rows_run.h"
#include "base/random.h"

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
