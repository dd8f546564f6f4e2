/* fuse.c — adapters added to the base's weights: W + Σᵢ αᵢ sᵢ Bᵢ Aᵢ (Hu et al. 2021), a run of numbers at a time. */
#include "convert/conversion.h"

#include <string.h>

/* One adapter, as host floats. */
struct fusion {
    struct adapter_layout layout;
    float *floats;
    double factor; /* the user's */
};

/* ---- opening ------------------------------------------------------------------------------------- */

lorac_status fusion_open(struct conversion *c, lorac_error *err)
{
    const lorac_convert_options *o = c->options;
    c->fusions = mem_array(c->memory, o->adapter_count, sizeof *c->fusions);
    if (o->adapter_count && !c->fusions) return fail_memory(err, "the adapters", o->adapter_count);
    for (; c->fusion_count < o->adapter_count; c->fusion_count++) {
        struct fusion *f = &c->fusions[c->fusion_count];
        *f = (struct fusion){.factor = o->adapter_factors ? o->adapter_factors[c->fusion_count] : 1};
        TRY(model_adapter_read(c->base, o->adapters[c->fusion_count], &f->layout, &f->floats, err));
    }
    return LORAC_OK;
}

void fusion_close(struct conversion *c)
{
    for (size_t i = 0; i < c->fusion_count; i++) {
        mem_free(c->memory, c->fusions[i].layout.modules);
        mem_free(c->memory, c->fusions[i].floats);
    }
    mem_free(c->memory, c->fusions);
}

/* ---- one module ---------------------------------------------------------------------------------- */

/* The adapter's pair for the module that the matrix is a part of; NULL: it has none. */
static const struct adapter_module *pair_of(const struct conversion *c, const struct fusion *f,
                                            const struct stored_matrix *s)
{
    const struct linear *l = s->linear == SIZE_MAX ? NULL : &c->base->linears[s->linear];
    for (size_t i = 0; l && i < f->layout.count; i++)
        if (f->layout.modules[i].linear == l - l->part) return &f->layout.modules[i];
    return NULL;
}

bool fusion_changes(const struct conversion *c, const struct stored_matrix *s)
{
    for (size_t i = 0; s && i < c->fusion_count; i++)
        if (c->fusions[i].factor != 0 && pair_of(c, &c->fusions[i], s)) return true;
    return false;
}

/* The row of B for an output of the matrix: it is the whole module, or one of the weights of a fused one. */
static const float *row_of_b(const struct conversion *c, const struct fusion *f, const struct adapter_module *m,
                             const struct stored_matrix *s, size_t output)
{
    const struct linear *l = &c->base->linears[s->linear];
    size_t outputs = s->matrix.rows * s->matrix.cols / m->linear->weight.cols;
    size_t hf = outputs == module_rows(m) ? output : linear_hf_row(l, output);
    return f->floats + m->b + module_row(m, hf) * m->rank;
}

/* d[i] += α s (B A)[output][input + i] */
static void add_along_inputs(const float *b, const float *a, size_t rank, size_t cols, double scale, size_t n, float *d)
{
    for (size_t k = 0; k < rank; k++) {
        float factor = (float)(scale * (double)b[k]);
        for (size_t i = 0; i < n; i++) d[i] += factor * a[k * cols + i];
    }
}

/* A part of one row of the item: `row` is an output, of a matrix that is stored (in, out) an input. */
static void add_part(const struct conversion *c, const struct item *item, const struct fusion *f,
                     const struct adapter_module *m, size_t row, size_t col, size_t n, float *d)
{
    const struct stored_matrix *s = item->stored;
    double scale = m->scale * f->factor;
    const float *a = f->floats + m->a;
    size_t inputs = m->linear->weight.cols;
    if (!item->inward || item->transposed) {
        add_along_inputs(row_of_b(c, f, m, s, item_source_row(item, row)), a + col, m->rank, inputs, scale, n, d);
        return;
    }
    for (size_t i = 0; i < n; i++)
        add_along_inputs(row_of_b(c, f, m, s, col + i), a + row, m->rank, inputs, scale, 1, d + i);
}

/* One adapter's change of the item's numbers from `first` on. */
static void add_pair(const struct conversion *c, const struct item *item, const struct fusion *f, size_t first,
                     size_t n, float *d)
{
    const struct adapter_module *m = pair_of(c, f, item->stored);
    for (size_t i = 0, part; m && i < n; i += part) {
        size_t row = (first + i) / item->cols, col = (first + i) % item->cols;
        part = item->cols - col < n - i ? item->cols - col : n - i;
        add_part(c, item, f, m, row, col, part, d + i);
    }
}

double fusion_add(const struct conversion *c, const struct item *item, size_t first, size_t n, float *y, float *d)
{
    double sum = 0;
    memset(d, 0, n * sizeof *d);
    for (size_t k = 0; k < c->fusion_count; k++) add_pair(c, item, &c->fusions[k], first, n, d);
    for (size_t i = 0; i < n; i++) {
        sum += (double)d[i] * (double)d[i];
        y[i] += d[i];
    }
    return sum;
}
