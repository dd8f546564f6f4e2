/* layouts.c — the tensors of a quantised module in an MLX folder and in one of transformers with bitsandbytes. */
#include "convert/conversion.h"

#include "convert/layouts.h"
#include "quant/planes.h"

#include <stdio.h>
#include <string.h>

size_t item_elements(const struct item *item)
{
    return item->rows * item->cols;
}

size_t item_source_row(const struct item *item, size_t row)
{
    struct linear rows = {.order = item->order};
    return item->order.head_dim ? linear_hf_row(&rows, row) : item->first + row;
}

static enum st_dtype scale_dtype(enum scale_type type)
{
    return type == SCALE_F32 ? ST_F32 : type == SCALE_F16 ? ST_F16 : type == SCALE_BF16 ? ST_BF16 : ST_U8;
}

struct adding {
    struct memory *memory;
    const struct item *item;
    struct st_tensor *tensors;
    size_t count;
    bool failed;
};

/* cols 0: a vector of `rows`. */
static void add(struct adding *a, const char *ending, enum st_dtype dtype, size_t rows, size_t cols)
{
    char name[2 * ITEM_NAME];
    int length = snprintf(name, sizeof name, "%s%s", a->item->name, ending);
    struct st_tensor t = {.name = mem_text(a->memory, name, (size_t)length),
                          .dtype = dtype,
                          .dims = cols ? 2 : 1,
                          .shape = {rows, cols},
                          .bytes = rows * (cols ? cols : 1) * st_dtype_bytes(dtype)};
    a->failed |= !t.name;
    a->tensors[a->count++] = t;
}

/* weight (rows, cols · bits / 32) in words, scales and biases (rows, cols / group) */
static void add_mlx(struct adding *a)
{
    const struct item *i = a->item;
    enum scale_type scales = quantized_scales(&i->q);
    add(a, ".weight", ST_U32, i->rows, i->cols * quantization_bits(&i->q) / 32);
    add(a, ".scales", scale_dtype(scales), i->rows, i->cols / i->q.group);
    if (i->q.type < QUANT_MXFP4) add(a, ".biases", scale_dtype(scales), i->rows, i->cols / i->q.group);
}

/* weight (rows · cols / 2, 1), absmax of all blocks, the table of codes, and how it was made, as JSON text; with double
 * quantisation absmax is codes, and theirs are the nested ones */
static void add_bnb(struct adding *a, bool nested)
{
    size_t n = item_elements(a->item), blocks = (n + a->item->q.group - 1) / a->item->q.group;
    add(a, ".weight", ST_U8, n / 2, 1);
    add(a, ".weight.absmax", nested ? ST_U8 : ST_F32, blocks, 0);
    add(a, ".weight.quant_map", ST_F32, 16, 0);
    add(a, ".weight.quant_state.bitsandbytes__nf4", ST_U8, bnb_state(a->item, nested, 0, NULL), 0);
    if (!nested) return;
    add(a, ".weight.nested_absmax", ST_F32, (blocks + NESTED_BLOCK - 1) / NESTED_BLOCK, 0);
    add(a, ".weight.nested_quant_map", ST_F32, DYNAMIC_MAP, 0);
}

/* A tensor as it is in the source, but for its type, its rows and its order. */
static void add_plain(struct adding *a)
{
    const struct item *i = a->item;
    add(a, "", i->dtype, i->matrix ? i->rows : 1, i->matrix ? i->cols : 0);
    struct st_tensor *t = &a->tensors[a->count - 1];
    if (i->matrix) return;
    t->dims = i->source->dims;
    memcpy(t->shape, i->source->shape, sizeof t->shape);
    t->bytes = i->cols * st_dtype_bytes(i->dtype);
}

size_t item_tensors(const struct conversion *c, const struct item *item, struct st_tensor tensors[ITEM_TENSORS])
{
    struct adding a = {.memory = c->memory, .item = item, .tensors = tensors};
    if (!item->quantized)
        add_plain(&a);
    else if (item_is_bnb(item))
        add_bnb(&a, c->double_quant);
    else
        add_mlx(&a);
    for (size_t i = 0; a.failed && i < a.count; i++) mem_free(c->memory, tensors[i].name);
    return a.failed ? 0 : a.count;
}

/* ---- bitsandbytes' state ------------------------------------------------------------------------- */

size_t bnb_state(const struct item *item, bool nested, float offset, char text[BNB_STATE])
{
    static const char *const dtypes[] = {[SCALE_F32] = "float32", [SCALE_F16] = "float16", [SCALE_BF16] = "bfloat16"};
    char state[BNB_STATE];
    int n = snprintf(state, sizeof state,
                     "{\"quant_type\": \"nf4\", \"blocksize\": %zu, \"dtype\": \"%s\", \"shape\": [%zu, %zu]",
                     item->q.group, dtypes[item->q.number], item->rows, item->cols);
    if (nested)
        n += snprintf(state + n, sizeof state - (size_t)n,
                      ", \"nested_blocksize\": %d, \"nested_dtype\": \"float32\", \"nested_offset\": %.17g",
                      NESTED_BLOCK, (double)offset);
    n += snprintf(state + n, sizeof state - (size_t)n, "}");
    if (nested) n += snprintf(state + n, sizeof state - (size_t)n, "%*s", BNB_STATE - 1 - n, "");
    if (text) memcpy(text, state, (size_t)n);
    return (size_t)n;
}
