/* file_fit.c — an adapter's file against a base: the modules get the base's Hugging Face names, modules that mlx-lm has
 * apart become the base's one, and every shape must be the base's. See file.h. */
#include "adapter/file.h"

#include <stdio.h>
#include <string.h>

enum { MAX_LISTED = 6 };

/* Where a module of the file belongs. */
struct place {
    const struct linear *linear; /* NULL: nowhere */
    size_t part, parts;          /* mlx-lm's part of it; of 1 or none: all of it */
};

/* ---- names ---------------------------------------------------------------------------------- */

/* The module whose name this is, or whose part mlx-lm calls so. */
static struct place place_named(const struct linear_list *base, const char *name)
{
    char parts[MODULE_PARTS][MODULE_NAME];
    for (size_t i = 0; i < base->count; i++) {
        const struct linear *l = &base->items[i];
        if (l->part) continue;
        if (!strcmp(l->name, name)) return (struct place){l, 0, 1};
        size_t count = base->names.splits ? module_parts(&base->names, l->name, parts) : 0;
        for (size_t p = 0; p < count; p++)
            if (!strcmp(parts[p], name)) return (struct place){l, p, count};
    }
    return (struct place){0};
}

/* A language model's adapter is the same whether it was trained with the rest of a model that also sees or without:
 * the name's start may be any that programs give it. */
static struct place find_place(const struct linear_list *base, enum adapter_format format, const char *found,
                               bool *renamed)
{
    const struct module_names *n = &base->names;
    const char *const own[ADAPTER_FORMATS] = {n->peft, n->mlx, n->own};
    const char *const starts[] = {own[format], n->own, n->peft, n->mlx, "model.language_model.",
                                  "language_model.model."};
    struct place place = {0};
    char name[MODULE_NAME];
    for (size_t i = 0; i < sizeof starts / sizeof *starts && !place.linear; i++) {
        size_t length = strlen(starts[i]);
        if (strncmp(found, starts[i], length) ||
            snprintf(name, sizeof name, "%s%s", n->own, found + length) >= MODULE_NAME)
            continue;
        place = place_named(base, name);
        *renamed = strcmp(starts[i], own[format]) != 0;
    }
    if (place.linear) return place;
    *renamed = false;
    return place_named(base, found);
}

static lorac_status fail_unmatched(const struct adapter_file *f, const struct place *places, lorac_error *err)
{
    struct text list = {.memory = f->memory};
    size_t unmatched = 0;
    for (size_t i = 0; i < f->modules.count; i++)
        if (!places[i].linear && unmatched++ < MAX_LISTED)
            text_printf(&list, "%s%s", list.length ? ", " : "", file_modules(f)[i].name);
    lorac_status status =
        fail(err, LORAC_MISMATCH, f->path,
             "%zu of %zu modules match nothing in the base model: %s%s (was the adapter made for another model?)",
             unmatched, f->modules.count, list.data ? list.data : "?", unmatched > MAX_LISTED ? ", ..." : "");
    text_free(&list);
    return status;
}

static lorac_status find_places(struct adapter_file *f, const struct linear_list *base, struct place *places,
                                lorac_error *err)
{
    bool all = true;
    for (size_t i = 0; i < f->modules.count; i++) {
        bool renamed;
        places[i] = find_place(base, f->format, file_modules(f)[i].name, &renamed);
        f->renamed |= renamed;
        all &= places[i].linear != NULL;
    }
    return all ? LORAC_OK : fail_unmatched(f, places, err);
}

/* ---- shapes --------------------------------------------------------------------------------- */

static size_t place_rows(const struct place *p)
{
    if (p->parts > 1) return p->linear[p->part].weight.rows;
    return module_rows(&(struct adapter_module){.linear = p->linear});
}

static lorac_status check_shape(const struct adapter_file *f, const struct file_module *m, const struct place *p,
                                lorac_error *err)
{
    size_t in = p->linear->weight.cols, out = place_rows(p), rank = m->a.rows;
    if (m->a.cols != in)
        return fail(err, LORAC_MISMATCH, f->path, "\"%s\": lora_A is %zu x %zu, the base needs %zu x %zu", m->name,
                    rank, m->a.cols, rank, in);
    if (m->b.rows != out)
        return fail(err, LORAC_MISMATCH, f->path, "\"%s\": lora_B is %zu x %zu, the base needs %zu x %zu", m->name,
                    m->b.rows, rank, out, rank);
    return LORAC_OK;
}

