/* weights.c — asking for tensors by name and shape. See weights.h; the list of what there is: weights_list.h. */
#include "model/weights_quantized.h"

#include "quant/planes.h"

#include <stdio.h>
#include <string.h>

enum { SAMPLE = 4096 };

/* ---- names ---------------------------------------------------------------------------------- */

/* %zu in the pattern replaced by the layer, and the suffix. */
static void spell_pattern(const char *pattern, size_t layer, const char *suffix, char text[WEIGHT_NAME])
{
    const char *place = pattern ? strstr(pattern, "%zu") : NULL;
    if (place)
        snprintf(text, WEIGHT_NAME, "%.*s%zu%s%s", (int)(place - pattern), pattern, layer, place + 3, suffix);
    else
        snprintf(text, WEIGHT_NAME, "%s%s", pattern ? pattern : "", pattern ? suffix : "");
}

void weights_spell(const struct weights *w, struct weight_name name, size_t layer, const char *suffix,
                   char text[WEIGHT_NAME])
{
    spell_pattern(w->gguf ? name.gguf : name.hf, layer, suffix, text);
}

bool weights_has(const struct weights *w, struct weight_name name, size_t layer)
{
    char text[WEIGHT_NAME];
    weights_spell(w, name, layer, ".weight", text);
    return weights_find(w, text) != NULL;
}

bool weights_are_gguf(const struct weights *w)
{
    return w->gguf;
}

void weights_ignore(struct weights *w, struct weight_name name, size_t layer)
{
    char text[WEIGHT_NAME];
    weights_spell(w, name, layer, "", text);
    struct source *s = weights_find(w, text);
    if (s) s->used = true;
}

/* ---- taking --------------------------------------------------------------------------------- */

/* Into the fingerprint of the base: what the tensor is, and a sample of its bytes. */
static void remember(struct weights *w, const struct source *s)
{
    size_t sample = s->bytes < SAMPLE ? s->bytes : SAMPLE;
    hash_add(&w->hash, s->name, s->name_length);
    hash_add(&w->hash, &s->type, sizeof s->type);
    hash_add(&w->hash, &s->rows, sizeof s->rows);
    hash_add(&w->hash, &s->cols, sizeof s->cols);
    hash_add(&w->hash, s->data, sample);
    hash_add(&w->hash, s->data + s->bytes - sample, sample);
}

void weights_use(struct weights *w, struct source *s)
{
    if (s->used) return;
    s->used = true;
    remember(w, s);
    w->model->weight_bytes += s->bytes;
}

/* The tensor of that name, which must be of a known type; counted when first taken. */
static lorac_status take(struct weights *w, const char *name, struct source **out, lorac_error *err)
{
    struct source *s = weights_find(w, name);
    if (!s) return fail(err, LORAC_FORMAT, w->path, "tensor \"%s\" is missing", name);
    if (s->type < 0)
        return fail(err, LORAC_UNSUPPORTED, w->path, "tensor \"%s\" is of type %s, which lorac does not compute with",
                    name, s->type_name);
    *out = s;
    if (!s->used) w->model->parameters += s->rows * s->cols;
    weights_use(w, s);
    return LORAC_OK;
}

static lorac_status take_matrix(struct weights *w, const char *name, size_t rows, size_t cols, struct qmatrix *m,
                                lorac_error *err)
{
    struct source *s = NULL;
    bool quantized;
    TRY(weights_quantized(w, name, rows, cols, m, &quantized, err));
    if (quantized) return LORAC_OK;
    TRY(take(w, name, &s, err));
    if (s->dims != 2 || s->rows != rows || s->cols != cols)
        return fail(err, LORAC_FORMAT, w->path, "tensor \"%s\" is %zu x %zu in %zu dimensions, expected %zu x %zu",
                    name, s->rows, s->cols, s->dims, rows, cols);
    *m = (struct qmatrix){(enum quant_type)s->type, {s->buffer, s->offset}, rows, cols, 0, NULL};
    if (!quant_row_bytes(m->type, cols, &m->row_bytes) || m->row_bytes * rows != s->bytes)
        return fail(err, LORAC_FORMAT, w->path, "tensor \"%s\": rows of %zu do not fill %s blocks", name, cols,
                    s->type_name);
    TRY(weights_expand(w, name, s, m, err));
    weights_list_matrix(w, s, ".weight", m);
    return LORAC_OK;
}

