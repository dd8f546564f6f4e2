/* ops.h — the ops: each runs its forward on an exec and, while it records, pushes its backward. One file each.
 *
 * Tensors are (rows, width). Weights are frozen; what trains are the LoRA terms of `op_linear`. */
#ifndef OPS_OPS_H
#define OPS_OPS_H

#include "ops/exec.h"
#include "ops/linear.h"

/* y (rows, table.cols) f32 = scale · table[ids]; no gradient. */
struct tensor *op_embedding(struct exec *e, const struct qmatrix *table, struct buf ids, size_t rows, float scale);
/* x += table[positions], in place; no gradient: before anything trains. */
void op_embedding_add(struct exec *e, struct tensor *x, const struct qmatrix *table, struct buf positions);

/* Rows without their mean where the norm takes it off, at root mean square 1; without its weight and bias. The result
 * is stored as the exec's `narrow`, here and below; x may be f32 or narrow. */
struct tensor *op_normalize(struct exec *e, struct tensor *x, const struct norm *norm);
/* The same, times the weight and plus the bias by column. */
struct tensor *op_norm(struct exec *e, struct tensor *x, const struct norm *norm);
/* The same for each of the `heads` parts of a row on its own, under one weight of a head's width or, each, one weight
 * of the whole row's. x is consumed by this op alone: its memory is reused. */
struct tensor *op_norm_heads(struct exec *e, struct tensor *x, const struct norm *norm, size_t heads, size_t each);

/* y = x cut to ±limit. */
struct tensor *op_clamp(struct exec *e, struct tensor *x, float limit);
/* A copy of x (f32), stored as the exec's `narrow`: for readers of a residual that goes on. */
struct tensor *op_copy(struct exec *e, struct tensor *x);
/* h = x + scale · y; h is a view of x's memory (f32): x's numbers are gone. Returns h. */
struct tensor *op_residual(struct exec *e, struct tensor *x, struct tensor *y, float scale, struct tensor *h);

/* Rotary position embedding in place (Su et al. 2021). */
struct rope {
    struct buf table; /* (rows, rotary/2, {cos, sin}) of this batch */
    size_t head_dim, rotary;
    bool interleaved;
};
void op_rope(struct exec *e, struct tensor *x, const struct rope *rope);

/* Causal attention over the segments (Vaswani et al. 2017). q, k, v are consumed by this op alone. With a tape the
 * segments' views must be k and v themselves (one page a segment). */
struct attention_shape {
    size_t heads, kv_heads, head_dim;
    float scale;
    size_t window; /* of the keys up to its own, a query sees the last `window`; 0: all */
    float softcap; /* of the scores; 0: none */
    const struct attention_segment *segments;
    size_t segment_count;
};
struct tensor *op_attention(struct exec *e, struct tensor *q, struct tensor *k, struct tensor *v,
                            const struct attention_shape *shape);

/* logits = softcap · tanh(scale · (W x + b) / softcap), or with softcap 0 scale · (W x + b) */
struct head {
    struct qmatrix weight; /* (vocab, width) */
    struct buf bias;       /* (vocab) f32, or none */
    float scale, softcap;
};
/* logits (rows, vocab) f32, without a gradient; int8: where the exec allows it. */
struct tensor *op_head(struct exec *e, const struct tensor *x, const struct head *head, bool int8);

/* Head and cross-entropy: the rows of x named by `index` (count of them) go through the head a chunk at a time;
 * losses[i] = −log softmax(logits(x[index[i]]))[targets[i]]. While recording, each chunk's gradient, times
 * weights[i], is formed at once; the batch's logits are never held. */
struct head_loss {
    const struct head *head;
    struct buf index, targets, weights, losses; /* i32, i32, f32, f32: (count) each */
    size_t count;
};
void op_head_loss(struct exec *e, struct tensor *x, const struct head_loss *loss);

#endif