/* ---- parts of one module -------------------------------------------------------------------- */

static bool same_matrix(const struct matrix *a, const struct matrix *b)
{
    return a->dtype == b->dtype && a->rows == b->rows && a->cols == b->cols && a->transposed == b->transposed &&
           !memcmp(a->data, b->data, a->rows * a->cols * st_dtype_bytes(a->dtype));
}

/* Rows and columns of *to from `row` and `col` on. */
static void copy_into(float *to, size_t width, const struct matrix *from, size_t row, size_t col)
{
    for (size_t r = 0; r < from->rows; r++)
        for (size_t c = 0; c < from->cols; c++) to[(row + r) * width + col + c] = matrix_at(from, r, c);
}

/* The pair of a module whose outputs `parts` adapt, a few rows each: ranks one behind the other, but where one A makes
 * all outputs, as where the module was written as several, it is needed once. */
static lorac_status join(struct adapter_file *f, const struct file_module *parts, const struct place *places,
                         size_t count, struct file_module *joined, lorac_error *err)
{
    const struct linear *l = places->linear;
    size_t in = l->weight.cols, out = module_rows(&(struct adapter_module){.linear = l}), rank = 0, row = 0;
    bool shared = true, dora = false;
    float *a, *b;
    for (size_t i = 0; i < count; i++) {
        shared &= same_matrix(&parts[i].a, &parts->a);
        dora |= parts[i].magnitude.data != NULL;
        rank += parts[i].a.rows;
    }
    if (dora) return fail(err, LORAC_UNSUPPORTED, f->path, "\"%s\" is one module of the base's several", parts->name);
    if (shared) rank = parts->a.rows;
    TRY(file_room(f, rank, in, &joined->a, &a, err));
    TRY(file_room(f, out, rank, &joined->b, &b, err));
    for (size_t i = 0, first = 0; i < count; i++) {
        for (size_t p = row = 0; p < places[i].part; p++) row += l[p].weight.rows;
        copy_into(a, in, &parts[i].a, shared ? 0 : first, 0);
        copy_into(b, rank, &parts[i].b, row, shared ? 0 : first);
        first += parts[i].a.rows;
    }
    joined->scale = parts->scale;
    return LORAC_OK;
}

/* ---- all ------------------------------------------------------------------------------------ */

/* The file's modules become the base's, each once. */
static lorac_status rename_all(struct adapter_file *f, const struct place *places, lorac_error *err)
{
    struct file_module *list = f->modules.items;
    size_t count = 0;
    for (size_t i = 0, n; i < f->modules.count; i += n) {
        struct file_module module = list[i];
        for (n = 1; i + n < f->modules.count && places[i + n].linear == places[i].linear; n++) {}
        if (places[i].parts > 1)
            TRY(join(f, &list[i], &places[i], n, &module, err));
        else if (n > 1)
            return fail(err, LORAC_FORMAT, f->path, "\"%s\" and \"%s\" are one module of the base", list[i].name,
                        list[i + 1].name);
        snprintf(module.name, sizeof module.name, "%s", places[i].linear->name);
        list[count++] = module;
    }
    f->modules.count = count;
    file_sort(f);
    return LORAC_OK;
}

lorac_status file_fit(struct adapter_file *f, const struct linear_list *base, lorac_error *err)
{
    struct place *places = mem_array(f->memory, f->modules.count, sizeof *places);
    if (!places) return fail_memory(err, "an adapter's modules", f->modules.count * sizeof *places);
    lorac_status status = find_places(f, base, places, err);
    for (size_t i = 0; i < f->modules.count && status == LORAC_OK; i++)
        status = check_shape(f, &file_modules(f)[i], &places[i], err);
    if (status == LORAC_OK) status = rename_all(f, places, err);
    mem_free(f->memory, places);
    return status;
}
