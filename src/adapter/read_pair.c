/* read_pair.c — the tensors of an adapted module: found under the names that programs give them, held against the
 * base's shapes, copied into a layout's floats. See read.h. */
#include "adapter/read.h"

#include <stdio.h>
#include <string.h>

const struct dialect peft_dialect = {"base_model.model.",
                                     {".lora_A.weight", ".lora_A.default.weight"},
                                     {".lora_B.weight", ".lora_B.default.weight"},
                                     false};
const struct dialect mlx_dialect = {"", {".lora_a", ".lora_a"}, {".lora_b", ".lora_b"}, true};

/* ---- names ---------------------------------------------------------------------------------- */

/* A module's A or B, under any of the names that programs gave it: a language model's adapter is the same whether it
 * was trained with the rest of a model that also sees or without. */
static const struct st_tensor *find(const struct safetensors *file, const struct dialect *d,
                                    const struct module_names *names, const char *module, const char *const suffix[2])
{
    const char *const starts[] = {names->own, names->peft, names->mlx, "model.language_model.",
                                  "language_model.model."};
    char name[2 * MODULE_NAME], spelled[MODULE_NAME];
    for (size_t i = 0; i < 2 * sizeof starts / sizeof *starts; i++) {
        module_spell(names, starts[i / 2], module, spelled);
        snprintf(name, sizeof name, "%s%s%s", d->prefix, spelled, suffix[i % 2]);
        const struct st_tensor *t = safetensors_find(file, name);
        if (t) return t;
    }
    return NULL;
}

/* ---- shapes --------------------------------------------------------------------------------- */

static lorac_status shape_error(const struct safetensors *file, const struct st_tensor *t, size_t rows, size_t cols,
                                lorac_error *err)
{
    return fail(err, LORAC_MISMATCH, file->path, "tensor \"%s\" is %zu x %zu, the base needs %zu x %zu", t->name,
                t->dims > 0 ? t->shape[0] : 0, t->dims > 1 ? t->shape[1] : 0, rows, cols);
}

static lorac_status check_pair(const struct safetensors *file, const struct dialect *d, size_t in, struct pair *p,
                               lorac_error *err)
{
    const struct st_tensor *both[2] = {p->a, p->b};
    bool t = d->transposed;
    size_t rank = p->a->dims == 2 ? p->a->shape[t ? 1 : 0] : 0;
    if (!rank || rank > 65536 || p->a->shape[t ? 0 : 1] != in)
        return shape_error(file, p->a, t ? in : rank, t ? rank : in, err);
    if (p->b->dims != 2 || p->b->shape[t ? 0 : 1] != rank || p->b->shape[t ? 1 : 0] != p->rows)
        return shape_error(file, p->b, t ? rank : p->rows, t ? p->rows : rank, err);
    p->rank = rank;
    for (int i = 0; i < 2; i++)
        if (both[i]->dtype != ST_F32 && both[i]->dtype != ST_F16 && both[i]->dtype != ST_BF16)
            return fail(err, LORAC_UNSUPPORTED, file->path,
                        "tensor \"%s\" is of type %s; lorac reads F32, F16 and BF16", both[i]->name,
                        st_dtype_name(both[i]->dtype));
    return LORAC_OK;
}

/* ---- finding -------------------------------------------------------------------------------- */

/* The pair of that name, if there is one, for `rows` of B from `first` on. */
static lorac_status add_pair(const struct safetensors *file, const struct dialect *d, const struct module_names *names,
                             const char *module, size_t in, size_t first, size_t rows, struct pairs *p,
                             lorac_error *err)
{
    struct pair *pair = &p->items[p->count];
    *pair = (struct pair){.a = find(file, d, names, module, d->a),
                          .b = find(file, d, names, module, d->b),
                          .first = first,
                          .rows = rows,
                          .rank_first = p->rank};
    if (!pair->a && !pair->b) return LORAC_OK;
    if (!pair->a || !pair->b)
        return fail(err, LORAC_MISMATCH, file->path, "half a pair: \"%s\" has no lora_%s", module, pair->a ? "B" : "A");
    TRY(check_pair(file, d, in, pair, err));
    p->rank += pair->rank;
    p->count++;
    return LORAC_OK;
}

static bool same_tensor(const struct st_tensor *a, const struct st_tensor *b)
{
    return a->dtype == b->dtype && a->bytes == b->bytes && !memcmp(a->data, b->data, a->bytes);
}

/* Outputs that one A makes, as where one module was written as several, need it once. */
static void share_rank(struct pairs *p)
{
    for (size_t i = 1; i < p->count; i++)
        if (p->items[i].rank != p->items[0].rank || !same_tensor(p->items[i].a, p->items[0].a)) return;
    for (size_t i = 1; i < p->count; i++) p->items[i].rank_first = 0;
    p->rank = p->count ? p->items[0].rank : 0;
}

lorac_status pairs_find(const struct safetensors *file, const struct dialect *d, const struct module_names *names,
                        const struct linear *l, struct pairs *p, lorac_error *err)
{
    char part[MODULE_PARTS][MODULE_NAME];
    size_t in = l->weight.cols, first = 0, parts;
    *p = (struct pairs){0};
    TRY(add_pair(file, d, names, l->name, in, 0, module_rows(&(struct adapter_module){.linear = l}), p, err));
    if (p->count || d != &mlx_dialect) return LORAC_OK;
    parts = module_parts(names, l->name, part);
    for (size_t i = 0; i < parts && i < l->parts; first += l[i++].weight.rows)
        TRY(add_pair(file, d, names, part[i], in, first, l[i].weight.rows, p, err));
    share_rank(p);
    return LORAC_OK;
}

/* ---- copying -------------------------------------------------------------------------------- */

static float element(const struct st_tensor *t, size_t i)
{
    float f;
    uint16_t h;
    if (t->dtype == ST_F32) return memcpy(&f, t->data + 4 * i, 4), f;
    memcpy(&h, t->data + 2 * i, 2);
    return t->dtype == ST_F16 ? half_to_float(h) : bf16_to_float(h);
}

static void copy_pair(const struct dialect *d, const struct adapter_module *m, const struct pair *p, float *floats)
{
    size_t in = m->linear->weight.cols, r = p->rank;
    float *a = floats + m->a + p->rank_first * in, *b = floats + m->b + p->rank_first;
    for (size_t i = 0; i < r; i++)
        for (size_t k = 0; k < in; k++) a[i * in + k] = element(p->a, d->transposed ? k * r + i : i * in + k);
    for (size_t n = 0; n < p->rows; n++)
        for (size_t i = 0; i < r; i++)
            b[module_row(m, p->first + n) * m->rank + i] = element(p->b, d->transposed ? i * p->rows + n : n * r + i);
}

void pairs_copy(const struct dialect *d, const struct adapter_module *m, const struct pairs *p, float *floats)
{
    for (size_t i = 0; i < p->count; i++) copy_pair(d, m, &p->items[i], floats);
}