lorac_status weights_matrix(struct weights *w, struct weight_name name, size_t layer, size_t rows, size_t cols,
                            struct qmatrix *m, lorac_error *err)
{
    char text[WEIGHT_NAME];
    weights_spell(w, name, layer, ".weight", text);
    return take_matrix(w, text, rows, cols, m, err);
}

/* ---- vectors -------------------------------------------------------------------------------- */

lorac_status weights_room(struct weights *w, size_t size, struct buf *b, lorac_error *err)
{
    struct lorac_model *m = w->model;
    struct buffer *buffer;
    TRY(m->runtime->backend->kernels->buffer_create(m->runtime->backend, size, &buffer, err));
    m->buffers[m->buffer_count++] = buffer;
    *b = (struct buf){buffer, 0};
    return LORAC_OK;
}

lorac_status weights_keep(struct weights *w, const void *bytes, size_t size, struct buf *b, lorac_error *err)
{
    struct stream s = {.backend = w->model->runtime->backend};
    TRY(weights_room(w, size, b, err));
    s.backend->kernels->upload(&s, *b, bytes, size);
    return LORAC_OK;
}

lorac_status weights_upload(struct weights *w, const float *values, size_t count, struct buf *v, lorac_error *err)
{
    return weights_keep(w, values, count * sizeof *values, v, err);
}

/* size numbers of a vector (or of a matrix read as one) of `whole` numbers; from: NULL, or which of them each is. */
static lorac_status read_vector(struct weights *w, const char *name, size_t whole, const struct linear *order,
                                const struct linear_source *part, size_t size, float add, struct buf *v,
                                lorac_error *err)
{
    struct source *s = NULL;
    TRY(take(w, name, &s, err));
    if (s->rows * s->cols != whole || s->dims > 2)
        return fail(err, LORAC_FORMAT, w->path, "tensor \"%s\" has %zu numbers, expected %zu", name, s->rows * s->cols,
                    whole);
    if (quant_formats[s->type].block != 1)
        return fail(err, LORAC_UNSUPPORTED, w->path, "tensor \"%s\": a vector of type %s", name, s->type_name);
    float *values = mem_array(w->memory, whole + size, sizeof *values), *to = values + whole;
    if (!values) return fail_memory(err, name, whole * sizeof *values);
    quant_formats[s->type].dequantize(values, s->data, whole);
    for (size_t i = 0; i < size; i++)
        to[i] = values[!part ? i : part->gathered ? linear_hf_row(order, i) : part->first + i] + add;
    lorac_status status = weights_upload(w, to, size, v, err);
    mem_free(w->memory, values);
    return status;
}

lorac_status weights_vector(struct weights *w, const struct vector_source *source, size_t layer, size_t size,
                            struct buf *v, lorac_error *err)
{
    char text[WEIGHT_NAME];
    weights_spell(w, source->name, layer, source->suffix, text);
    *v = (struct buf){0};
    if (source->optional && !weights_find(w, text)) return LORAC_OK;
    return read_vector(w, text, size, NULL, NULL, size, source->add, v, err);
}

