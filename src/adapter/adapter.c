/* adapter.c — adapters and sets as counted, immutable objects. */
#include "adapter/file.h"

#include <math.h>
#include <string.h>

/* ---- adapters ------------------------------------------------------------------------------- */

static void adapter_free(struct lorac_adapter *a)
{
    struct lorac_runtime *runtime = a->runtime;
    struct lorac_model *model = a->model;
    runtime->backend->kernels->buffer_free(runtime->backend, a->numbers.wide);
    runtime->backend->kernels->buffer_free(runtime->backend, a->numbers.narrow);
    mem_free(&runtime->memory, a->layout.modules);
    mem_free(&runtime->memory, a->path);
    mem_free(&runtime->memory, a);
    lorac_model_release(model);
}

static lorac_status store(struct backend *b, const void *numbers, size_t bytes, struct buffer **buffer,
                          lorac_error *err)
{
    struct stream s = {.backend = b};
    TRY(b->kernels->buffer_create(b, bytes, buffer, err));
    b->kernels->upload(&s, (struct buf){*buffer, 0}, numbers, bytes);
    return LORAC_OK;
}

static lorac_status store_numbers(struct lorac_adapter *a, const float *floats, lorac_error *err)
{
    struct memory *m = &a->runtime->memory;
    size_t n = a->layout.floats;
    uint16_t *narrow = mem_array(m, n, sizeof *narrow);
    bool exact = true;
    if (!narrow) return fail_memory(err, "an adapter", n * sizeof *narrow);
    for (size_t i = 0; i < n; i++) {
        narrow[i] = float_to_bf16(floats[i]);
        exact &= bf16_to_float(narrow[i]) == floats[i];
    }
    lorac_status status = store(a->runtime->backend, narrow, n * sizeof *narrow, &a->numbers.narrow, err);
    mem_free(m, narrow);
    if (status != LORAC_OK || exact) return status;
    return store(a->runtime->backend, floats, n * sizeof *floats, &a->numbers.wide, err);
}

static lorac_status fill(struct lorac_adapter *a, const float *floats, const char *path, lorac_error *err)
{
    struct adapter_file file;
    a->path = mem_text(&a->runtime->memory, path, strlen(path));
    if (!a->path) return fail_memory(err, "a path", strlen(path));
    TRY(file_of_layout(&a->runtime->memory, &a->layout, floats, &file, err));
    lorac_status status = file_hash(&file, a->hash, err);
    file_close(&file);
    return status == LORAC_OK ? store_numbers(a, floats, err) : status;
}

lorac_status adapter_create(struct lorac_runtime *runtime, struct lorac_model *model, size_t linears,
                            struct adapter_layout *layout, const float *floats, const char *path,
                            struct lorac_adapter **adapter, lorac_error *err)
{
    struct lorac_adapter *a = mem_alloc(&runtime->memory, sizeof *a);
    if (!a) return fail_memory(err, "an adapter", sizeof *a);
    *a = (struct lorac_adapter){
        .references = 1, .runtime = runtime, .model = model, .linears = linears, .layout = *layout};
    *layout = (struct adapter_layout){0};
    lorac_model_retain(model);
    lorac_status status = fill(a, floats, path, err);
    if (status == LORAC_OK)
        *adapter = a;
    else
        adapter_free(a);
    return status;
}

void lorac_adapter_retain(lorac_adapter *adapter)
{
    adapter->references++;
}

void lorac_adapter_release(lorac_adapter *adapter)
{
    if (adapter && --adapter->references == 0) adapter_free(adapter);
}

void lorac_adapter_get_info(const lorac_adapter *a, lorac_adapter_info *info)
{
    size_t size = info->struct_size;
    lorac_adapter_info full = {.struct_size = size,
                               .path = a->path,
                               .modules = a->layout.count,
                               .scale = a->layout.count ? a->layout.modules[0].scale : 0};
    for (size_t i = 0; i < a->layout.count; i++) {
        const struct adapter_module *m = &a->layout.modules[i];
        full.parameters += m->rank * (module_rows(m) + m->linear->weight.cols);
        if (m->rank > full.rank) full.rank = m->rank;
    }
    hash_text(a->hash, full.hash);
    memcpy(info, &full, size < sizeof full ? size : sizeof full);
}

