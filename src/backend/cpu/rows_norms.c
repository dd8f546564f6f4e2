/* rows_norms.c — normalisation of rows and the weights of their columns on the CPU. */
#include "backend/cpu/rows_run.h"

#include <string.h>

static void normalize_task(void *context, size_t task, int worker)
{
    const struct rows_run *r = context;
    const struct normalize *a = r->norm;
    size_t n, i = span(r, task, &n);
    for (; n--; i++) {
        const float *x = get_as(r, r->x_number, worker, 1, r->a, i * r->width, r->width);
        float *y = room(r, worker, 0, r->y, i * r->width, r->width);
        if (a->centred) {
            r->c->k.center(y, x, r->width);
            x = y;
        }
        r->c->k.normalize(y, (float *)r->z + i, x, 1, r->width, a->eps);
        put(r, r->y, i * r->width, r->width, y);
    }
}

void cpu_normalize(struct stream *s, const struct normalize *a)
{
    struct rows_run r = {.c = cpu_of(s),
                         .number = a->number,
                         .x_number = a->x_number,
                         .y = cpu_pointer(a->y),
                         .z = cpu_pointer(a->scale),
                         .a = cpu_pointer(a->x),
                         .rows = a->rows,
                         .width = a->width,
                         .norm = a};
    run(s, &r, normalize_task);
}

static void normalize_back_task(void *context, size_t task, int worker)
{
    const struct rows_run *r = context;
    const struct normalize *a = r->norm;
    size_t n, i = span(r, task, &n);
    for (; n--; i++) {
        size_t at = i * r->width;
        const float *dy = get(r, worker, 0, r->a, at, r->width), *y = get(r, worker, 1, r->b, at, r->width);
        float *dx = change_as(r, r->x_number, r->c->scratch[worker].rows, r->y, at, r->width);
        if (a->centred) {
            float *centred = spare(r, worker, 0, r->width);
            r->c->k.center(centred, dy, r->width);
            dy = centred;
        }
        r->c->k.normalize_back(dx, dy, y, (const float *)r->z + i, 1, r->width);
        put_as(r, r->x_number, r->y, at, r->width, dx);
    }
}

void cpu_normalize_back(struct stream *s, const struct normalize *a)
{
    struct rows_run r = {.c = cpu_of(s),
                         .number = a->number,
                         .x_number = a->x_number,
                         .y = cpu_pointer(a->dx),
                         .z = cpu_pointer(a->scale),
                         .a = cpu_pointer(a->dy),
                         .b = cpu_pointer(a->y),
                         .rows = a->rows,
                         .width = a->width,
                         .norm = a};
    run(s, &r, normalize_back_task);
}

static void scale_columns_task(void *context, size_t task, int worker)
{
    const struct rows_run *r = context;
    size_t n, i = span(r, task, &n);
    for (; n--; i++) {
        const float *x = get(r, worker, 0, r->a, i * r->width, r->width);
        float *y = room(r, worker, 0, r->y, i * r->width, r->width);
        if (r->b)
            r->c->k.multiply(y, x, r->b, r->width);
        else if (y != x)
            memcpy(y, x, r->width * sizeof *y);
        if (r->d) r->c->k.axpy(y, r->d, 1, r->width);
        put(r, r->y, i * r->width, r->width, y);
    }
}

void cpu_scale_columns(struct stream *s, struct buf y, struct buf x, enum number number, struct buf w, struct buf b,
                       size_t rows, size_t width)
{
    struct rows_run r = {.c = cpu_of(s),
                         .number = number,
                         .y = cpu_pointer(y),
                         .a = cpu_pointer(x),
                         .b = cpu_pointer(w),
                         .d = cpu_pointer(b),
                         .rows = rows,
                         .width = width};
    run(s, &r, scale_columns_task);
}
