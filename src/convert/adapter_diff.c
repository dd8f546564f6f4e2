/* adapter_diff.c — lorac_adapter_compare: which modules of two adapters differ, in what, and how much. */
#include "convert/adapter_open.h"

#include <lorac/adapter_file.h>

#include <math.h>
#include <string.h>

struct diff {
    struct memory *memory;
    const struct adapter_file *files[2];
    json_t *modules;       /* those that differ */
    double distance, norm; /* squares, of all modules */
    size_t compared, different;
};

static void say(json_t *list, const char *what)
{
    json_array_append_new(list, json_string(what));
}

static bool same_numbers(const struct matrix *a, const struct matrix *b)
{
    if (!a->data || !b->data) return a->data == b->data;
    if (a->rows != b->rows || a->cols != b->cols) return false;
    for (size_t r = 0; r < a->rows; r++)
        for (size_t c = 0; c < a->cols; c++)
            if (matrix_at(a, r, c) != matrix_at(b, r, c)) return false;
    return true;
}

/* ---- modules -------------------------------------------------------------------------------- */

static json_t *pair_json(const struct file_module *m)
{
    return json_pack("{s:I, s:I, s:I, s:f}", "rank", (json_int_t)m->a.rows, "in", (json_int_t)m->a.cols, "out",
                     (json_int_t)m->b.rows, "scale", m->scale);
}

static void report(struct diff *d, const char *name, json_t *what, const struct file_module *const pair[2],
                   double relative)
{
    json_t *o = json_object();
    json_object_set_new(o, "name", json_string(name));
    json_object_set(o, "differs", what);
    json_object_set_new(o, "distance", isfinite(relative) ? json_real(relative) : json_null());
    json_object_set_new(o, "first", pair[0] ? pair_json(pair[0]) : json_null());
    json_object_set_new(o, "second", pair[1] ? pair_json(pair[1]) : json_null());
    json_array_append_new(d->modules, o);
    d->different++;
}

/* A module that one of them lacks: the whole of it is the difference. */
static lorac_status missing(struct diff *d, const struct file_module *m, int lacking, lorac_error *err)
{
    const struct file_module *const pair[2] = {lacking ? m : NULL, lacking ? NULL : m};
    double norm;
    TRY(module_norm(d->memory, m, &norm, err));
    json_t *what = json_array();
    say(what, lacking ? "missing in second" : "missing in first");
    d->distance += norm * norm;
    if (lacking) d->norm += norm * norm;
    report(d, m->name, what, pair, lacking ? 1 : INFINITY);
    json_decref(what);
    return LORAC_OK;
}

static lorac_status measure(struct diff *d, const struct file_module *a, const struct file_module *b, double *relative,
                            lorac_error *err)
{
    double distance, norm;
    TRY(module_norm(d->memory, a, &norm, err));
    TRY(module_distance(d->memory, a, b, &distance, err));
    d->distance += distance * distance;
    d->norm += norm * norm;
    *relative = distance == 0 ? 0 : distance / norm;
    return LORAC_OK;
}

/* Programs multiply with floats, and GGUF holds one: scales that agree so far are the same. */
static bool same_scale(double a, double b)
{
    return fabs(a - b) <= 0x1p-22 * fabs(a);
}

static lorac_status compare(struct diff *d, const struct file_module *a, const struct file_module *other,
                            lorac_error *err)
{
    struct file_module second = *other, *b = &second;
    const struct file_module *const pair[2] = {a, other};
    bool shape = a->a.cols == b->a.cols && a->b.rows == b->b.rows, dora = a->magnitude.data && b->magnitude.data;
    double relative = INFINITY;
    lorac_status status = LORAC_OK;
    json_t *what = json_array();
    if (!shape) say(what, "shape");
    if (a->a.rows != b->a.rows) say(what, "rank");
    if (!same_scale(a->scale, b->scale)) say(what, "scale");
    if (same_scale(a->scale, b->scale)) b->scale = a->scale;
    if (!dora && (a->magnitude.data || b->magnitude.data)) say(what, "dora");
    if (dora && !same_numbers(&a->magnitude, &b->magnitude)) say(what, "magnitude");
    if (!same_numbers(&a->bias, &b->bias)) say(what, "bias");
    if (shape) status = measure(d, a, b, &relative, err);
    if (status == LORAC_OK && shape && relative > 0) say(what, "values");
    d->compared++;
    if (status == LORAC_OK && json_array_size(what)) report(d, a->name, what, pair, relative);
    json_decref(what);
    return status;
}