lorac_status weights_head_vectors(struct weights *w, struct weight_name name, size_t layer, size_t heads, size_t size,
                                  struct buf *v, lorac_error *err)
{
    char text[WEIGHT_NAME], suffix[40];
    float *values = mem_array(w->memory, heads, size * sizeof *values);
    lorac_status status = values ? LORAC_OK : fail_memory(err, "the heads' norms", heads * size * sizeof *values);
    for (size_t h = 0; status == LORAC_OK && h < heads; h++) {
        struct source *s = NULL;
        snprintf(suffix, sizeof suffix, ".norms.%zu.weight", h);
        weights_spell(w, name, layer, suffix, text);
        status = take(w, text, &s, err);
        if (status == LORAC_OK && (s->rows * s->cols != size || quant_formats[s->type].block != 1))
            status = fail(err, LORAC_FORMAT, w->path, "tensor \"%s\" is no vector of %zu numbers", text, size);
        if (status == LORAC_OK) quant_formats[s->type].dequantize(values + h * size, s->data, size);
    }
    if (status == LORAC_OK) status = weights_upload(w, values, heads * size, v, err);
    mem_free(w->memory, values);
    return status;
}

/* ---- linears -------------------------------------------------------------------------------- */

static size_t tensor_row(const struct linear_source *s, const struct linear *l, size_t row)
{
    return s->gathered ? linear_hf_row(l, row) : s->first + row;
}

/* The linear's rows of the tensor at `from`, copied; of a transposed one they are columns. */
static lorac_status copy_rows(struct weights *w, const struct linear_source *s, const uint8_t *from, struct linear *l,
                              lorac_error *err)
{
    size_t bytes = l->weight.row_bytes, rows = l->weight.rows, one = quant_formats[l->weight.type].block_bytes;
    uint8_t *copy = mem_array(w->memory, rows, bytes);
    if (!copy) return fail_memory(err, "a matrix", rows * bytes);
    for (size_t r = 0; r < rows; r++) {
        size_t row = tensor_row(s, l, r);
        if (!s->transposed)
            memcpy(copy + r * bytes, from + row * bytes, bytes);
        else
            for (size_t c = 0; c < l->weight.cols; c++)
                memcpy(copy + r * bytes + c * one, from + (c * s->rows + row) * one, one);
    }
    lorac_status status = weights_keep(w, copy, rows * bytes, &l->weight.data, err);
    mem_free(w->memory, copy);
    return status;
}

/* The linear's rows of a buffer of `rows` rows, copied to one of its own. */
static lorac_status gather_rows(struct weights *w, const struct linear *l, size_t rows, size_t row_bytes, struct buf *b,
                                lorac_error *err)
{
    struct stream s = {.backend = w->model->runtime->backend};
    uint8_t *all = mem_array(w->memory, rows + l->weight.rows, row_bytes), *own = all + rows * row_bytes;
    if (!all) return fail_memory(err, "a matrix", rows * row_bytes);
    s.backend->kernels->readback(&s, all, *b, rows * row_bytes);
    for (size_t r = 0; r < l->weight.rows; r++)
        memcpy(own + r * row_bytes, all + linear_hf_row(l, r) * row_bytes, row_bytes);
    lorac_status status = weights_keep(w, own, l->weight.rows * row_bytes, b, err);
    mem_free(w->memory, all);
    return status;
}

/* A row range or a gathering of a matrix in planes: the scales go with the codes. */
static lorac_status planes_rows(struct weights *w, const struct linear_source *s, const struct qmatrix *whole,
                                const char *name, struct linear *l, lorac_error *err)
{
    const struct qplanes *p = whole->planes;
    size_t per_row = whole->cols / p->group * scale_bytes(p->scale_type);
    struct qplanes *part;
    if (s->transposed || whole->cols % p->group)
        return fail(err, LORAC_UNSUPPORTED, w->path, "\"%s\": some rows of a quantised module whose groups cross them",
                    name);
    TRY(weights_planes(w, p, &part, err));
    l->weight.planes = part;
    if (s->gathered) {
        TRY(gather_rows(w, l, whole->rows, whole->row_bytes, &l->weight.data, err));
        TRY(gather_rows(w, l, whole->rows, per_row, &part->scales, err));
        return buf_is(part->mins) ? gather_rows(w, l, whole->rows, per_row, &part->mins, err) : LORAC_OK;
    }
    l->weight.data.offset += s->first * whole->row_bytes;
    part->scales.offset += s->first * per_row;
    if (buf_is(part->mins)) part->mins.offset += s->first * per_row;
    return LORAC_OK;
}

