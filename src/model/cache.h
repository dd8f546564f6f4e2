/* cache.h — the keys and values of one sequence: pages of CACHE_PAGE tokens, all layers in a page.
 *
 * A page is [layer][k or v][KV head][token] of vectors as `enum kv_type` stores them. Pages are kept on truncation, so
 * that a sequence that once was long grows again without a heap call. */
#ifndef MODEL_CACHE_H
#define MODEL_CACHE_H

#include "backend/backend.h"

enum { CACHE_PAGE = 256 };

struct kv_shape {
    enum kv_type type;
    size_t layers, kv_heads, head_dim;
};
struct kv_cache {
    struct backend *backend;
    struct memory *memory;
    struct kv_shape shape;
    struct buf *k, *v; /* one per page, layer 0 */
    size_t pages, capacity, row_bytes;
    size_t tokens; /* computed */
};
lorac_status cache_create(struct backend *b, struct memory *m, struct kv_shape shape, size_t max_tokens,
                          struct kv_cache *c, lorac_error *err);
void cache_free(struct kv_cache *c);
lorac_status cache_reserve(struct kv_cache *c, size_t tokens, lorac_error *err); /* pages for so many tokens */
struct kv_view cache_view(const struct kv_cache *c, size_t layer);
/* Writes rows (rows, kv_heads · head_dim) of keys and values as tokens position ... */
void cache_append(const struct kv_cache *c, struct stream *s, size_t layer, size_t position, struct buf k, struct buf v,
                  enum number number, size_t rows);

#endif
