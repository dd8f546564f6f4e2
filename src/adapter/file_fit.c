/* file_fit.c — an adapter's file against a base: the modules get the base's Hugging Face names and order of rows, what
 * mlx-lm or a GGUF has as several modules becomes the base's one, and every shape must be the base's. See file.h. */
#include "adapter/file.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_LISTED = 6 };

/* Where a module of the file belongs. */
struct place {
    const struct file_module *module;
    const struct linear *linear; /* the first of the base's module; NULL: nowhere */
    size_t part, parts;          /* the file has it as several: which one this is, of how many */
    bool renamed;                /* the format would have spelled it otherwise */
};

/* ---- names ---------------------------------------------------------------------------------- */

/* The module whose name this is, or whose part mlx-lm calls so. */
static bool place_named(const struct linear_list *base, const char *name, struct place *place)
{
    char parts[MODULE_PARTS][MODULE_NAME];
    for (size_t i = 0; i < base->count; i++) {
        const struct linear *l = &base->items[i];
        if (l->part) continue;
        *place = (struct place){.module = place->module, .linear = l, .renamed = place->renamed};
        if (!strcmp(l->name, name)) return true;
        place->parts = base->names.splits ? module_parts(&base->names, l->name, parts) : 0;
        for (place->part = 0; place->part < place->parts; place->part++)
            if (!strcmp(parts[place->part], name)) return true;
    }
    place->linear = NULL;
    return false;
}

/* A language model's adapter is the same whether it was trained with the rest of a model that also sees or without:
 * the name's start may be any that programs give it. */
static void find_in_folder(const struct linear_list *base, enum adapter_format format, struct place *place)
{
    const struct module_names *n = &base->names;
    const char *const own = format == ADAPTER_MLX ? n->mlx : n->peft, *found = place->module->name;
    const char *const starts[] = {own, n->own, n->peft, n->mlx, "model.language_model.", "language_model.model."};
    char name[MODULE_NAME];
    for (size_t i = 0; i < sizeof starts / sizeof *starts; i++) {
        size_t length = strlen(starts[i]);
        place->renamed = strcmp(starts[i], own) != 0;
        if (!strncmp(found, starts[i], length) &&
            snprintf(name, sizeof name, "%s%s", n->own, found + length) < MODULE_NAME && place_named(base, name, place))
            return;
    }
    place->renamed = false;
    place_named(base, found, place);
}

