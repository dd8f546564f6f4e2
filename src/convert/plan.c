/* plan.c — deciding what each tensor of the source becomes. See conversion.h.
 *
 * Quantised are all matrices but norms: in an MLX folder embeddings and head as well, in one for bitsandbytes the
 * layers' alone, as transformers has it. */
#include "convert/conversion.h"

#include "model/config_json.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- items --------------------------------------------------------------------------------------- */

static enum scale_type item_number(const struct item *item)
{
    return item->dtype == ST_F16 ? SCALE_F16 : item->dtype == ST_BF16 ? SCALE_BF16 : SCALE_F32;
}

static bool in_layer(const char *name)
{
    for (const char *dot = strchr(name, '.'); dot; dot = strchr(dot + 1, '.'))
        if (dot[1] >= '0' && dot[1] <= '9') return true;
    return false;
}

/* Quantises the item, whose name loses ".weight", if it is a matrix of a module that is to be and the group fits. */
static void decide(struct conversion *c, struct item *item)
{
    struct quantization q = c->q;
    if (c->same || !item->matrix || !is_number(item->dtype) || !ends_with(item->name, ".weight") ||
        strstr(item->name, "norm") || (c->bnb && !in_layer(item->name)))
        return;
    char *end = item->name + strlen(item->name) - strlen(".weight");
    *end = 0;
    enum choice choice = choose(c, item, &q);
    item->quantized = choice == CHOICE_QUANTIZE;
    item->q = q;
    item->q.number = item_number(item);
    if (choice == CHOICE_UNDIVIDED) {
        text_printf(&c->undivided, "%s\n", item->name);
        c->undivided_count++;
    }
    if (!item->quantized) *end = '.';
}

/* How many tensors the item is, and their bytes. */
static lorac_status measure(const struct conversion *c, struct item *item, lorac_error *err)
{
    struct st_tensor tensors[ITEM_TENSORS];
    item->tensors = item_tensors(c, item, tensors);
    if (!item->tensors) return fail_memory(err, "a tensor's name", ITEM_NAME);
    for (size_t i = 0; i < item->tensors; i++) {
        item->bytes += tensors[i].bytes;
        mem_free(c->memory, tensors[i].name);
    }
    return LORAC_OK;
}

/* A tensor of the source, or a module that is quantised there, as it is to be written. */
static struct item item_of(const struct conversion *c, const struct st_tensor *t)
{
    struct item item = {.source = t, .file = c->file, .stored = source_matrix(c, t), .matrix = t->dims == 2};
    item.packed = source_is_packed(item.stored);
    if (item.stored && item.stored->linear != SIZE_MAX) item.layer = c->base->linears[item.stored->linear].layer;
    item.number = c->items.count;
    item.fused = fusion_changes(c, item.stored);
    item.dtype = dtype_for(c, item.packed ? dtype_of_packed(item.stored) : t->dtype);
    item.rows = item.matrix ? t->shape[0] : 1;
    item.cols = item.matrix ? t->shape[1] : t->bytes / st_dtype_bytes(t->dtype);
    item.read = t->bytes;
    snprintf(item.name, sizeof item.name, "%s", t->name);
    if (!item.packed) return item;
    item.matrix = true;
    item.rows = item.stored->matrix.rows;
    item.cols = item.stored->matrix.cols;
    item.read = item.rows * item.stored->matrix.row_bytes;
    snprintf(item.name, sizeof item.name, "%.*s.weight", (int)item.stored->name_length, item.stored->name);
    return item;
}

static lorac_status add_item(struct conversion *c, struct item item, lorac_error *err)
{
    static const char *const turned[] = {".c_attn.weight", ".c_proj.weight", ".c_fc.weight"};
    struct item *added = list_add(&c->items);
    if (!added) return fail_memory(err, "the list of tensors", sizeof item);
    for (size_t i = 0; c->shape.conv1d && item.matrix && i < sizeof turned / sizeof *turned; i++)
        if (ends_with(item.name, turned[i])) item.inward = true;
    item.transposed = item.inward && !c->bnb && !c->same;
    if (item.transposed) item.rows = item.source->shape[1], item.cols = item.source->shape[0];
    decide(c, &item);
    item.type = block_type_of(item.dtype);
    c->source_bytes += item.read;
    *added = item;
    return measure(c, added, err);
}

/* What a tensor becomes in an MLX folder: nothing, itself, or two halves. */
static lorac_status add_mlx(struct conversion *c, struct item item, lorac_error *err)
{
    char name[ITEM_NAME], halves[2][ITEM_NAME];
    size_t rows = item.rows, read = item.read;
    if (!mlx_name(c, item.name, name)) return LORAC_OK;
    snprintf(item.name, sizeof item.name, "%s", name);
    if (!mlx_halves(c, name, halves) || !item.matrix) return add_item(c, item, err);
    for (size_t i = 0; i < 2; i++) {
        memcpy(item.name, halves[i], sizeof item.name);
        item.first = i * (rows / 2);
        item.rows = i ? rows - rows / 2 : rows / 2;
        item.read = i ? read - read / 2 : read / 2;
        TRY(add_item(c, item, err));
    }
    return LORAC_OK;
}

/* A tensor that goes from file to file, whatever it is. */
static struct item copied(struct item item)
{
    const struct st_tensor *t = item.source;
    item.matrix = item.packed = item.fused = false;
    item.stored = NULL;
    item.dtype = t->dtype;
    item.rows = 1;
    item.cols = t->bytes / st_dtype_bytes(t->dtype);
    item.read = t->bytes;
    snprintf(item.name, sizeof item.name, "%s", t->name);
    return item;
}

