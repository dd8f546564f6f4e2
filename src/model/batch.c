/* batch.c — see batch.h. */
#include "model/model.h"

#include <math.h>

lorac_status batch_create(const struct lorac_model *model, struct backend *backend, size_t max_rows,
                          size_t max_sequences, struct batch *b, lorac_error *err)
{
    const struct model_config *c = &model->config;
    struct memory *m = &model->runtime->memory;
    *b = (struct batch){.backend = backend,
                        .memory = m,
                        .max_rows = max_rows,
                        .max_sequences = max_sequences,
                        .layers = c->layers,
                        .first_trained = SIZE_MAX};
    size_t table = max_rows * c->rope[ROPE_FULL].dims, local = c->local_rope ? max_rows * c->rope[ROPE_LOCAL].dims : 0;
    size_t inverse = max_sequences * (MAX_HEAD_DIM / 2);
    b->host = mem_array(m, max_rows * 2, sizeof *b->host);
    b->segments = mem_array(m, c->layers * max_sequences, sizeof *b->segments);
    b->caches = mem_array(m, max_sequences, sizeof(struct kv_cache *));
    b->ranges = mem_array(m, max_sequences, sizeof *b->ranges);
    b->calls = mem_array(m, c->layers, sizeof *b->calls);
    b->host_inverse = mem_array(m, MAX_HEAD_DIM / 2, sizeof *b->host_inverse);
    b->lengths = mem_array(m, max_sequences, sizeof *b->lengths);
    if (!b->host || !b->segments || !b->caches || !b->ranges || !b->calls || !b->host_inverse || !b->lengths) {
        batch_free(b);
        return fail_memory(err, "a batch", max_rows * 8);
    }
    size_t floats = max_rows * 2 + table + local + inverse;
    lorac_status status = backend->kernels->buffer_create(backend, floats * 4 + 64, &b->buffer, err);
    if (status != LORAC_OK) batch_free(b);
    b->ids = (struct buf){b->buffer, 0};
    b->positions = buf_at(b->ids, max_rows);
    const struct rope_config *full = &c->rope[ROPE_FULL], *near = &c->rope[ROPE_LOCAL];
    b->rope[ROPE_FULL] = (struct rope){buf_at(b->positions, max_rows), c->head_dim, full->dims, full->interleaved};
    b->rope[ROPE_LOCAL] =
        (struct rope){buf_at(b->rope[ROPE_FULL].table, table), c->head_dim, near->dims, near->interleaved};
    b->inverse = buf_at(b->rope[ROPE_LOCAL].table, local);
    for (size_t i = 0; status == LORAC_OK && i < c->layers; i++)
        b->calls[i] = (struct layer_call){.model = model, .batch = b, .layer = i};
    return status;
}

void batch_free(struct batch *b)
{
    if (!b->backend) return;
    b->backend->kernels->buffer_free(b->backend, b->buffer);
    mem_free(b->memory, b->host);
    mem_free(b->memory, b->segments);
    mem_free(b->memory, b->caches);
    mem_free(b->memory, b->ranges);
    mem_free(b->memory, b->calls);
    mem_free(b->memory, b->host_inverse);
    mem_free(b->memory, b->lengths);
    *b = (struct batch){0};
}

void batch_clear(struct batch *b)
{
    b->rows = b->sequences = b->terms.count = 0;
}

static bool add_sequence(struct batch *b, size_t count, size_t position, size_t length, struct kv_cache *cache,
                         const struct term_table *terms)
{
    if (count > b->max_rows - b->rows || b->sequences == b->max_sequences) return false;
    b->segments[b->sequences] = (struct attention_segment){.row = b->rows, .rows = count, .position = position};
    b->ranges[b->sequences] = (struct term_rows){b->rows, count, terms};
    b->lengths[b->sequences] = length;
    b->caches[b->sequences++] = cache;
    b->rows += count;
    return true;
}

bool batch_add(struct batch *b, const int32_t *ids, size_t count, size_t position, size_t length,
               struct kv_cache *cache, const struct term_table *terms)
{
    size_t first = b->rows;
    if (!add_sequence(b, count, position, length, cache, terms)) return false;
    for (size_t i = 0; i < count; i++) {
        b->host[first + i] = ids[i];
        b->host[b->max_rows + first + i] = (int32_t)(position + i);
    }
    return true;
}

bool batch_add_blank(struct batch *b, size_t count)
{
    return add_sequence(b, count, 0, count, NULL, NULL);
}