/* ---- sets ----------------------------------------------------------------------------------- */

static void set_free(struct lorac_adapter_set *set)
{
    struct memory *m = &set->runtime->memory;
    for (size_t i = 0; i < set->count; i++) lorac_adapter_release(set->adapters[i]);
    mem_free(m, set->adapters);
    mem_free(m, set->begin);
    mem_free(m, set->terms);
    mem_free(m, set);
}

/* Terms by linear, within a linear in the order of the adapters. */
static void fill_terms(struct lorac_adapter_set *set, const double *factors, size_t linears)
{
    uint32_t at = 0;
    for (size_t l = 0; l < linears; l++) {
        size_t rank = 0;
        set->begin[l] = at;
        for (size_t i = 0; i < set->count; i++)
            for (size_t k = 0; factors[i] != 0 && k < set->adapters[i]->layout.count; k++) {
                const struct adapter_module *m = &set->adapters[i]->layout.modules[k];
                size_t part = l - m->linear->index;
                if (l < m->linear->index || part >= m->linear->parts) continue;
                set->terms[at++] = layout_term(m, part, &set->adapters[i]->numbers, NULL, factors[i]);
                rank += m->rank;
            }
        if (rank > set->rank) set->rank = rank;
    }
    set->begin[linears] = at;
    set->table = (struct term_table){set->begin, set->terms};
}

static lorac_status check_members(lorac_adapter *const *adapters, const double *factors, size_t count, lorac_error *err)
{
    if (!count)
        return fail(err, LORAC_INVALID_ARGUMENT, NULL,
                    "a set needs at least one adapter; use no set for the base alone");
    for (size_t i = 0; i < count; i++) {
        if (adapters[i]->model != adapters[0]->model)
            return fail(err, LORAC_MISMATCH, adapters[i]->path, "was opened for another model than \"%s\"",
                        adapters[0]->path);
        if (!isfinite(factors[i]))
            return fail(err, LORAC_INVALID_ARGUMENT, adapters[i]->path, "the scale is not a finite number");
    }
    return LORAC_OK;
}

lorac_status lorac_adapter_set_create(lorac_adapter *const *adapters, const double *factors, size_t count,
                                      lorac_adapter_set **set, lorac_error *err)
{
    TRY(check_members(adapters, factors, count, err));
    struct lorac_runtime *runtime = adapters[0]->runtime;
    struct memory *m = &runtime->memory;
    size_t terms = 0, linears = adapters[0]->linears;
    for (size_t i = 0; i < count; i++)
        for (size_t k = 0; k < adapters[i]->layout.count; k++) terms += adapters[i]->layout.modules[k].linear->parts;
    struct lorac_adapter_set *s = mem_alloc(m, sizeof *s);
    if (!s) return fail_memory(err, "an adapter set", sizeof *s);
    *s = (struct lorac_adapter_set){.references = 1, .runtime = runtime};
    s->adapters = mem_array(m, count, sizeof(lorac_adapter *));
    s->begin = mem_array(m, linears + 1, sizeof *s->begin);
    s->terms = mem_array(m, terms, sizeof *s->terms);
    if (!s->adapters || !s->begin || !s->terms) {
        set_free(s);
        return fail_memory(err, "an adapter set", terms * sizeof *s->terms);
    }
    for (; s->count < count; s->count++) lorac_adapter_retain(s->adapters[s->count] = adapters[s->count]);
    fill_terms(s, factors, linears);
    *set = s;
    return LORAC_OK;
}

void lorac_adapter_set_retain(lorac_adapter_set *set)
{
    set->references++;
}

void lorac_adapter_set_release(lorac_adapter_set *set)
{
    if (set && --set->references == 0) set_free(set);
}