static lorac_status read_matrix(struct weights *w, const struct linear_source *s, const char *name, size_t rows,
                                size_t cols, struct linear *l, lorac_error *err)
{
    struct qmatrix whole;
    TRY(take_matrix(w, name, s->transposed ? cols : s->rows, s->transposed ? s->rows : cols, &whole, err));
    if (s->transposed && quant_formats[whole.type].block != 1)
        return fail(err, LORAC_UNSUPPORTED, w->path, "tensor \"%s\" is (in, out) and quantised", name);
    l->weight = (struct qmatrix){whole.type, whole.data, rows, cols, 0, whole.planes};
    quant_row_bytes(whole.type, cols, &l->weight.row_bytes);
    if (whole.planes && (s->gathered || s->transposed || s->first)) return planes_rows(w, s, &whole, name, l, err);
    struct source *source = weights_find(w, name);
    if (s->gathered && source && source->buffer != whole.data.buffer) /* expanded */
        return gather_rows(w, l, whole.rows, whole.row_bytes, &l->weight.data, err);
    if (s->gathered || s->transposed) return copy_rows(w, s, source->data, l, err);
    l->weight.data.offset += s->first * whole.row_bytes;
    return LORAC_OK;
}

lorac_status weights_linear(struct weights *w, const struct linear_source *s, size_t layer, size_t rows, size_t cols,
                            struct linear *l, lorac_error *err)
{
    char module[WEIGHT_NAME], name[WEIGHT_NAME];
    spell_pattern(s->module, layer, "", module);
    text_add(&w->names, module, strlen(module) + 1); /* in the order of the linears */
    l->layer = layer;
    l->weight.rows = rows;
    weights_spell(w, s->tensor, layer, ".weight", name);
    TRY(read_matrix(w, s, name, rows, cols, l, err));
    struct stored_matrix *stored = &w->model->stored[w->model->stored_count - 1];
    if (stored->linear == SIZE_MAX) stored->linear = (size_t)(l - w->model->linears);
    /* A GGUF says by the tensor alone whether there is a bias. */
    weights_spell(w, s->tensor, layer, ".bias", name);
    bool biased = w->gguf ? weights_find(w, name) != NULL : s->bias;
    if (!biased) return LORAC_OK;
    return read_vector(w, name, s->rows, l, s, rows, 0, &l->bias, err);
}

/* ---- the end -------------------------------------------------------------------------------- */

static bool of_other_senses(const struct weights *w, const struct source *s)
{
    size_t length = strlen(w->prefix);
    return w->model->sees && (s->name_length < length || memcmp(s->name, w->prefix, length));
}

static lorac_status name_surplus(const struct weights *w, lorac_error *err)
{
    size_t surplus = 0;
    const struct source *first = NULL;
    for (size_t i = 0; i < w->count; i++)
        if (!w->sources[i].used && !of_other_senses(w, &w->sources[i]) && !surplus++) first = &w->sources[i];
    if (!surplus) return LORAC_OK;
    return fail(
        err, LORAC_UNSUPPORTED, w->path,
        "%zu tensor%s of the file would not be used, \"%.*s\" the first: this is not the architecture it claims",
        surplus, surplus > 1 ? "s" : "", (int)first->name_length, first->name);
}

lorac_status weights_finish(struct weights *w, lorac_error *err)
{
    struct lorac_model *m = w->model;
    TRY(name_surplus(w, err));
    if (w->names.failed) return fail_memory(err, "the names", w->names.length);
    m->names = w->names.data;
    w->names = (struct text){.memory = w->memory};
    const char *name = m->names;
    for (size_t i = 0; i < m->linear_count; name += strlen(name) + 1) m->linears[i++].name = name;
    return LORAC_OK;
}
