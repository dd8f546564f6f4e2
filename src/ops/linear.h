/* linear.h — the linear op: a group of weights that share one input, and the LoRA terms of its rows.
 *
 *   yⱼ = Wⱼ x + bⱼ + Σᵢ scaleᵢ Bᵢⱼ (Aᵢⱼ x)       (Hu et al. 2021)
 *
 * It knows no adapter: which terms a row runs under stands in a list of row ranges, each with a table of plain terms.
 */
#ifndef OPS_LINEAR_H
#define OPS_LINEAR_H

#include "ops/exec.h"

/* One weight matrix of the model and what adapters call it. Rows of a GGUF's q and k stand in another order than in
 * Hugging Face's: within each head, row i of the file is row permuted(i). */
struct linear {
    struct qmatrix weight; /* (out, in) */
    struct buf bias;       /* (out) f32, or none */
    const char *name;      /* Hugging Face module name: "model.layers.3.self_attn.q_proj" */
    size_t layer;          /* SIZE_MAX: outside the layers */
    size_t index;          /* in the model's list of linears */
    size_t permuted_heads; /* 0: file order is Hugging Face order; else heads whose rows are interleaved pairs */
};
/* The Hugging Face row that row `row` of the file holds; and back. */
size_t linear_hf_row(const struct linear *l, size_t row);
size_t linear_file_row(const struct linear *l, size_t hf_row);

struct lora_term {
    struct qmatrix a, b; /* (r, in), (out, r), f32, rows in the base file's order */
    struct buf da, db;   /* their gradients, added to; none where they do not train */
    float scale;         /* everything included: the adapter's own and the user's */
};
/* The terms of every linear of the model under one adapter set: terms[begin[l] .. begin[l + 1]). */
struct term_table {
    const uint32_t *begin; /* (linears + 1) */
    const struct lora_term *terms;
};
struct term_rows {
    size_t row, rows;
    const struct term_table *table; /* NULL: the base alone */
};

struct linear_group {
    const struct linear *linear[MATMUL_OUTPUTS];
    size_t count;
};
/* What a batch says about its rows; outlives the step. Ranges ascend and do not meet. */
struct row_terms {
    const struct term_rows *ranges;
    size_t count;
};

/* out[j] (rows, out of weight j) are new tensors. */
void op_linear(struct exec *e, struct tensor *x, const struct linear_group *group, const struct row_terms *terms,
               struct tensor *out[MATMUL_OUTPUTS]);

#endif
