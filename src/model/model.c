/* model.c — opening, counting and closing a model. */
#include "model/decoder.h"
#include "model/weights.h"

#include <string.h>

static void model_free(struct lorac_model *m)
{
    struct memory *memory = &m->runtime->memory;
    for (size_t i = 0; i < m->buffer_count; i++)
        m->runtime->backend->kernels->buffer_free(m->runtime->backend, m->buffers[i]);
    gguf_close(&m->gguf);
    st_folder_close(&m->folder);
    for (size_t i = 0; i < m->plane_count; i++) mem_free(memory, m->planes[i]);
    mem_free(memory, m->planes);
    mem_free(memory, m->stored);
    mem_free(memory, m->buffers);
    mem_free(memory, m->names);
    mem_free(memory, m->layers);
    mem_free(memory, m->linears);
    mem_free(memory, m->path);
    mem_free(memory, m);
}

lorac_status model_open_weights(lorac_runtime *runtime, const char *path, struct lorac_model **model,
                                struct weights **w, lorac_error *err)
{
    *model = NULL;
    *w = NULL;
    struct lorac_model *m = mem_alloc(&runtime->memory, sizeof *m);
    if (!m) return fail_memory(err, "a model", sizeof *m);
    m->references = 1;
    m->runtime = runtime;
    m->path = mem_text(&runtime->memory, path, strlen(path));
    lorac_status status = m->path ? weights_open(m, m->path, w, err) : fail_memory(err, "a path", strlen(path));
    if (status == LORAC_OK) return *model = m, LORAC_OK;
    weights_close(*w);
    *w = NULL;
    model_free(m);
    return status;
}

lorac_status lorac_model_open(lorac_runtime *runtime, const char *path, lorac_model **model, lorac_error *err)
{
    struct weights *w;
    struct lorac_model *m;
    *model = NULL;
    TRY(model_open_weights(runtime, path, &m, &w, err));
    lorac_status status = decoder_load(m, w, err);
    if (status == LORAC_OK) status = weights_finish(w, err);
    weights_close(w);
    if (status == LORAC_OK)
        *model = m;
    else
        model_free(m);
    return status;
}

void lorac_model_retain(lorac_model *model)
{
    model->references++;
}

void lorac_model_release(lorac_model *model)
{
    if (model && --model->references == 0) model_free(model);
}

static bool int8_products(const struct lorac_model *m)
{
    const struct backend *b = m->runtime->backend;
    size_t with = 0, all = 0;
    for (size_t i = 0; i < m->linear_count; i++) {
        const struct qmatrix *w = &m->linears[i].weight;
        all += w->rows * w->cols;
        if (b->kernels->int8_products(b, w->type)) with += w->rows * w->cols;
    }
    return 2 * with > all;
}

void lorac_model_get_info(const lorac_model *m, lorac_model_info *info)
{
    const struct model_config *c = &m->config;
    size_t size = info->struct_size;
    lorac_model_info full = {size,
                             m->family->name,
                             m->path,
                             c->layers,
                             c->hidden,
                             c->intermediate,
                             c->heads,
                             c->kv_heads,
                             c->head_dim,
                             c->vocab,
                             c->context,
                             m->parameters,
                             m->weight_bytes,
                             c->tied_head,
                             int8_products(m)};
    memcpy(info, &full, size < sizeof full ? size : sizeof full);
}
