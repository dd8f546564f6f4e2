/* batch.h — the rows that one forward computes: ragged, never padded. Each sequence has its rows, its positions, its
 * adapter terms and, while generating, its cache.
 *
 * A batch is made once for its largest shape and filled again and again without a heap call. Thread rule: one thread.
 */
#ifndef MODEL_BATCH_H
#define MODEL_BATCH_H

#include "model/cache.h"
#include "model/config.h"
#include "ops/ops.h"

struct lorac_model;

/* How much of the forward the backward computes again: of the first `layers` trained ones everything, of the first
 * `gate_up` the MLP. The first ones, for theirs is the backward when most of the stack is free again. */
struct recompute {
    size_t layers, gate_up;
};

struct layer_call { /* what a layer's forward and its recomputation are given */
    const struct lorac_model *model;
    struct batch *batch;
    size_t layer;
    struct attention_shape attention;
};

struct batch {
    struct backend *backend;
    struct memory *memory;
    size_t max_rows, max_sequences, layers;
    size_t rows, sequences;
    struct buffer *buffer;     /* ids, positions, rope table */
    struct buf ids, positions; /* i32 (rows) */
    struct rope rope[ROPES];   /* the tables of the two kinds of layers */
    struct buf inverse;        /* (max_sequences, MAX_HEAD_DIM / 2): angles of long sequences */
    int32_t *host;             /* staging: ids, positions */
    float *host_inverse;
    size_t *lengths;                    /* (max_sequences) */
    struct attention_segment *segments; /* (layers, max_sequences) */
    struct kv_cache **caches;           /* (max_sequences), NULL without a cache */
    struct term_rows *ranges;           /* (max_sequences) */
    struct row_terms terms;
    struct layer_call *calls; /* (layers) */
    size_t first_trained;     /* layers below record nothing; SIZE_MAX: none trains */
    struct recompute recompute;
};

lorac_status batch_create(const struct lorac_model *model, struct backend *backend, size_t max_rows,
                          size_t max_sequences, struct batch *b, lorac_error *err);
void batch_free(struct batch *b);
void batch_clear(struct batch *b);
/* Appends a sequence's next rows; false when the batch is full. position: of the first id; length: the tokens that the
 * sequence has with all of its rows, these and those of later batches, for rotary scalings that depend on it; cache
 * NULL: keys are the rows themselves and position must be 0. */
bool batch_add(struct batch *b, const int32_t *ids, size_t count, size_t position, size_t length,
               struct kv_cache *cache, const struct term_table *terms);
/* A sequence of `count` rows without content, for a plan. */
bool batch_add_blank(struct batch *b, size_t count);
/* Uploads ids and positions: between begin and wait of the stream. */
void batch_upload(struct batch *b, struct stream *s);

/* The rotary table of a layer; NULL: it rotates nothing. */
const struct rope *batch_rope(const struct batch *b, size_t layer);
/* The segments of a layer, over the caches or over k and v themselves. */
const struct attention_shape *batch_attention(struct batch *b, struct exec *e, size_t layer, const struct tensor *k,
                                              const struct tensor *v);

#endif
