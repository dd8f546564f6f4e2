/* weights.c — see weights.h. */
#include "model/weights.h"

#include "base/hash.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { NAME = 160, SAMPLE = 4096, MAX_LAYERS = 4096 };

/* A tensor of either format. */
struct source {
    const char *name; /* not NUL-terminated */
    size_t name_length;
    int type; /* quant_type, or -1 */
    const char *type_name;
    size_t dims, rows, cols; /* a vector has rows 1; more dimensions are refused when asked for */
    const uint8_t *data;
    size_t bytes;
    struct buffer *buffer; /* of its file */
    size_t offset;
    bool used;
};

struct weights {
    struct lorac_model *model;
    struct memory *memory;
    const char *path;
    bool gguf;
    struct source *sources; /* sorted by name */
    size_t count;
    struct text names;
    struct hash hash;
};

/* ---- the list of tensors -------------------------------------------------------------------- */

static int by_name(const void *a, const void *b)
{
    const struct source *x = a, *y = b;
    size_t shorter = x->name_length < y->name_length ? x->name_length : y->name_length;
    int order = memcmp(x->name, y->name, shorter);
    return order ? order : (x->name_length > y->name_length) - (x->name_length < y->name_length);
}

static struct source from_gguf(const struct gguf_tensor *t)
{
    const struct quant_format *f = quant_from_ggml(t->type);
    size_t elements, bytes;
    struct source s = {.name = t->name.data,
                       .name_length = t->name.length,
                       .type = f ? (int)quant_type_of(f) : -1,
                       .dims = t->dims,
                       .cols = t->shape[0],
                       .rows = t->dims > 1 ? t->shape[1] : 1,
                       .data = t->data,
                       .bytes = t->bytes};
    if (!gguf_type_size(t->type, &elements, &bytes, &s.type_name)) s.type_name = "unknown";
    return s;
}

static struct source from_safetensors(const struct st_tensor *t)
{
    int type = t->dtype == ST_F32 ? QUANT_F32 : t->dtype == ST_F16 ? QUANT_F16 : t->dtype == ST_BF16 ? QUANT_BF16 : -1;
    return (struct source){.name = t->name,
                           .name_length = strlen(t->name),
                           .type = type,
                           .type_name = st_dtype_name(t->dtype),
                           .dims = t->dims,
                           .cols = t->dims ? t->shape[t->dims - 1] : 0,
                           .rows = t->dims > 1 ? t->shape[0] : 1,
                           .data = t->data,
                           .bytes = t->bytes};
}

static lorac_status wrap(struct weights *w, const struct os_file *file, struct buffer **buffer, lorac_error *err)
{
    struct lorac_model *m = w->model;
    TRY(m->runtime->backend->kernels->buffer_wrap(m->runtime->backend, file->data, file->size, buffer, err));
    m->buffers[m->buffer_count++] = *buffer;
    m->file_bytes += file->size;
    return LORAC_OK;
}

static lorac_status room(struct weights *w, size_t tensors, size_t files, lorac_error *err)
{
    /* Every vector becomes a buffer of its own. */
    w->model->buffers = mem_array(w->memory, files + tensors + 8, sizeof *w->model->buffers);
    w->sources = mem_array(w->memory, tensors, sizeof *w->sources);
    return w->model->buffers && w->sources ? LORAC_OK
                                           : fail_memory(err, "the list of tensors", tensors * sizeof *w->sources);
}

static lorac_status list_gguf(struct weights *w, lorac_error *err)
{
    const struct gguf *g = &w->model->gguf;
    struct buffer *buffer;
    TRY(room(w, g->tensor_count, 1, err));
    TRY(wrap(w, &g->file, &buffer, err));
    for (; w->count < g->tensor_count; w->count++) {
        struct source *s = &w->sources[w->count];
        *s = from_gguf(&g->tensors[w->count]);
        s->buffer = buffer;
        s->offset = (size_t)(s->data - g->file.data);
    }
    return LORAC_OK;
}

static lorac_status list_folder(struct weights *w, lorac_error *err)
{
    const struct st_folder *f = &w->model->folder;
    size_t total = 0;
    for (size_t i = 0; i < f->shard_count; i++) total += f->shards[i].count;
    TRY(room(w, total, f->shard_count, err));
    for (size_t i = 0; i < f->shard_count; i++) {
        struct buffer *buffer;
        TRY(wrap(w, &f->shards[i].file, &buffer, err));
        for (size_t k = 0; k < f->shards[i].count; k++) {
            struct source *s = &w->sources[w->count++];
            *s = from_safetensors(&f->shards[i].tensors[k]);
            s->buffer = buffer;
            s->offset = (size_t)(s->data - f->shards[i].file.data);
        }
    }
    return LORAC_OK;
}

