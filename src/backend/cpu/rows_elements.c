/* rows_elements.c — element-wise work on the CPU: a task takes its span in pieces. */
#include "backend/cpu/rows_run.h"
#include "base/random.h"

static size_t piece(size_t n)
{
    return n < PIECE ? n : PIECE;
}

/* The second factor: none where the function stands alone. */
static const float *get_up(const struct rows_run *r, int worker, size_t slot, size_t at, size_t n)
{
    return r->b ? get(r, worker, slot, r->b, at, n) : NULL;
}

static void gate_task(void *context, size_t task, int worker)
{
    const struct rows_run *r = context;
    size_t n, i = span(r, task, &n);
    for (size_t end = i + n; i < end; i += n) {
        n = piece(end - i);
        float *y = room(r, worker, 2, r->y, i, n);
        r->c->k.gate(r->activation, y, get(r, worker, 0, r->a, i, n), get_up(r, worker, 1, i, n), n);
        put(r, r->y, i, n, y);
    }
}

void cpu_gate(struct stream *s, struct buf y, struct buf gate, struct buf up, enum number number, enum activation f,
              size_t n)
{
    struct rows_run r = {.c = cpu_of(s),
                         .number = number,
                         .y = cpu_pointer(y),
                         .a = cpu_pointer(gate),
                         .b = cpu_pointer(up),
                         .rows = n,
                         .activation = f};
    run_flat(s, &r, gate_task);
}

static void gate_back_task(void *context, size_t task, int worker)
{
    const struct rows_run *r = context;
    size_t n, i = span(r, task, &n);
    for (size_t end = i + n; i < end; i += n) {
        n = piece(end - i);
        float *dgate = room(r, worker, 3, r->y, i, n), *dup = r->z ? room(r, worker, 4, r->z, i, n) : NULL;
        r->c->k.gate_back(r->activation, dgate, dup, get(r, worker, 0, r->d, i, n), get(r, worker, 1, r->a, i, n),
                          get_up(r, worker, 2, i, n), n);
        put(r, r->y, i, n, dgate);
        if (dup) put(r, r->z, i, n, dup);
    }
}

void cpu_gate_back(struct stream *s, struct buf dgate, struct buf dup, struct buf dy, struct buf gate, struct buf up,
                   enum number number, enum activation f, size_t n)
{
    struct rows_run r = {.c = cpu_of(s),
                         .number = number,
                         .y = cpu_pointer(dgate),
                         .z = cpu_pointer(dup),
                         .d = cpu_pointer(dy),
                         .a = cpu_pointer(gate),
                         .b = cpu_pointer(up),
                         .rows = n,
                         .activation = f};
    run_flat(s, &r, gate_back_task);
}

static void axpy_task(void *context, size_t task, int worker)
{
    const struct rows_run *r = context;
    size_t n, i = span(r, task, &n);
    for (size_t end = i + n; i < end; i += n) {
        n = piece(end - i);
        float *y = change_as(r, r->number, spare(r, worker, 0, n), r->y, i, n);
        r->c->k.axpy(y, get_as(r, r->x_number, worker, 1, r->a, i, n), r->scale, n);
        put(r, r->y, i, n, y);
    }
}

void cpu_axpy(struct stream *s, struct buf y, enum number y_number, struct buf x, enum number x_number, float scale,
              size_t n)
{
    struct rows_run r = {.c = cpu_of(s),
                         .number = y_number,
                         .x_number = x_number,
                         .y = cpu_pointer(y),
                         .a = cpu_pointer(x),
                         .rows = n,
                         .scale = scale};
    run_flat(s, &r, axpy_task);
}

static void clamp_task(void *context, size_t task, int worker)
{
    const struct rows_run *r = context;
    size_t n, i = span(r, task, &n);
    for (size_t end = i + n; i < end; i += n) {
        n = piece(end - i);
        const float *x = get(r, worker, 0, r->a, i, n);
        float *y = room(r, worker, 1, r->y, i, n);
        for (size_t k = 0; k < n; k++) y[k] = x[k] > r->cap ? r->cap : x[k] < -r->cap ? -r->cap : x[k];
        put(r, r->y, i, n, y);
    }
}

void cpu_clamp(struct stream *s, struct buf y, struct buf x, enum number number, float limit, size_t n)
{
    struct rows_run r = {.c = cpu_of(s),
                         .number = number,
                         .x_number = number,
                         .y = cpu_pointer(y),
                         .a = cpu_pointer(x),
                         .rows = n,
                         .cap = limit};
    run_flat(s, &r, clamp_task);
}

static void clamp_back_task(void *context, size_t task, int worker)
{
    const struct rows_run *r = context;
    size_t n, i = span(r, task, &n);
    for (size_t end = i + n; i < end; i += n) {
        n = piece(end - i);
        const float *x = get(r, worker, 0, r->a, i, n), *dy = get(r, worker, 1, r->d, i, n);
        float *dx = change_as(r, r->number, spare(r, worker, 2, n), r->y, i, n);
        for (size_t k = 0; k < n; k++) dx[k] += x[k] >= -r->cap && x[k] <= r->cap ? dy[k] : 0;
        put(r, r->y, i, n, dx);
    }
}

void cpu_clamp_back(struct stream *s, struct buf dx, struct buf dy, struct buf x, enum number number, float limit,
                    size_t n)
{
    struct rows_run r = {.c = cpu_of(s),
                         .number = number,
                         .x_number = number,
                         .y = cpu_pointer(dx),
                         .d = cpu_pointer(dy),
                         .a = cpu_pointer(x),
                         .rows = n,
                         .cap = limit};
    run_flat(s, &r, clamp_back_task);
}

static void soft_cap_task(void *context, size_t task, int worker)
{
    const struct rows_run *r = context;
    size_t n, i = span(r, task, &n);
    r->c->k.soft_cap((float *)r->y + i, r->scale, r->cap, n);
}

void cpu_soft_cap(struct stream *s, struct buf z, float scale, float cap, size_t n)
{
    struct rows_run r = {.c = cpu_of(s), .y = cpu_pointer(z), .rows = n, .scale = scale, .cap = cap};
    run_flat(s, &r, soft_cap_task);
}

/* Rows are as wide as a vocabulary: in pieces. */
static void soft_cap_back_task(void *context, size_t task, int worker)
{
    const struct rows_run *r = context;
    size_t rows, i = span(r, task, &rows);
    for (; rows--; i++)
        for (size_t k = 0, n; k < r->width; k += n) {
            n = piece(r->width - k);
            float *dz = change_as(r, r->number, spare(r, worker, 0, n), r->y, i * r->ldy + k, n);
            r->c->k.soft_cap_back(dz, (const float *)r->a + i * r->width + k, r->cap, n);
            put(r, r->y, i * r->ldy + k, n, dz);
        }
}

void cpu_soft_cap_back(struct stream *s, struct buf dz, enum number number, size_t ld, struct buf z, float cap,
                       size_t rows, size_t width)
{
    struct rows_run r = {.c = cpu_of(s),
                         .number = number,
                         .y = cpu_pointer(dz),
                         .ldy = ld,
                         .a = cpu_pointer(z),
                         .rows = rows,
                         .width = width,
                         .cap = cap};
    run(s, &r, soft_cap_back_task);
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
