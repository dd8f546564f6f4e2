/* layout.c — where the floats of an adapter lie. */
#include "adapter/adapter.h"

#include <string.h>

size_t module_rows(const struct adapter_module *m)
{
    size_t rows = 0;
    for (size_t p = 0; p < m->linear->parts; p++) rows += m->linear[p].weight.rows;
    return rows;
}

size_t module_row(const struct adapter_module *m, size_t hf_row)
{
    size_t begin = 0, row = SIZE_MAX;
    for (size_t p = 0; p < m->linear->parts; begin += m->linear[p++].weight.rows) {
        row = linear_file_row(&m->linear[p], hf_row);
        if (row != SIZE_MAX) break;
    }
    return begin + row;
}

lorac_status layout_place(struct adapter_layout *layout, lorac_error *err)
{
    size_t at = 0;
    for (size_t i = 0; i < layout->count; i++) {
        struct adapter_module *m = &layout->modules[i];
        size_t a, b;
        m->a = at;
        if (!size_mul(m->rank, m->linear->weight.cols, &a) || !size_add(at, (a + 15) & ~(size_t)15, &m->b) ||
            !size_mul(m->rank, module_rows(m), &b) || !size_add(m->b, (b + 15) & ~(size_t)15, &at))
            return fail_memory(err, "an adapter", SIZE_MAX);
    }
    layout->floats = at;
    return LORAC_OK;
}

static struct qmatrix matrix_at(struct buffer *numbers, enum quant_type type, size_t at, size_t rows, size_t cols)
{
    size_t bytes = quant_formats[type].block_bytes;
    return (struct qmatrix){type, {numbers, at * bytes}, rows, cols, cols * bytes, NULL};
}

struct lora_term layout_term(const struct adapter_module *m, size_t part, const struct adapter_numbers *n,
                             struct buffer *gradients, double factor)
{
    size_t in = m->linear->weight.cols, out = m->linear[part].weight.rows, r = m->rank, at = m->b;
    for (size_t p = 0; p < part; p++) at += r * m->linear[p].weight.rows;
    struct lora_term t = {.scale = (float)(m->scale * factor)};
    for (size_t p = 0; p < PRECISIONS; p++) {
        bool narrow = n->narrow && (p == PRECISION_FAST || !n->wide);
        t.a[p] = matrix_at(narrow ? n->narrow : n->wide, narrow ? QUANT_BF16 : QUANT_F32, m->a, r, in);
        t.b[p] = matrix_at(narrow ? n->narrow : n->wide, narrow ? QUANT_BF16 : QUANT_F32, at, out, r);
    }
    if (!gradients) return t;
    t.da = (struct buf){gradients, m->a * sizeof(float)};
    t.db = (struct buf){gradients, at * sizeof(float)};
    return t;
}