/* ---- opening -------------------------------------------------------------------------------- */

static lorac_status open_folder(struct weights *w, const char *path, lorac_error *err)
{
    struct lorac_model *m = w->model;
    char *file = os_join(w->memory, path, "config.json");
    json_t *config = NULL;
    lorac_status status = file ? json_read_file(w->memory, file, 1 << 24, &config, err) : fail_memory(err, "a path", 0);
    if (status == LORAC_OK) status = config_from_json(config, file, &m->config, err);
    if (status == LORAC_OK) status = st_folder_open(w->memory, path, m->runtime->map_files, &m->folder, err);
    json_decref(config);
    mem_free(w->memory, file);
    return status == LORAC_OK ? list_folder(w, err) : status;
}

static lorac_status open_gguf(struct weights *w, const char *path, lorac_error *err)
{
    struct lorac_model *m = w->model;
    w->gguf = true;
    TRY(gguf_open(w->memory, path, m->runtime->map_files, &m->gguf, err));
    TRY(config_from_gguf(&m->gguf, &m->config, err));
    return list_gguf(w, err);
}

static lorac_status check_config(const struct weights *w, lorac_error *err)
{
    const struct model_config *c = &w->model->config;
    if (c->layers > MAX_LAYERS || c->heads % c->kv_heads || !c->kv_heads || c->head_dim % 2 || !c->head_dim ||
        c->head_dim > 512 || c->rope.dims > c->head_dim || c->rope.dims % 2 || !c->rope.dims || c->heads > 4096 ||
        c->hidden > 1 << 16 || c->heads * c->head_dim > 1 << 16 || c->intermediate > 1 << 22 || c->vocab > 1 << 24 ||
        !(c->norm_eps >= 0))
        return fail(err, LORAC_UNSUPPORTED, w->path,
                    "the shape makes no sense: %zu layers, %zu heads, %zu KV heads of %zu dimensions, %zu rotated",
                    c->layers, c->heads, c->kv_heads, c->head_dim, c->rope.dims);
    if (!(c->rope.theta > 0) || !(c->rope.factor > 0) || !(c->rope.original_context > 0) ||
        !(c->rope.attention_factor > 0))
        return fail(err, LORAC_FORMAT, w->path, "the rotary embedding's numbers make no sense");
    return LORAC_OK;
}

lorac_status weights_open(struct lorac_model *model, const char *path, struct weights **out, lorac_error *err)
{
    struct memory *memory = &model->runtime->memory;
    struct weights *w = mem_alloc(memory, sizeof *w);
    if (!w) return fail_memory(err, "the weights", sizeof *w);
    *w = (struct weights){.model = model, .memory = memory, .path = path, .names = {.memory = memory}};
    *out = w;
    TRY(hash_begin(&w->hash, err));
    TRY(os_is_folder(path) ? open_folder(w, path, err) : open_gguf(w, path, err));
    qsort(w->sources, w->count, sizeof *w->sources, by_name);
    return check_config(w, err);
}

void weights_close(struct weights *w)
{
    if (!w) return;
    if (w->hash.state) hash_end(&w->hash, w->model->fingerprint);
    mem_free(w->memory, w->sources);
    text_free(&w->names);
    mem_free(w->memory, w);
}

/* ---- asking for tensors --------------------------------------------------------------------- */

/* %zu in the pattern replaced by the layer. */
static void spell_pattern(const char *pattern, size_t layer, char text[NAME])
{
    const char *place = pattern ? strstr(pattern, "%zu") : NULL;
    if (place)
        snprintf(text, NAME, "%.*s%zu%s", (int)(place - pattern), pattern, layer, place + 3);
    else
        snprintf(text, NAME, "%s", pattern ? pattern : "");
}

static void spell(const struct weights *w, struct weight_name name, size_t layer, char text[NAME])
{
    spell_pattern(w->gguf ? name.gguf : name.hf, layer, text);
}

static struct source *find(const struct weights *w, const char *name)
{
    struct source key = {.name = name, .name_length = strlen(name)};
    return w->count && *name ? bsearch(&key, w->sources, w->count, sizeof *w->sources, by_name) : NULL;
}

bool weights_has(const struct weights *w, struct weight_name name, size_t layer)
{
    char text[NAME];
    spell(w, name, layer, text);
    return find(w, text) != NULL;
}

void weights_ignore(struct weights *w, struct weight_name name, size_t layer)
{
    char text[NAME];
    spell(w, name, layer, text);
    struct source *s = find(w, text);
    if (s) s->used = true;
}

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

