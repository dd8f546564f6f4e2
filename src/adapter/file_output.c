/* file_output.c — the tensors of an adapter that is being written, gathered in the form that the format has, and the
 * safetensors file of them. See file.h. */
#include "adapter/file.h"
#include "quant/format.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

void output_open(struct file_output *o, const struct adapter_file *f, const struct file_target *t)
{
    *o = (struct file_output){f, t, {.memory = f->memory, .size = sizeof(struct st_tensor)}};
}

void output_close(struct file_output *o)
{
    struct st_tensor *list = o->tensors.items;
    for (size_t i = 0; i < o->tensors.count; i++) {
        mem_free(o->file->memory, list[i].name);
        mem_free(o->file->memory, (uint8_t *)list[i].data);
    }
    list_free(&o->tensors);
}

static lorac_status add_tensor(struct file_output *o, const char *name, struct st_tensor t, uint8_t **data,
                               lorac_error *err)
{
    size_t bytes = st_dtype_bytes(t.dtype);
    for (size_t i = 0; i < t.dims; i++)
        if (!size_mul(bytes, t.shape[i], &bytes)) return fail_memory(err, name, SIZE_MAX);
    struct st_tensor *to = list_add(&o->tensors);
    if (!to) return fail_memory(err, "an adapter's tensors", o->tensors.count);
    *to = t;
    to->bytes = bytes;
    to->name = mem_text(o->file->memory, name, strlen(name));
    to->data = *data = mem_alloc(o->file->memory, bytes);
    return to->name && to->data ? LORAC_OK : fail_memory(err, "an adapter's tensor", bytes);
}

static void put(uint8_t *data, enum st_dtype dtype, size_t i, float x)
{
    uint16_t half = dtype == ST_F16 ? float_to_half(x) : float_to_bf16(x);
    if (dtype == ST_F32)
        memcpy(data + 4 * i, &x, 4);
    else
        memcpy(data + 2 * i, &half, 2);
}

static float get(const uint8_t *data, enum st_dtype dtype, size_t i)
{
    return matrix_at(&(struct matrix){data, dtype, 1, i + 1, false}, 0, i);
}

/* Whether x · factor is a float: its product as a double is exact, and survives as a float. */
static bool scaled(float x, double factor, float *y)
{
    double product = (double)x * factor;
    *y = (float)product;
    return fma((double)x, factor, -product) == 0 && (double)*y == product;
}

static lorac_status fail_factor(const struct file_output *o, const char *name, double factor, lorac_error *err)
{
    return fail(err, LORAC_UNSUPPORTED, o->file->path,
                "\"%s\": the format has one scale for all modules, this one's is %.9g times the first one's, and its "
                "numbers do not take that without rounding%s",
                name, factor, o->target->dtype == ST_F32 ? "" : "; float32 (--dtype) takes more");
}

/* One number of the matrix, times the factor, at place i of the tensor. */
static bool put_scaled(const struct file_output *o, struct st_tensor *t, uint8_t *data, size_t i, float x,
                       double factor)
{
    float y = x;
    if (factor != 1 && !scaled(x, factor, &y)) return false;
    put(data, t->dtype, i, y);
    return factor == 1 || o->target->dtype >= 0 || get(data, t->dtype, i) == y;
}

static size_t source_row(const struct output_form *form, size_t row)
{
    const struct linear *l = form->linear;
    if (!l) return form->first + row;
    for (; row >= l->weight.rows; l++) row -= l->weight.rows;
    return linear_hf_row(l, row);
}

lorac_status output_add(struct file_output *o, const char *name, const struct matrix *m, struct output_form form,
                        lorac_error *err)
{
    size_t height = form.height ? form.height : form.rows, width = form.width ? form.width : m->cols;
    struct st_tensor t = {.dtype = o->target->dtype < 0 ? m->dtype : (enum st_dtype)o->target->dtype,
                          .dims = form.vector ? 1 : 2,
                          .shape = {form.transposed ? width : height, form.transposed ? height : width}};
    uint8_t *data;
    TRY(add_tensor(o, name, t, &data, err));
    for (size_t r = 0; r < form.rows; r++)
        for (size_t c = 0; c < m->cols; c++)
            if (!put_scaled(o, &t, data, form.transposed ? c * height + r : r * width + c,
                            matrix_at(m, source_row(&form, r), c), form.factor))
                return fail_factor(o, name, form.factor, err);
    return LORAC_OK;
}

/* A tensor that is no part of a pair: another type of numbers is all that it can get. */
lorac_status output_copy(struct file_output *o, const char *prefix, const struct st_tensor *t, lorac_error *err)
{
    char name[2 * MODULE_NAME];
    uint8_t *data;
    bool number = t->dtype == ST_F32 || t->dtype == ST_F16 || t->dtype == ST_BF16;
    struct st_tensor copy = *t;
    if (snprintf(name, sizeof name, "%s%s", prefix, t->name) >= (int)sizeof name)
        return fail(err, LORAC_UNSUPPORTED, o->file->path, "the name \"%.80s...\" is too long", t->name);
    if (number && o->target->dtype >= 0) copy.dtype = (enum st_dtype)o->target->dtype;
    TRY(add_tensor(o, name, copy, &data, err));
    if (copy.dtype == t->dtype)
        memcpy(data, t->data, t->bytes);
    else
        for (size_t i = 0; i < t->bytes / st_dtype_bytes(t->dtype); i++)
            put(data, copy.dtype, i, get(t->data, t->dtype, i));
    return LORAC_OK;
}

lorac_status output_write(const struct file_output *o, const char *folder, const char *name, const char *format,
                          lorac_error *err)
{
    struct memory *m = o->file->memory;
    const char *const metadata[] = {"format", format};
    char *path = os_join(m, folder, name);
    if (!path) return fail_memory(err, "a path", strlen(folder));
    lorac_status status = safetensors_write(m, path, o->tensors.items, o->tensors.count, metadata, 1, err);
    mem_free(m, path);
    return status;
}