/* Neighbours under the same set become one range: one product instead of several. */
static void join_ranges(struct batch *b)
{
    b->terms = (struct row_terms){b->ranges, 0};
    for (size_t i = 0; i < b->sequences; i++) {
        struct term_rows next = b->ranges[i], *last = b->terms.count ? &b->ranges[b->terms.count - 1] : NULL;
        if (last && last->table == next.table)
            last->rows += next.rows;
        else
            b->ranges[b->terms.count++] = next;
    }
}

static void rope_rows(struct batch *b, struct stream *s, int kind, size_t row, size_t rows, struct buf inverse)
{
    const struct rope *r = &b->rope[kind];
    b->backend->kernels->rope_table(s, buf_at(r->table, row * r->rotary), buf_at(b->positions, row), inverse, rows,
                                    r->rotary, b->calls[0].model->rope[kind].factor);
}

/* The angles of a sequence: the model's, but for scalings that depend on its length. */
static struct buf angles(struct batch *b, struct stream *s, int kind, size_t sequence)
{
    const struct lorac_model *model = b->calls[0].model;
    const struct rope_config *r = &model->config.rope[kind];
    float factor;
    bool beyond = (double)b->lengths[sequence] > r->original_context;
    if (r->scaling == ROPE_LONG) return model->rope[kind].inverse[beyond];
    if (r->scaling != ROPE_DYNAMIC || !beyond) return model->rope[kind].inverse[0];
    struct buf inverse = buf_at(b->inverse, sequence * (MAX_HEAD_DIM / 2));
    rope_frequencies(r, b->lengths[sequence], NULL, b->host_inverse, &factor);
    b->backend->kernels->upload(s, inverse, b->host_inverse, r->dims / 2 * sizeof *b->host_inverse);
    return inverse;
}

static void fill_tables(struct batch *b, struct stream *s, int kind)
{
    const struct rope_config *r = &b->calls[0].model->config.rope[kind];
    bool by_length = r->scaling == ROPE_LONG || r->scaling == ROPE_DYNAMIC;
    if (!by_length) rope_rows(b, s, kind, 0, b->rows, b->calls[0].model->rope[kind].inverse[0]);
    for (size_t i = 0; by_length && i < b->sequences; i++)
        rope_rows(b, s, kind, b->segments[i].row, b->segments[i].rows, angles(b, s, kind, i));
}

const struct rope *batch_rope(const struct batch *b, size_t layer)
{
    const struct model_config *c = &b->calls[0].model->config;
    const struct rope_config *r = config_rope(c, layer);
    return r ? &b->rope[r - c->rope] : NULL;
}

void batch_upload(struct batch *b, struct stream *s)
{
    const struct backend_kernels *k = b->backend->kernels;
    const struct model_config *c = &b->calls[0].model->config;
    join_ranges(b);
    k->upload(s, b->ids, b->host, b->rows * sizeof *b->host);
    k->upload(s, b->positions, b->host + b->max_rows, b->rows * sizeof *b->host);
    if (!c->positions) fill_tables(b, s, ROPE_FULL);
    if (c->local_rope) fill_tables(b, s, ROPE_LOCAL);
    for (size_t l = 1; l < b->layers; l++)
        for (size_t i = 0; i < b->sequences; i++) b->segments[l * b->max_sequences + i] = b->segments[i];
}

const struct attention_shape *batch_attention(struct batch *b, struct exec *e, size_t layer, const struct tensor *k,
                                              const struct tensor *v)
{
    const struct model_config *c = &b->calls[layer].model->config;
    struct attention_segment *segments = b->segments + layer * b->max_sequences;
    struct attention_shape *shape = &b->calls[layer].attention;
    struct layer_attention a = config_attention(c, layer);
    *shape = (struct attention_shape){.heads = c->heads,
                                      .kv_heads = c->kv_heads,
                                      .head_dim = c->head_dim,
                                      .scale = a.scale,
                                      .window = a.window,
                                      .softcap = a.softcap,
                                      .segments = segments,
                                      .segment_count = b->sequences};
    for (size_t i = 0; i < b->sequences; i++) {
        struct attention_segment *g = &segments[i];
        size_t at = g->row * k->width;
        if (!b->caches[i]) {
            size_t bytes = number_bytes(k->number);
            g->kv = (struct kv_view){&k->data, &v->data,         kv_of_number(k->number), at * bytes,
                                     g->rows,  k->width * bytes, c->head_dim * bytes};
            continue;
        }
        cache_append(b->caches[i], &e->stream, layer, g->position, buf_numbers(k->data, at, k->number),
                     buf_numbers(v->data, at, v->number), k->number, g->rows);
        g->kv = cache_view(b->caches[i], layer);
    }
    return shape;
}
