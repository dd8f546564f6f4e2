/* linear.h — the linear op: a group of weights that share one input, and the LoRA terms of its rows.
 *
 *   yⱼ = Wⱼ x + bⱼ + Σᵢ scaleᵢ Bᵢⱼ (Aᵢⱼ x)       (Hu et al. 2021)
 *
 * It knows no adapter: which terms a row runs under stands in a list of row ranges, each with a table of plain terms
 * (backend.h). */
#ifndef OPS_LINEAR_H
#define OPS_LINEAR_H

#include "ops/exec.h"

/* Where the rows of a weight stand in its Hugging Face module. Rows go head by head; in a GGUF's q and k the rows of a
 * head may stand in pairs (i, i + dim/2); in a fused module q, k and v take turns. */
struct row_order {
    size_t head_dim;   /* 0: rows are in order */
    size_t group;      /* heads of this weight that are neighbours in the module */
    size_t group_rows; /* rows of the module from one such group to the next */
    size_t first;      /* the module's row at which this weight begins */
    bool interleaved;
};

/* One weight matrix of the model and what adapters call it. A fused module (qkv_proj) is several weights, neighbours in
 * the model's list: its A is shared, each has its rows of B. */
struct linear {
    struct qmatrix weight; /* (out, in) */
    struct buf bias;       /* (out) f32, or none */
    const char *name;      /* Hugging Face module name: "model.layers.3.self_attn.q_proj" */
    size_t layer;          /* SIZE_MAX: outside the layers */
    size_t index;          /* in the model's list of linears */
    size_t part, parts;    /* of its module: usually 0 of 1 */
    struct row_order order;
};
/* The row of the Hugging Face module that row `row` of the weight holds; and back, SIZE_MAX where another part does. */
size_t linear_hf_row(const struct linear *l, size_t row);
size_t linear_file_row(const struct linear *l, size_t hf_row);

struct linear_group;
/* How a product's input is made of one or two tensors of its width. */
struct linear_input {
    void (*form)(struct exec *e, const struct linear_group *group, struct tensor *const in[2], struct tensor *to);
    /* d: the gradient of what was formed; writes those of in[], or adds to another reader's. */
    void (*back)(struct exec *e, const struct linear_group *group, struct tensor *const in[2], const struct tensor *d);
    enum activation activation; /* of in[0] */
    bool gated;                 /* ... times in[1] */
};
extern const struct linear_input linear_plain;   /* in[0] itself */
extern const struct linear_input linear_weighed; /* in[0] ∘ weight + bias of group->columns, by column */
extern const struct linear_input linear_silu, linear_gelu, linear_gelu_tanh;              /* f(in[0]) */
extern const struct linear_input linear_gated, linear_gated_gelu, linear_gated_gelu_tanh; /* f(in[0]) · in[1] */

enum norm_kind { NORM_RMS, NORM_LAYER };
struct norm {
    struct buf weight, bias; /* (width) f32; none: ones, zeros */
    float eps;
    enum norm_kind kind;
};
struct linear_group {
    const struct linear *linear[GROUP_LINEARS];
    size_t count;
    const struct linear_input *input; /* NULL: plain */
    const struct norm *columns;       /* linear_weighed: its weight and bias */
    bool int8_few_rows;               /* prompts do not take int8 activations here: see docs/numerics.md */
};

/* out[j] (rows, out of weight j) are new tensors, stored as the exec's `narrow`. */
void op_linear(struct exec *e, const struct linear_group *group, struct tensor *const in[2],
               const struct row_terms *terms, struct tensor *out[GROUP_LINEARS]);
/* y = x + the one linear of the group; y is a view of x's memory (f32): x's numbers are gone.
 * read: false where the op runs again for the backward alone, and nobody reads y: it is not computed. */
void op_linear_add(struct exec *e, const struct linear_group *group, struct tensor *const in[2],
                   const struct row_terms *terms, struct tensor *x, struct tensor *y, bool read);

#endif
