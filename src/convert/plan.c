/* plan.c — opening the source and deciding what each of its tensors becomes. See conversion.h.
 *
 * Quantised are all matrices but norms: in an MLX folder embeddings and head as well, in one for bitsandbytes the
 * layers' alone, as transformers has it. */
#include "convert/conversion.h"

#include "model/config_json.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { CONFIG_CAP = 1 << 24 };

/* ---- the source ---------------------------------------------------------------------------------- */

static lorac_status read_config(struct conversion *c, lorac_error *err)
{
    if (!os_is_folder(c->model))
        return fail(err, LORAC_UNSUPPORTED, c->model, "is no folder; lorac converts Hugging Face and MLX folders");
    char *file = os_join(c->memory, c->model, "config.json");
    if (!file) return fail_memory(err, "a path", strlen(c->model));
    lorac_status status = json_read_file(c->memory, file, CONFIG_CAP, &c->config, err);
    if (status == LORAC_OK) status = config_from_json(c->config, file, &c->family, &c->shape, err);
    if (status == LORAC_OK && config_quantization(c->config))
        status = fail(err, LORAC_UNSUPPORTED, c->model, "is quantised already; convert the folder it was made from");
    mem_free(c->memory, file);
    return status;
}

/* A matrix of GPT-2 is (in, out), unless mlx-lm wrote it: q, k and v together tell which. */
static void tell_transposed(struct conversion *c)
{
    static const char *const names[] = {"h.0.attn.c_attn.weight", "transformer.h.0.attn.c_attn.weight",
                                        "model.h.0.attn.c_attn.weight"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        const struct st_tensor *t = st_folder_find(&c->source, names[i]);
        if (t && t->dims == 2 && t->shape[0] == 3 * t->shape[1]) c->shape.conv1d = false;
    }
}

static lorac_status open_source(struct conversion *c, lorac_error *err)
{
    TRY(read_config(c, err));
    TRY(st_folder_open(c->memory, c->model, c->runtime->map_files, &c->source, err));
    c->sees = json_is_object(json_object_get(c->config, "text_config"));
    if (c->sees && json_is_true(json_object_get(c->config, "tie_word_embeddings")))
        c->shape.tied_head = !st_folder_find(&c->source, "language_model.lm_head.weight") &&
                             !st_folder_find(&c->source, "lm_head.weight");
    tell_transposed(c);
    return LORAC_OK;
}

/* ---- the type of numbers ------------------------------------------------------------------------- */

static const struct {
    const char *name;
    enum st_dtype dtype;
} dtypes[] = {{"float16", ST_F16}, {"bfloat16", ST_BF16}, {"float32", ST_F32}};
enum { DTYPES = sizeof dtypes / sizeof *dtypes };

static bool is_number(enum st_dtype dtype)
{
    return dtype == ST_F32 || dtype == ST_F16 || dtype == ST_BF16;
}

static bool dtype_named(const char *name, enum st_dtype *dtype)
{
    for (size_t i = 0; name && i < DTYPES; i++)
        if (!strcmp(dtypes[i].name, name)) {
            *dtype = dtypes[i].dtype;
            return true;
        }
    return false;
}

/* As mlx-lm: what was asked for, what config.json says under either name, else what each tensor has. */
static enum st_dtype dtype_for(const struct conversion *c, enum st_dtype own)
{
    enum st_dtype dtype = own;
    const json_t *text = json_object_get(c->config, "text_config");
    if (!is_number(own) || dtype_named(c->options->dtype, &dtype)) return dtype;
    if (dtype_named(json_string_value(json_object_get(c->config, "torch_dtype")), &dtype)) return dtype;
    dtype_named(json_string_value(json_object_get(text, "dtype")), &dtype);
    return dtype;
}

/* ---- items --------------------------------------------------------------------------------------- */

/* Families in which mlx-lm keeps some modules at 8 bits: low-bit codes lose too much of them. */
static const struct {
    const char *family, *module; /* the end of its name */
} careful[] = {{"granite", "self_attn.o_proj"}, {"granite", "mlp.down_proj"}, {"granite", "lm_head"}};

