/* attention_scratch.h — how the vector kernels cut an attention problem, and the scratch that this takes.
 * The cut is the same for every instruction set. */
#ifndef CPU_ATTENTION_SCRATCH_H
#define CPU_ATTENTION_SCRATCH_H

#include "backend/cpu/kernels.h"

/* Query vectors ("vectors": row t, head h is vector t · group + h) taken together: as many whole rows as fit. */
enum { ATTENTION_VECTORS = 96, ATTENTION_ALIGN = 16 };

static inline size_t attention_block_rows(size_t group)
{
    return group < ATTENTION_VECTORS ? ATTENTION_VECTORS / group : 1;
}
static inline size_t attention_padded(size_t n)
{
    return (n + ATTENTION_ALIGN - 1) / ATTENTION_ALIGN * ATTENTION_ALIGN;
}

/* The scratch of a block of queries against a block of keys, all parts 64-byte aligned if the scratch is. */
struct attention_scratch {
    float *q, *dout, *sum; /* (vectors, head_dim): scale · q; dout; the running out or dq */
    float *s, *dp;         /* (vectors, CPU_KEY_BLOCK): scores, then p or ds; dout · v, then ds */
    float *kt, *vt;        /* (head_dim padded, CPU_KEY_BLOCK): a block of K and of V, transposed */
    float *max, *total;    /* (vectors): forward: running maximum and sum; backward: lse and D */
};

/* Lays the parts out from `base` on (NULL: only counts) and returns the floats they take. */
static inline size_t attention_layout(struct attention_scratch *part, float *base, size_t group, size_t head_dim)
{
    size_t vectors = attention_block_rows(group) * group, at = 0;
    size_t wide = attention_padded(vectors * head_dim), scores = vectors * CPU_KEY_BLOCK;
    size_t flipped = attention_padded(head_dim) * CPU_KEY_BLOCK, each = attention_padded(vectors);
    size_t sizes[] = {wide, wide, wide, scores, scores, flipped, flipped, each, each};
    float **parts[] = {&part->q,  &part->dout, &part->sum, &part->s,    &part->dp,
                       &part->kt, &part->vt,   &part->max, &part->total};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        if (base) *parts[i] = base + at;
        at += sizes[i];
    }
    return at;
}

static inline size_t attention_scratch_floats(size_t group, size_t head_dim)
{
    struct attention_scratch unused;
    return attention_layout(&unused, NULL, group, head_dim);
}

#endif
