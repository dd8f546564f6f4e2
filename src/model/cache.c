/* cache.c — see cache.h. */
#include "model/cache.h"

lorac_status cache_create(struct backend *b, struct memory *m, size_t layers, size_t kv_dim, size_t max_tokens,
                          struct kv_cache *c, lorac_error *err)
{
    *c = (struct kv_cache){.backend = b,
                           .memory = m,
                           .layers = layers,
                           .kv_dim = kv_dim,
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

lorac_status cache_reserve(struct kv_cache *c, size_t tokens, lorac_error *err)
{
    size_t wanted = (tokens + CACHE_PAGE - 1) / CACHE_PAGE, half = CACHE_PAGE * c->kv_dim;
    if (wanted > c->capacity)
        return fail(err, LORAC_INVALID_ARGUMENT, NULL, "the session holds at most %zu tokens",
                    c->capacity * CACHE_PAGE);
    for (; c->pages < wanted; c->pages++) {
        struct buffer *page;
        TRY(c->backend->kernels->buffer_create(c->backend, c->layers * 2 * half * sizeof(float), &page, err));
        c->k[c->pages] = (struct buf){page, 0};
        c->v[c->pages] = (struct buf){page, half * sizeof(float)};
    }
    return LORAC_OK;
}

struct kv_view cache_view(const struct kv_cache *c, size_t layer)
{
    return (struct kv_view){c->k, c->v, layer * 2 * CACHE_PAGE * c->kv_dim, CACHE_PAGE, c->kv_dim};
}

void cache_append(const struct kv_cache *c, struct stream *s, size_t layer, size_t position, struct buf k, struct buf v,
                  size_t rows)
{
    const struct backend_kernels *kernels = c->backend->kernels;
    size_t base = layer * 2 * CACHE_PAGE * c->kv_dim, width = c->kv_dim;
    for (size_t done = 0; done < rows;) {
        size_t at = position + done, page = at / CACHE_PAGE, slot = at % CACHE_PAGE;
        size_t n = CACHE_PAGE - slot < rows - done ? CACHE_PAGE - slot : rows - done;
        kernels->copy_rows(s, buf_at(c->k[page], base + slot * width), width, buf_at(k, done * width), width,
                           NUMBER_F32, n, width);
        kernels->copy_rows(s, buf_at(c->v[page], base + slot * width), width, buf_at(v, done * width), width,
                           NUMBER_F32, n, width);
        done += n;
    }
}