bool item_quantization(const struct conversion *c, const char *module, struct quantization *q)
{
    if (!c->options->mode) return false;
    *q = c->q;
    for (size_t i = 0; !c->bnb && i < sizeof careful / sizeof *careful; i++)
        if (!strcmp(careful[i].family, c->family->name) && ends_with(module, careful[i].module))
            *q = (struct quantization){.type = QUANT_AFFINE8, .group = 64};
    return true;
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
    const struct st_tensor *t = item->source;
    struct quantization q;
    if (t->dims != 2 || !is_number(t->dtype) || !ends_with(item->name, ".weight") || strstr(item->name, "norm") ||
        (c->bnb && !in_layer(item->name)))
        return;
    char *end = item->name + strlen(item->name) - strlen(".weight");
    *end = 0;
    bool wanted = item_quantization(c, item->name, &q);
    item->quantized = wanted && (c->bnb ? item->rows * item->cols % 2 == 0
                                        : item->cols % c->q.group == 0 && item->cols % q.group == 0);
    item->q = q;
    item->q.number = item->dtype == ST_F16 ? SCALE_F16 : item->dtype == ST_BF16 ? SCALE_BF16 : SCALE_F32;
    if (wanted && !item->quantized) {
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

static lorac_status add_item(struct conversion *c, const struct st_tensor *t, const char *name, size_t first,
                             size_t rows, lorac_error *err)
{
    static const char *const turned[] = {".c_attn.weight", ".c_proj.weight", ".c_fc.weight"};
    struct item *item = list_add(&c->items);
    if (!item) return fail_memory(err, "the list of tensors", sizeof *item);
    *item = (struct item){.source = t, .file = c->file, .first = first, .rows = rows, .dtype = dtype_for(c, t->dtype)};
    size_t all = t->bytes / st_dtype_bytes(t->dtype);
    item->cols = t->dims == 2 ? t->shape[1] : all;
    for (size_t i = 0; c->shape.conv1d && !c->bnb && t->dims == 2 && i < sizeof turned / sizeof *turned; i++)
        if (ends_with(name, turned[i])) item->transposed = true;
    if (item->transposed) item->rows = t->shape[1], item->cols = t->shape[0];
    snprintf(item->name, sizeof item->name, "%s", name);
    decide(c, item);
    c->source_bytes += item_elements(item) * st_dtype_bytes(t->dtype);
    return measure(c, item, err);
}

/* What a tensor becomes in an MLX folder: nothing, itself, or two halves. */
static lorac_status add_mlx(struct conversion *c, const struct st_tensor *t, lorac_error *err)
{
    char name[ITEM_NAME], halves[2][ITEM_NAME];
    size_t rows = t->dims == 2 ? t->shape[0] : 1;
    if (!mlx_name(c, t->name, name)) return LORAC_OK;
    if (mlx_halves(c, name, halves) && t->dims == 2) {
        TRY(add_item(c, t, halves[0], 0, rows / 2, err));
        return add_item(c, t, halves[1], rows / 2, rows - rows / 2, err);
    }
    return add_item(c, t, name, 0, rows, err);
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
    for (size_t i = 0; i < s->count && status == LORAC_OK; i++) {
        size_t rows = sorted[i]->dims == 2 ? sorted[i]->shape[0] : 1;
        if (strlen(sorted[i]->name) + 64 > ITEM_NAME)
            status = fail(err, LORAC_UNSUPPORTED, s->path, "tensor \"%.200s\" has too long a name", sorted[i]->name);
        else
            status = c->bnb ? add_item(c, sorted[i], sorted[i]->name, 0, rows, err) : add_mlx(c, sorted[i], err);
    }
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

lorac_status conversion_open(struct conversion *c, lorac_error *err)
{
    const lorac_convert_options *o = c->options;
    enum st_dtype dtype;
    if (o->dtype && !dtype_named(o->dtype, &dtype))
        return fail(err, LORAC_INVALID_ARGUMENT, NULL, "\"%.40s\" is none of float16, bfloat16, float32", o->dtype);
    if (o->mode) TRY(quantization_of(o->mode, o->bits, o->group, &c->q, err));
    c->bnb = o->mode && c->q.type == QUANT_NF4;
    if (o->double_quant && !c->bnb)
        return fail(err, LORAC_INVALID_ARGUMENT, NULL, "double quantisation belongs to nf4");
    TRY(open_source(c, err));
    if (c->bnb) TRY(check_bnb(c, err));
    for (size_t i = 0; i < c->source.shard_count; i++) TRY(add_shard(c, &c->source.shards[i], err));
    if (c->undivided.failed) return fail_memory(err, "a list of names", c->undivided.length);
    if (!c->items.count) return fail(err, LORAC_FORMAT, c->model, "holds no tensor of a language model");
    return LORAC_OK;
}

void conversion_close(struct conversion *c)
{
    st_folder_close(&c->source);
    list_free(&c->items);
    text_free(&c->undivided);
    json_decref(c->config);
}