/* A quantised module that adapters change is quantised again as it was, if MLX or bitsandbytes did it. */
static lorac_status requantize(struct conversion *c, struct item item, lorac_error *err)
{
    const json_t *how = config_quantization(c->config);
    const char *method = json_string_value(json_object_get(how, "quant_method"));
    bool bnb = method && !strcmp(method, "bitsandbytes");
    item.name[strlen(item.name) - strlen(".weight")] = 0;
    item.quantized = quantization_from(&item.stored->matrix, &item.q) && (item.q.type == QUANT_NF4) == bnb;
    c->double_quant = json_is_true(json_object_get(how, "bnb_4bit_use_double_quant"));
    if (bnb) config_dtype(c, &item.dtype);
    item.q.number = item_number(&item);
    if (!item.quantized || (method && !bnb))
        return fail(err, LORAC_UNSUPPORTED, c->model,
                    "\"%s\" is %s, which lorac does not write: --dequantize fuses into numbers, --quantize into codes "
                    "of another kind",
                    item.name, quant_formats[item.stored->matrix.type].name);
    return add_item(c, item, err);
}

/* Of a quantised module's tensors one stands for all. */
static lorac_status add_tensor(struct conversion *c, const struct st_tensor *t, const char *file, lorac_error *err)
{
    if (strlen(t->name) + 64 > ITEM_NAME)
        return fail(err, LORAC_UNSUPPORTED, file, "tensor \"%.200s\" has too long a name", t->name);
    struct item item = item_of(c, t);
    bool kept = c->same && !c->options->dequantize;
    if (kept && !item.fused && (item.packed || !c->options->dtype)) return add_item(c, copied(item), err);
    if (item.packed && item.stored->name != t->name) return LORAC_OK;
    if (kept && item.packed) return requantize(c, item, err);
    return c->bnb || c->same ? add_item(c, item, err) : add_mlx(c, item, err);
}

static int by_place(const void *a, const void *b)
{
    const struct st_tensor *x = *(const struct st_tensor *const *)a, *y = *(const struct st_tensor *const *)b;
    return x->data != y->data ? (x->data < y->data ? -1 : 1) : strcmp(x->name, y->name);
}

/* In the order of the file, so that it is read once from begin to end. */
static lorac_status add_shard(struct conversion *c, const struct safetensors *s, lorac_error *err)
{
    const struct st_tensor **sorted = mem_array(c->memory, s->count, sizeof *sorted);
    c->file = &s->file;
    lorac_status status = sorted ? LORAC_OK : fail_memory(err, "the list of tensors", s->count);
    for (size_t i = 0; sorted && i < s->count; i++) sorted[i] = &s->tensors[i];
    if (sorted && s->count) qsort(sorted, s->count, sizeof *sorted, by_place);
    for (size_t i = 0; i < s->count && status == LORAC_OK; i++) status = add_tensor(c, sorted[i], s->path, err);
    mem_free(c->memory, sorted);
    return status;
}

/* ---- all ----------------------------------------------------------------------------------------- */

static lorac_status check_bnb(const struct conversion *c, lorac_error *err)
{
    if (c->sees || c->shape.conv1d)
        return fail(err, LORAC_UNSUPPORTED, c->model, "nf4 is not written for models that also see, nor for GPT-2");
    return LORAC_OK;
}

/* Calibrated layer by layer; else in the order of the files. */
static int by_layer(const void *a, const void *b)
{
    const struct item *x = a, *y = b;
    if (x->layer != y->layer) return x->layer < y->layer ? -1 : 1;
    return (x->number > y->number) - (x->number < y->number);
}

lorac_status conversion_open(struct conversion *c, lorac_error *err)
{
    const lorac_convert_options *o = c->options;
    enum st_dtype dtype;
    if (o->mode && o->dequantize) return fail(err, LORAC_INVALID_ARGUMENT, NULL, "quantise or dequantise, not both");
    if (o->dtype && !dtype_named(o->dtype, &dtype))
        return fail(err, LORAC_INVALID_ARGUMENT, NULL, "\"%.40s\" is none of float16, bfloat16, float32", o->dtype);
    if (o->mode) TRY(quantization_of(o->mode, o->bits, o->group, &c->q, err));
    c->same = o->adapter_count && !o->mode && !c->kind;
    c->double_quant = o->double_quant;
    c->bnb = o->mode && c->q.type == QUANT_NF4;
    if (o->double_quant && !c->bnb)
        return fail(err, LORAC_INVALID_ARGUMENT, NULL, "double quantisation belongs to nf4");
    TRY(check_choice(o, err));
    TRY(source_open(c, err));
    TRY(fusion_open(c, err));
    if (o->imatrix) TRY(imatrix_open(c->memory, o->imatrix, &c->imatrix, err));
    if (c->kind) return gguf_plan(c, err);
    if (o->target_bits > 0) TRY(allocation_make(c, err));
    if (c->bnb) TRY(check_bnb(c, err));
    for (size_t i = 0; i < c->source->shard_count; i++) TRY(add_shard(c, &c->source->shards[i], err));
    TRY(check_modules(c, err));
    TRY(calibration_open(c, err));
    if (c->calibration) qsort(c->items.items, c->items.count, sizeof(struct item), by_layer);
    if (c->undivided.failed) return fail_memory(err, "a list of names", c->undivided.length);
    if (!c->items.count) return fail(err, LORAC_FORMAT, c->model, "holds no tensor of a language model");
    return LORAC_OK;
}

void conversion_close(struct conversion *c)
{
    gguf_plan_close(c);
    imatrix_close(&c->imatrix);
    mem_free(c->memory, c->allocation);
    calibration_close(c);
    fusion_close(c);
    source_close(c);
    list_free(&c->items);
    text_free(&c->undivided);
}