static lorac_status compare_modules(struct diff *d, lorac_error *err)
{
    const struct adapter_file *a = d->files[0], *b = d->files[1];
    for (size_t i = 0; i < a->modules.count; i++) {
        const struct file_module *m = &file_modules(a)[i], *other = file_find(b, m->name);
        TRY(other ? compare(d, m, other, err) : missing(d, m, 1, err));
    }
    for (size_t i = 0; i < b->modules.count; i++)
        if (!file_find(a, file_modules(b)[i].name)) TRY(missing(d, &file_modules(b)[i], 0, err));
    if (d->compared || !a->modules.count || !b->modules.count) return LORAC_OK;
    return fail(err, LORAC_MISMATCH, b->path,
                "no module of it is one of %s (\"%s\", \"%s\"): for formats that name modules otherwise, give --model",
                a->path, file_modules(a)->name, file_modules(b)->name);
}

/* ---- whole tensors -------------------------------------------------------------------------- */

static const struct st_tensor *whole_named(const struct adapter_file *f, const char *name)
{
    for (size_t i = 0; i < f->whole_count; i++)
        if (!strcmp(f->whole[i].name, name)) return &f->whole[i];
    return NULL;
}

static json_t *compare_whole(struct diff *d)
{
    json_t *names = json_array();
    for (int side = 0; side < 2; side++)
        for (size_t i = 0; i < d->files[side]->whole_count; i++) {
            const struct st_tensor *t = &d->files[side]->whole[i], *o = whole_named(d->files[!side], t->name);
            bool same = o && o->dtype == t->dtype && o->bytes == t->bytes && !memcmp(o->data, t->data, t->bytes);
            if (!same && !(side && o)) say(names, t->name);
        }
    d->different += json_array_size(names);
    return names;
}

/* ---- all ------------------------------------------------------------------------------------ */

static lorac_status compare_files(struct diff *d, char **json, lorac_error *err)
{
    json_t *out = json_object(), *whole = compare_whole(d);
    lorac_status status = compare_modules(d, err);
    double distance = d->distance > 0 ? sqrt(d->distance / d->norm) : 0;
    json_object_set_new(out, "equal", json_boolean(!d->different));
    json_object_set_new(out, "distance", isfinite(distance) ? json_real(distance) : json_null());
    json_object_set_new(out, "compared", json_integer((json_int_t)d->compared));
    json_object_set(out, "modules", d->modules);
    if (json_array_size(whole)) json_object_set(out, "other_tensors", whole);
    if (status == LORAC_OK) status = json_hand_out(d->memory, out, json, err);
    json_decref(whole);
    json_decref(out);
    return status;
}

lorac_status lorac_adapter_compare(lorac_runtime *runtime, const char *first, const char *second, const char *base,
                                   char **json, lorac_error *err)
{
    struct memory *m = &runtime->memory;
    struct outline outline = {0};
    struct adapter_file a, b;
    *json = NULL;
    if (base) TRY(outline_open(m, base, &outline, err));
    lorac_status status = adapter_open(m, first, base ? &outline : NULL, &a, err);
    if (status == LORAC_OK) {
        status = adapter_open(m, second, base ? &outline : NULL, &b, err);
        if (status == LORAC_OK) {
            struct diff d = {.memory = m, .files = {&a, &b}, .modules = json_array()};
            status = compare_files(&d, json, err);
            json_decref(d.modules);
            file_close(&b);
        }
        file_close(&a);
    }
    outline_close(&outline);
    return status;
}