static lorac_status take(struct weights *w, const char *name, size_t dims, size_t rows, size_t cols,
                         struct source **out, lorac_error *err)
{
    struct source *s = find(w, name);
    if (!s) return fail(err, LORAC_FORMAT, w->path, "tensor \"%s\" is missing", name);
    if (s->dims != dims || s->rows != rows || s->cols != cols)
        return fail(err, LORAC_FORMAT, w->path, "tensor \"%s\" is %zu x %zu in %zu dimensions, expected %zu x %zu",
                    name, s->rows, s->cols, s->dims, rows, cols);
    if (s->type < 0)
        return fail(err, LORAC_UNSUPPORTED, w->path,
                    "tensor \"%s\" is of type %s; lorac reads F32, F16, BF16, Q4_0, Q4_1 and Q8_0", name, s->type_name);
    s->used = true;
    remember(w, s);
    w->model->weight_bytes += s->bytes;
    w->model->parameters += rows * cols;
    *out = s;
    return LORAC_OK;
}

lorac_status weights_matrix(struct weights *w, struct weight_name name, size_t layer, size_t rows, size_t cols,
                            struct qmatrix *m, lorac_error *err)
{
    char text[NAME];
    struct source *s = NULL;
    spell(w, name, layer, text);
    TRY(take(w, text, 2, rows, cols, &s, err));
    *m = (struct qmatrix){(enum quant_type)s->type, {s->buffer, s->offset}, rows, cols, 0};
    if (!quant_row_bytes(m->type, cols, &m->row_bytes) || m->row_bytes * rows != s->bytes)
        return fail(err, LORAC_FORMAT, w->path, "tensor \"%s\": rows of %zu do not fill %s blocks", text, cols,
                    s->type_name);
    return LORAC_OK;
}

lorac_status weights_upload(struct weights *w, const float *values, size_t count, struct buf *v, lorac_error *err)
{
    struct lorac_model *m = w->model;
    struct stream s = {.backend = m->runtime->backend};
    struct buffer *buffer;
    TRY(m->runtime->backend->kernels->buffer_create(m->runtime->backend, count * sizeof *values, &buffer, err));
    m->buffers[m->buffer_count++] = buffer;
    *v = (struct buf){buffer, 0};
    m->runtime->backend->kernels->upload(&s, *v, values, count * sizeof *values);
    return LORAC_OK;
}

lorac_status weights_vector(struct weights *w, struct weight_name name, size_t layer, size_t size, bool optional,
                            struct buf *v, lorac_error *err)
{
    char text[NAME];
    struct source *s = NULL;
    spell(w, name, layer, text);
    *v = (struct buf){0};
    if (optional && !find(w, text)) return LORAC_OK;
    TRY(take(w, text, 1, 1, size, &s, err));
    if (quant_formats[s->type].block != 1)
        return fail(err, LORAC_UNSUPPORTED, w->path, "tensor \"%s\": a vector of type %s", text, s->type_name);
    float *values = mem_array(w->memory, size, sizeof *values);
    if (!values) return fail_memory(err, text, size * sizeof *values);
    quant_formats[s->type].dequantize(values, s->data, size);
    lorac_status status = weights_upload(w, values, size, v, err);
    mem_free(w->memory, values);
    return status;
}

/* Bias rows of q and k are permuted like the weight's: both stay in the file's order. */
lorac_status weights_linear(struct weights *w, struct weight_name module, size_t layer, size_t rows, size_t cols,
                            bool bias, struct linear *l, lorac_error *err)
{
    char hf[NAME], weight_hf[NAME], weight_gguf[NAME], bias_hf[NAME], bias_gguf[NAME];
    spell_pattern(module.hf, layer, hf);
    snprintf(weight_hf, NAME, "%s.weight", module.hf);
    snprintf(weight_gguf, NAME, "%s.weight", module.gguf);
    snprintf(bias_hf, NAME, "%s.bias", module.hf);
    snprintf(bias_gguf, NAME, "%s.bias", module.gguf);
    l->layer = layer;
    text_add(&w->names, hf, strlen(hf) + 1); /* in the order of the linears */
    TRY(weights_matrix(w, (struct weight_name){weight_hf, weight_gguf}, layer, rows, cols, &l->weight, err));
    /* A GGUF says by the tensor alone whether there is a bias. */
    if (bias || w->gguf)
        TRY(weights_vector(w, (struct weight_name){bias_hf, bias_gguf}, layer, rows, w->gguf, &l->bias, err));
    return LORAC_OK;
}

/* ---- the end -------------------------------------------------------------------------------- */

static lorac_status name_surplus(const struct weights *w, lorac_error *err)
{
    size_t surplus = 0;
    const struct source *first = NULL;
    for (size_t i = 0; i < w->count; i++)
        if (!w->sources[i].used && !surplus++) first = &w->sources[i];
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
