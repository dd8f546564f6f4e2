/* cache.c — see cache.h. */
#include "model/cache.h"

static size_t smaller(size_t a, size_t b)
{
    return a < b ? a : b;
}

/* Gives each layer its place; finds the widest window. */
static void place_layers(struct kv_cache *c)
{
    for (size_t i = 0; i < c->shape.layers; i++) {
        size_t window = c->shape.windows ? c->shape.windows[i] : 0;
        enum cache_kind kind = window ? CACHE_WINDOW : CACHE_ALL;
        c->places[i] = (struct cache_place){kind, c->kinds[kind].layers++};
        if (window > c->window) c->window = window;
    }
    c->shape.windows = NULL; /* the caller's */
}

/* Pages for the keys of one pass's windows: `rows` queries see window + rows − 1 keys together. */
static size_t ring_pages(const struct kv_cache *c, size_t max_tokens)
{
    size_t keys = smaller(c->window, max_tokens) + smaller(c->shape.rows, max_tokens) - 1;
    return smaller((keys + CACHE_PAGE - 1) / CACHE_PAGE, c->capacity);
}

lorac_status cache_create(struct backend *b, struct memory *m, struct kv_shape shape, size_t max_tokens,
                          struct kv_cache *c, lorac_error *err)
{
    *c = (struct kv_cache){.backend = b,
                           .memory = m,
                           .shape = shape,
                           .row_bytes = kv_bytes(shape.type, shape.head_dim),
                           .capacity = (max_tokens + CACHE_PAGE - 1) / CACHE_PAGE};
    bool made = (c->places = mem_array(m, shape.layers, sizeof *c->places));
    if (made) place_layers(c);
    for (size_t i = 0; i < CACHE_KINDS; i++) {
        struct kv_pages *p = &c->kinds[i];
        if (!p->layers) continue;
        p->ring = i == CACHE_WINDOW ? ring_pages(c, max_tokens) : c->capacity;
        p->k = mem_array(m, c->capacity, sizeof *p->k);
        p->v = mem_array(m, c->capacity, sizeof *p->v);
        made = made && p->k && p->v;
    }
    if (made) return LORAC_OK;
    cache_free(c);
    return fail_memory(err, "the cache's page table", c->capacity * sizeof(struct buf));
}

void cache_free(struct kv_cache *c)
{
    for (size_t i = 0; i < CACHE_KINDS; i++) {
        struct kv_pages *p = &c->kinds[i];
        for (size_t j = 0; j < smaller(p->pages, p->ring); j++)
            c->backend->kernels->buffer_free(c->backend, p->k[j].buffer);
        mem_free(c->memory, p->k);
        mem_free(c->memory, p->v);
    }
    mem_free(c->memory, c->places);
    *c = (struct kv_cache){0};
}

static size_t half_bytes(const struct kv_cache *c) /* the keys, or the values, of a layer in a page */
{
    return c->shape.kv_heads * CACHE_PAGE * c->row_bytes;
}

/* The next page of a kind: a new one, or the oldest of a full ring. */
static lorac_status add_page(struct kv_cache *c, struct kv_pages *p, lorac_error *err)
{
    struct buffer *page;
    if (p->pages >= p->ring) {
        p->k[p->pages] = p->k[p->pages - p->ring];
        p->v[p->pages] = p->v[p->pages - p->ring];
    } else {
        TRY(c->backend->kernels->buffer_create(c->backend, p->layers * 2 * half_bytes(c), &page, err));
        p->k[p->pages] = (struct buf){page, 0};
        p->v[p->pages] = (struct buf){page, half_bytes(c)};
    }
    p->pages++;
    return LORAC_OK;
}

lorac_status cache_reserve(struct kv_cache *c, size_t tokens, lorac_error *err)
{
    size_t wanted = (tokens + CACHE_PAGE - 1) / CACHE_PAGE;
    if (wanted > c->capacity)
        return fail(err, LORAC_INVALID_ARGUMENT, NULL, "the session holds at most %zu tokens",
                    c->capacity * CACHE_PAGE);
    for (size_t i = 0; i < CACHE_KINDS; i++)
        while (c->kinds[i].layers && c->kinds[i].pages < wanted) TRY(add_page(c, &c->kinds[i], err));
    return LORAC_OK;
}

struct kv_view cache_view(const struct kv_cache *c, size_t layer)
{
    const struct cache_place *place = &c->places[layer];
    const struct kv_pages *p = &c->kinds[place->kind];
    return (struct kv_view){p->k,
                            p->v,
                            c->shape.type,
                            place->index * 2 * half_bytes(c),
                            CACHE_PAGE,
                            c->row_bytes,
                            CACHE_PAGE * c->row_bytes};
}

/* Tokens up to `end` are in the ring: those that they came to lie over are not. */
static void advance(struct kv_cache *c, size_t end)
{
    size_t room = c->kinds[CACHE_WINDOW].ring * CACHE_PAGE;
    if (end > room && end - room > c->first) c->first = end - room;
}

void cache_append(struct kv_cache *c, struct stream *s, size_t layer, size_t position, struct buf k, struct buf v,
                  enum number number, size_t rows)
{
    const struct kv_view to = cache_view(c, layer);
    size_t width = c->shape.kv_heads * c->shape.head_dim * number_bytes(number), n;
    if (c->places[layer].kind == CACHE_WINDOW) advance(c, position + rows);
    for (size_t at = position, end = position + rows; at < end; at += n, k.offset += n * width, v.offset += n * width) {
        size_t page = at / CACHE_PAGE, slot = at % CACHE_PAGE, offset = to.offset + slot * c->row_bytes;
        n = smaller(CACHE_PAGE - slot, end - at);
        struct kv_store store = {{to.k[page].buffer, to.k[page].offset + offset},
                                 k,
                                 number,
                                 c->shape.type,
                                 n,
                                 c->shape.kv_heads,
                                 c->shape.head_dim,
                                 c->row_bytes,
                                 CACHE_PAGE * c->row_bytes};
        c->backend->kernels->kv_store(s, &store);
        store.to = (struct buf){to.v[page].buffer, to.v[page].offset + offset};
        store.x = v;
        c->backend->kernels->kv_store(s, &store);
    }
}

void cache_truncate(struct kv_cache *c, size_t tokens)
{
    size_t seen = tokens + 1 > c->window ? tokens + 1 - c->window : 0; /* by the next query */
    if (c->kinds[CACHE_WINDOW].layers && seen < c->first) tokens = 0;
    c->tokens = smaller(c->tokens, tokens);
    if (!c->tokens) c->first = 0;
}
