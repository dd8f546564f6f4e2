/* attention_scratch.h — how the vector kernels cut an attention problem, and the scratch that this takes.
 * The cut is the same for every instruction set. */
#ifndef CPU_ATTENTION_SCRATCH_H
#define CPU_ATTENTION_SCRATCH_H

#include "backend/cpu/kernels.h"

/* Query vectors ("vectors": row t, head h is vector t · group + h) taken together: as many whole rows as fit; fewer
 * where heads are wide. */
enum { ATTENTION_VECTORS = 96, ATTENTION_WIDE = 128, ATTENTION_ALIGN = 16 };

static inline size_t attention_block_rows(size_t group, size_t head_dim)
{
    size_t vectors = head_dim <= ATTENTION_WIDE ? ATTENTION_VECTORS : ATTENTION_VECTORS * ATTENTION_WIDE / head_dim;
    return group < vectors ? vectors / group : 1;
}
static inline size_t attention_padded(size_t n)
{
    return (n + ATTENTION_ALIGN - 1) / ATTENTION_ALIGN * ATTENTION_ALIGN;
}

/* The scratch of a block of queries against a block of keys, all parts 64-byte aligned if the scratch is. */
struct attention_scratch {
    float *q, *sum;    /* (vectors, head_dim): scale · q; the running sum, or dq */
    float *dout, *run; /* (vectors, head_dim): backward; forward: the sum of the chunks before */
    float *s, *dp;     /* (vectors, CPU_KEY_BLOCK): scores, then p or ds; dout · v, then ds */
    float *kt, *vt;    /* (head_dim padded, CPU_KEY_BLOCK): a block of K and of V, transposed */
    float *k, *v;      /* (CPU_KEY_BLOCK, head_dim): the block itself where it is not stored as f32 */
    float *dk, *dv;    /* likewise */
    float *max, *total, *run_max, *run_total; /* (vectors): running maximum and sum; backward: lse and D */
};

/* Lays the parts out from `base` on (NULL: only counts) and returns the floats they take. */
static inline size_t attention_layout(struct attention_scratch *part, float *base, size_t group, size_t head_dim)
{
    size_t vectors = attention_block_rows(group, head_dim) * group, at = 0;
    size_t wide = attention_padded(vectors * head_dim), scores = vectors * CPU_KEY_BLOCK;
    size_t flipped = attention_padded(head_dim) * CPU_KEY_BLOCK, rows = head_dim * CPU_KEY_BLOCK;
    size_t each = attention_padded(vectors);
    const struct {
        float **part;
        size_t floats;
    } parts[] = {{&part->q, wide},     {&part->sum, wide},     {&part->dout, wide},     {&part->s, scores},
                 {&part->dp, scores},  {&part->kt, flipped},   {&part->vt, flipped},    {&part->k, rows},
                 {&part->v, rows},     {&part->dk, rows},      {&part->dv, rows},       {&part->max, each},
                 {&part->total, each}, {&part->run_max, each}, {&part->run_total, each}};
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        if (base) *parts[i].part = base + at;
        at += parts[i].floats;
    }
    if (base) part->run = part->dout; /* no kernel needs both */
    return at;
}

static inline size_t attention_scratch_floats(size_t group, size_t head_dim)
{
    struct attention_scratch unused;
    return attention_layout(&unused, NULL, group, head_dim);
}

#endif
