/* weights_list.c — opening a model's files and listing their tensors. See weights_list.h. */
#include "model/weights_list.h"

#include "file/foreign.h"
#include "model/config_json.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

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
                           .dtype = t->dtype,
                           .type_name = st_dtype_name(t->dtype),
                           .dims = t->dims,
                           .cols = t->dims ? t->shape[t->dims - 1] : 1,
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
    /* Every vector, and every gathered part of a matrix, becomes a buffer of its own. */
    w->model->buffers = mem_array(w->memory, files + 8 * tensors + 8, sizeof *w->model->buffers);
    w->model->planes = mem_array(w->memory, tensors * 3 + 1, sizeof *w->model->planes);
    w->sources = mem_array(w->memory, tensors, sizeof *w->sources);
    w->model->stored = mem_array(w->memory, tensors, sizeof *w->model->stored);
    return w->model->buffers && w->sources && w->model->planes && w->model->stored
               ? LORAC_OK
               : fail_memory(err, "the list of tensors", tensors * sizeof *w->sources);
}

static lorac_status list_gguf(struct weights *w, lorac_error *err)
{
    const struct gguf *g = &w->model->gguf;
    struct buffer *unused, *const *files;
    TRY(room(w, g->tensor_count, g->file_count, err));
    files = w->model->buffers + w->model->buffer_count;
    for (size_t i = 0; i < g->file_count; i++) TRY(wrap(w, &g->files[i], &unused, err));
    for (; w->count < g->tensor_count; w->count++) {
        struct source *s = &w->sources[w->count];
        size_t file = g->tensors[w->count].file;
        *s = from_gguf(&g->tensors[w->count]);
        s->buffer = files[file];
        s->offset = (size_t)(s->data - g->files[file].data);
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

/* ---- names ---------------------------------------------------------------------------------- */

static struct source *exactly(const struct weights *w, const char *name)
{
    struct source key = {.name = name, .name_length = strlen(name)};
    return w->count && *name ? bsearch(&key, w->sources, w->count, sizeof *w->sources, by_name) : NULL;
}

/* The embedding is found by the end of its name, which a scheme may lengthen; what stands before is the prefix. */
static lorac_status find_prefix(struct weights *w, lorac_error *err)
{
    const char *name = family_name(w->model->family, PART_EMBEDDING).hf, *end = strchr(name, '.') + 1;
    char wanted[WEIGHT_NAME];
    size_t fewest = SIZE_MAX;
    snprintf(wanted, sizeof wanted, "%s.weight", end);
    for (size_t i = 0; i < w->count; i++) {
        const char *full = w->sources[i].name, *place = strstr(full, wanted); /* a folder's names end with NUL */
        size_t before = place ? (size_t)(place - full) : SIZE_MAX;
        if (before >= fewest || before >= WEIGHT_NAME - 1 || (before && place[-1] != '.')) continue;
        snprintf(w->prefix, sizeof w->prefix, "%.*s", (int)before, full);
        fewest = before;
    }
    if (fewest != SIZE_MAX) return LORAC_OK;
    return fail(err, LORAC_FORMAT, w->path, "tensor \"%s.weight\" is missing", name);
}

/* The family's own name for the inside ("model.", "transformer.") gives way to the folder's; a head outside may stand
 * behind the first part of the folder's ("language_model.lm_head"). */
static struct source *behind_prefix(const struct weights *w, const char *name)
{
    char text[2 * WEIGHT_NAME];
    const char *inside = family_name(w->model->family, PART_EMBEDDING).hf;
    size_t length = (size_t)(strchr(inside, '.') + 1 - inside), outer = strlen(w->prefix);
    if (!strncmp(name, inside, length)) {
        snprintf(text, sizeof text, "%s%s", w->prefix, name + length);
        return exactly(w, text);
    }
    if (outer <= length || strncmp(w->prefix + outer - length, inside, length)) return exactly(w, name);
    struct source *s = exactly(w, name);
    if (s) return s;
    snprintf(text, sizeof text, "%.*s%s", (int)(outer - length), w->prefix, name);
    return exactly(w, text);
}

/* mlx-lm names some families' layers otherwise, and has their heads behind the prefix. */
static struct source *as_in_mlx(const struct weights *w, const char *name)
{
    char text[2 * WEIGHT_NAME];
    const char *const *mlx = w->model->family->mlx;
    size_t length = mlx ? strlen(mlx[0]) : 0;
    if (!mlx) return NULL;
    bool layer = !strncmp(name, mlx[0], length);
    snprintf(text, sizeof text, "%s%s", layer ? mlx[1] : w->prefix, layer ? name + length : name);
    return exactly(w, text);
}

struct source *weights_find(const struct weights *w, const char *name)
{
    if (w->gguf) return exactly(w, name);
    struct source *s = behind_prefix(w, name);
    return s ? s : as_in_mlx(w, name);
}

/* A family whose matrices are (in, out) has them (out, in) in mlx-lm's folders: q, k and v together tell which. */
static void tell_transposed(struct weights *w)
{
    struct model_config *c = &w->model->config;
    char name[WEIGHT_NAME];
    weights_spell(w, family_name(w->model->family, PART_QKV), 0, ".weight", name);
    const struct source *s = c->conv1d ? weights_find(w, name) : NULL;
    if (s && s->rows == c->heads * c->head_dim * 3) c->conv1d = false;
}

/* ---- opening -------------------------------------------------------------------------------- */

static lorac_status open_folder(struct weights *w, const char *path, lorac_error *err)
{
    struct lorac_model *m = w->model;
    const char *foreign = file_foreign(path);
    if (foreign) return fail(err, LORAC_FORMAT, path, "is %s", foreign);
    char *file = os_join(w->memory, path, "config.json");
    json_t *config = NULL;
    lorac_status status = file ? json_read_file(w->memory, file, 1 << 24, &config, err) : fail_memory(err, "a path", 0);
    if (status == LORAC_OK) status = config_from_json(config, file, &m->family, &m->config, err);
    if (status == LORAC_OK) w->quantization = json_incref(config_quantization(config));
    if (status == LORAC_OK) m->sees = json_is_object(json_object_get(config, "text_config"));
    if (status == LORAC_OK) w->may_tie = m->sees && json_is_true(json_object_get(config, "tie_word_embeddings"));
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
    TRY(config_from_gguf(&m->gguf, &m->family, &m->config, err));
    return list_gguf(w, err);
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
    TRY(config_check(&model->config, path, err));
    if (w->gguf) return LORAC_OK;
    TRY(find_prefix(w, err));
    tell_transposed(w);
    if (w->may_tie) model->config.tied_head = !weights_has(w, family_name(model->family, PART_HEAD), SIZE_MAX);
    return LORAC_OK;
}

void weights_close(struct weights *w)
{
    if (!w) return;
    if (w->hash.state) hash_end(&w->hash, w->model->fingerprint);
    mem_free(w->memory, w->sources);
    text_free(&w->names);
    json_decref(w->quantization);
    mem_free(w->memory, w);
}
