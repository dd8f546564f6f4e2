/* products.h — the inside of the CPU's matrix products: a block of sums of products, and its operands. */
#ifndef CPU_PRODUCTS_H
#define CPU_PRODUCTS_H

#include "backend/cpu/cpu.h"
#include "backend/low_rank.h"

enum { CPU_SET_BYTES = 4096 }; /* addresses so far apart share a set of the first-level cache */

/* x (rows, depth) · op(W): depth runs along W's columns (x Wᵀ), or along its rows (transposed: x W). */
struct operand {
    const void *x;
    enum number number;
    size_t ldx;
    struct quant_matrix w;
    bool transposed;
    float scale;
};

/* y (rows, cols) (+)= Σ operands (+ low-rank terms) (+ bias) */
struct product {
    struct cpu_backend *c;
    struct operand operand[GROUP_LINEARS];
    size_t count;
    const struct cpu_q8_rows *x8; /* the first operand's x in int8; NULL: it is not */
    const struct low_rank *low;   /* NULL: none */
    struct few_terms *few;        /* has written the terms into y, in this run, in place of `low`; NULL: has not */
    void *y;
    enum number number;
    size_t ldy, rows, cols;
    const float *bias;
    bool accumulate, bf16;       /* bf16: products of bf16 numbers, sums in f32 */
    size_t step_rows, step_cols; /* of a task */
    size_t row_tasks, col_tasks;
};

/* The terms where every range has few rows: tasks at the head of the run, so that they cost no run of their own, which
 * write y (or add to it). The others wait for them, who have begun before, and add to y. */
struct few_terms {
    struct cpu_backend *c;
    const struct matmul *a;
    size_t tasks; /* (range, linear) */
    atomic_size_t done;
};
enum { FEW_ROWS = CPU_SEVERAL };
bool few_terms_can(const struct matmul *a);
struct few_terms few_terms_of(struct cpu_backend *c, const struct matmul *a); /* no tasks where they cannot */
void few_terms_task(struct few_terms *f, size_t task, struct cpu_scratch *scratch);
void few_terms_wait(struct few_terms *f);

static inline size_t operand_depth(const struct operand *o)
{
    return o->transposed ? o->w.rows : o->w.cols;
}
/* A term of linear i's whose h begins at the column: h Bᵀ, or, backward, dh A. */
static inline struct operand term_operand(const struct product *p, const struct lora_term *t, size_t column)
{
    bool back = p->operand[0].transposed;
    const struct low_rank *low = p->low;
    return (struct operand){cpu_floats(low->h) + column,
                            NUMBER_F32,
                            low->ldh,
                            cpu_matrix_of(back ? &t->a[low->precision] : &t->b[low->precision]),
                            back,
                            back ? 1 : t->scale};
}
static inline size_t size_min(size_t a, size_t b)
{
    return a < b ? a : b;
}
static inline const void *number_at(const void *x, size_t i, enum number number)
{
    return (const char *)x + i * number_bytes(number);
}

/* Rows row .. row + rows, columns col .. col + cols of y; at most step_rows × step_cols of them. */
void product_block(const struct product *p, struct cpu_scratch *scratch, size_t row, size_t rows, size_t col,
                   size_t cols);
/* The block's sums (rows, cols), ld apart in the scratch, to y: with the bias, added to what is there or not, in y's
 * numbers. */
void product_store(const struct product *p, struct cpu_scratch *scratch, size_t ld, size_t row, size_t rows, size_t col,
                   size_t cols);
/* The depth of all operands together where the product goes by strips; 0: it does not. */
size_t strips_depth(const struct product *p);
void strips_plan(struct product *p, size_t depth); /* step_rows, step_cols */
void strips_block(const struct product *p, struct cpu_scratch *scratch, size_t row, size_t rows, size_t col,
                  size_t cols);
bool product_in_bf16(const struct cpu_backend *c, enum precision precision);
bool gemv_can(const struct cpu_backend *c, const struct matmul *a);
void gemv(struct stream *s, const struct matmul *a);
/* The activations of a product in int8, if any of its weights has the kernels for it and its rows are enough. */
bool q8_rows_can(const struct cpu_backend *c, const struct matmul *a);
bool q8_rows_takes(const struct cpu_backend *c, const struct qmatrix *w); /* an output with such weights */
void q8_rows_make(struct stream *s, const struct matmul *a, struct cpu_q8_rows *x8);
/* a with its activations in bf16, in its scratch; false: they stay as they are. */
bool bf16_rows_make(struct stream *s, const struct matmul *a, struct matmul *narrowed);

#endif
