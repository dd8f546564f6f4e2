/* cache.c — see cache.h. */
#include "model/cache.h"

lorac_status cache_create(struct backend *b, struct memory *m, struct kv_shape shape, size_t max_tokens,
                          struct kv_cache *c, lorac_error *err)
{
    *c = (struct kv_cache){.backend = b,
                           .memory = m,
                           .shape = shape,
                           .row_bytes = kv_bytes(shape.type, shape.head_dim),
                           .capacity = (max_tokens + CACHE_PAGE - 1) / CACHE_PAGE};
    c->k = mem_array(m, c->capacity, sizeof *c->k);
    c->v = mem_array(m, c->capacity, sizeof *c->v);
    if (c->k && c->v) return LORAC_OK;
    cache_free(c);
    return fail_memory(err, "the cache's page table", c->capacity * sizeof *c->k);
}

void cache_free(struct kv_cache *c)
{
    for (size_t i = 0; i < c->pages; i++) c->backend->kernels->buffer_free(c->backend, c->k[i].buffer);
    mem_free(c->memory, c->k);
    mem_free(c->memory, c->v);
    *c = (struct kv_cache){0};
}

static size_t half_bytes(const struct kv_cache *c) /* the keys, or the values, of a layer in a page */
{
    return c->shape.kv_heads * CACHE_PAGE * c->row_bytes;
}

lorac_status cache_reserve(struct kv_cache *c, size_t tokens, lorac_error *err)
{
    size_t wanted = (tokens + CACHE_PAGE - 1) / CACHE_PAGE;
    if (wanted > c->capacity)
        return fail(err, LORAC_INVALID_ARGUMENT, NULL, "the session holds at most %zu tokens",
                    c->capacity * CACHE_PAGE);
    for (; c->pages < wanted; c->pages++) {
        struct buffer *page;
        TRY(c->backend->kernels->buffer_create(c->backend, c->shape.layers * 2 * half_bytes(c), &page, err));
        c->k[c->pages] = (struct buf){page, 0};
        c->v[c->pages] = (struct buf){page, half_bytes(c)};
    }
    return LORAC_OK;
}

struct kv_view cache_view(const struct kv_cache *c, size_t layer)
{
    return (struct kv_view){
        c->k, c->v, c->shape.type, layer * 2 * half_bytes(c), CACHE_PAGE, c->row_bytes, CACHE_PAGE * c->row_bytes};
}

void cache_append(const struct kv_cache *c, struct stream *s, size_t layer, size_t position, struct buf k, struct buf v,
                  enum number number, size_t rows)
{
    size_t width = c->shape.kv_heads * c->shape.head_dim * number_bytes(number), n;
    for (size_t at = position, end = position + rows; at < end; at += n, k.offset += n * width, v.offset += n * width) {
        size_t page = at / CACHE_PAGE, slot = at % CACHE_PAGE;
        size_t offset = layer * 2 * half_bytes(c) + slot * c->row_bytes;
        n = CACHE_PAGE - slot < end - at ? CACHE_PAGE - slot : end - at;
        struct kv_store store = {{c->k[page].buffer, c->k[page].offset + offset},
                                 k,
                                 number,
                                 c->shape.type,
                                 n,
                                 c->shape.kv_heads,
                                 c->shape.head_dim,
                                 c->row_bytes,
                                 CACHE_PAGE * c->row_bytes};
        c->backend->kernels->kv_store(s, &store);
        store.to = (struct buf){c->v[page].buffer, c->v[page].offset + offset};
        store.x = v;
        c->backend->kernels->kv_store(s, &store);
    }
}