/* Parts of a module may share a tensor: then the file has all of it in one. */
static void find_in_gguf(const struct gguf_form *g, struct place *place)
{
    for (size_t i = 0; i < g->count && !place->linear; i++) {
        const struct linear *l = &g->linears[i];
        if (strcmp(g->tensors[i], place->module->name)) continue;
        bool shared = l->parts > 1 && !strcmp(g->tensors[i - l->part], g->tensors[i - l->part + 1]);
        place->linear = l - l->part;
        place->part = shared ? 0 : l->part;
        place->parts = shared ? 1 : l->parts;
    }
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
        places[i].module = &file_modules(f)[i];
        if (f->format == ADAPTER_GGUF)
            find_in_gguf(base->gguf, &places[i]);
        else
            find_in_folder(base, f->format, &places[i]);
        f->renamed |= places[i].renamed;
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

static lorac_status check_shape(const struct adapter_file *f, const struct place *p, lorac_error *err)
{
    const struct file_module *m = p->module;
    size_t in = p->linear->weight.cols, out = place_rows(p), rank = m->a.rows;
    if (m->a.cols != in)
        return fail(err, LORAC_MISMATCH, f->path, "\"%s\": lora_A is %zu x %zu, the base needs %zu x %zu", m->name,
                    rank, m->a.cols, rank, in);
    if (m->b.rows != out)
        return fail(err, LORAC_MISMATCH, f->path, "\"%s\": lora_B is %zu x %zu, the base needs %zu x %zu", m->name,
                    m->b.rows, rank, out, rank);
    return LORAC_OK;
}

/* ---- several modules that are one ----------------------------------------------------------- */

static bool same_matrix(const struct matrix *a, const struct matrix *b)
{
    return a->dtype == b->dtype && a->rows == b->rows && a->cols == b->cols && a->transposed == b->transposed &&
           !memcmp(a->data, b->data, a->rows * a->cols * st_dtype_bytes(a->dtype));
}

/* Outputs that one A makes, as where the module was written as several, need it once. */
static size_t joined_rank(const struct place *places, size_t count, bool *shared)
{
    size_t rank = 0;
    *shared = true;
    for (size_t i = 0; i < count; i++) {
        *shared &= same_matrix(&places[i].module->a, &places->module->a);
        rank += places[i].module->a.rows;
    }
    return *shared ? places->module->a.rows : rank;
}

/* The rows of B that the part adapts, `first` ranks from the left. */
static void join_part(const struct place *p, size_t first, float *a, float *b, size_t rank)
{
    const struct file_module *m = p->module;
    for (size_t r = 0; r < m->a.rows; r++)
        for (size_t c = 0; c < m->a.cols; c++) a[(first + r) * m->a.cols + c] = matrix_at(&m->a, r, c);
    for (size_t r = 0; r < m->b.rows; r++)
        for (size_t c = 0; c < m->b.cols; c++)
            b[linear_hf_row(&p->linear[p->part], r) * rank + first + c] = matrix_at(&m->b, r, c);
}

static lorac_status join(struct adapter_file *f, const struct place *places, size_t count, struct file_module *joined,
                         lorac_error *err)
{
    const struct linear *l = places->linear;
    bool shared;
    size_t rank = joined_rank(places, count, &shared), first = 0;
    float *a, *b;
    *joined = (struct file_module){.scale = places->module->scale};
    TRY(file_room(f, rank, l->weight.cols, &joined->a, &a, err));
    TRY(file_room(f, module_rows(&(struct adapter_module){.linear = l}), rank, &joined->b, &b, err));
    for (size_t i = 0; i < count; i++) {
        const struct file_module *m = places[i].module;
        if (m->magnitude.data || m->scale != joined->scale)
            return fail(err, LORAC_UNSUPPORTED, f->path,
                        "\"%s\" is a part of the base's \"%s\", which cannot have DoRA or a scale of its own", m->name,
                        l->name);
        join_part(&places[i], first, a, b, rank);
        if (!shared) first += m->a.rows;
    }
    f->renamed = true;
    return LORAC_OK;
}

/* ---- rows ----------------------------------------------------------------------------------- */

/* B as Hugging Face has it, of a module that a GGUF has in one tensor. */
static lorac_status turn_rows(struct adapter_file *f, const struct linear *l, struct file_module *m, lorac_error *err)
{
    const struct adapter_module module = {.linear = l};
    bool turned = false;
    for (size_t p = 0; p < l->parts; p++) turned |= l[p].order.head_dim != 0;
    if (!turned) return LORAC_OK;
    struct matrix from = m->b;
    float *b;
    TRY(file_room(f, from.rows, from.cols, &m->b, &b, err));
    for (size_t r = 0; r < from.rows; r++)
        for (size_t c = 0; c < from.cols; c++) b[r * from.cols + c] = matrix_at(&from, module_row(&module, r), c);
    return LORAC_OK;
}

/* ---- all ------------------------------------------------------------------------------------ */

static int by_place(const void *a, const void *b)
{
    const struct place *x = a, *y = b;
    if (x->linear != y->linear) return x->linear->index < y->linear->index ? -1 : 1;
    return (x->part > y->part) - (x->part < y->part);
}

/* One module of the base from `count` of the file. */
static lorac_status fit_module(struct adapter_file *f, const struct place *places, size_t count,
                               struct file_module *module, lorac_error *err)
{
    *module = *places->module;
    for (size_t i = 1; i < count; i++)
        if (places[i].part == places[i - 1].part)
            return fail(err, LORAC_FORMAT, f->path, "\"%s\" and \"%s\" are one module of the base",
                        places[i - 1].module->name, places[i].module->name);
    if (places->parts > 1)
        TRY(join(f, places, count, module, err));
    else if (f->format == ADAPTER_GGUF)
        TRY(turn_rows(f, places->linear, module, err));
    snprintf(module->name, sizeof module->name, "%s", places->linear->name);
    return LORAC_OK;
}

static lorac_status fit_all(struct adapter_file *f, struct place *places, lorac_error *err)
{
    struct list fitted = {.memory = f->memory, .size = sizeof(struct file_module)};
    lorac_status status = LORAC_OK;
    qsort(places, f->modules.count, sizeof *places, by_place);
    for (size_t i = 0, n; i < f->modules.count && status == LORAC_OK; i += n) {
        struct file_module *module = list_add(&fitted);
        for (n = 1; i + n < f->modules.count && places[i + n].linear == places[i].linear;) n++;
        status =
            module ? fit_module(f, &places[i], n, module, err) : fail_memory(err, "an adapter's modules", fitted.count);
    }
    list_free(status == LORAC_OK ? &f->modules : &fitted);
    if (status == LORAC_OK) f->modules = fitted;
    file_sort(f);
    return status;
}

static lorac_status check_architecture(const struct adapter_file *f, const struct gguf_form *g, lorac_error *err)
{
    char *own;
    if (!g || !g->architecture)
        return fail(err, LORAC_UNSUPPORTED, f->path, "llama.cpp does not know the base's family as it is");
    TRY(gguf_get_text(&f->gguf, "general.architecture", &own, err));
    lorac_status status = LORAC_OK;
    if (!own || strcmp(own, g->architecture))
        status = fail(err, LORAC_MISMATCH, f->path, "is an adapter of the architecture \"%s\", the base's is \"%s\"",
                      own ? own : "", g->architecture);
    mem_free(f->gguf.memory, own);
    return status;
}

lorac_status file_fit(struct adapter_file *f, const struct linear_list *base, lorac_error *err)
{
    if (f->format == ADAPTER_GGUF) TRY(check_architecture(f, base->gguf, err));
    if (!f->modules.count) return LORAC_OK;
    struct place *places = mem_array(f->memory, f->modules.count, sizeof *places);
    if (!places) return fail_memory(err, "an adapter's modules", f->modules.count * sizeof *places);
    lorac_status status = find_places(f, base, places, err);
    for (size_t i = 0; i < f->modules.count && status == LORAC_OK; i++) status = check_shape(f, &places[i], err);
    if (status == LORAC_OK) status = fit_all(f, places, err);
    mem_free(f->memory, places);
    return status;
}
