/* cache.h — the keys and values of one sequence: pages of CACHE_PAGE tokens.
 *
 * Layers are of two kinds: those whose queries see all keys, and those with a window. A page holds all layers of a
 * kind: [layer][k or v][KV head][token] of vectors as `enum kv_type` stores them. Layers with a window go round a ring
 * of pages that holds what the queries of one pass can see; in the table of pages, page i then lies where page i − ring
 * did, so that a view looks the same for both. Pages are kept on truncation, so that a sequence that once was long
 * grows again without a heap call. */
#ifndef MODEL_CACHE_H
#define MODEL_CACHE_H

#include "backend/backend.h"

enum { CACHE_PAGE = 256 };
enum cache_kind { CACHE_ALL, CACHE_WINDOW, CACHE_KINDS };

struct kv_shape {
    enum kv_type type;
    size_t layers, kv_heads, head_dim;
    const size_t *windows; /* (layers): keys that a query sees, 0: all; NULL: no layer has one. Read while creating. */
    size_t rows;           /* with windows: the most tokens of one pass */
};
struct kv_pages {
    struct buf *k, *v; /* one per page, the kind's first layer */
    size_t layers, pages, ring;
};
struct kv_cache {
    struct backend *backend;
    struct memory *memory;
    struct kv_shape shape;
    struct kv_pages kinds[CACHE_KINDS];
    struct cache_place {
        enum cache_kind kind;
        size_t index;
    } * places; /* (layers) */
    size_t capacity, row_bytes;
    size_t window; /* the widest */
    size_t tokens; /* computed */
    size_t first;  /* the windows' keys from here on are held */
};
lorac_status cache_create(struct backend *b, struct memory *m, struct kv_shape shape, size_t max_tokens,
                          struct kv_cache *c, lorac_error *err);
void cache_free(struct kv_cache *c);
lorac_status cache_reserve(struct kv_cache *c, size_t tokens, lorac_error *err); /* pages for so many tokens */
struct kv_view cache_view(const struct kv_cache *c, size_t layer);
/* Writes rows (rows, kv_heads · head_dim) of keys and values as tokens position ... */
void cache_append(struct kv_cache *c, struct stream *s, size_t layer, size_t position, struct buf k, struct buf v,
                  enum number number, size_t rows);
/* Forgets what was computed from token `tokens` on; everything, if a window before it is no longer held. */
void cache_truncate(struct kv_cache *c, size_t tokens);

#endif
