/* backend.h — what a machine that computes must offer: buffers, streams, kernels. No model is named here.
 *
 * A buffer is the backend's memory; a `struct buf` is a place in it. Work is issued on a stream between begin and wait;
 * the host sees results only through readback after wait. A kernel call on a stream whose work was cancelled does
 * nothing. Activations are row-major, f32 or (`enum number`) bf16; ld* is the distance of rows in elements. Weights
 * stay in their file's layout. Backends: cpu (computes), trace (the cpu, whose buffers the host cannot read between
 * submissions), null (computes nothing, allocates nothing, counts bytes and FLOPs: the planner). */
#ifndef BACKEND_BACKEND_H
#define BACKEND_BACKEND_H

#include "backend/activation.h"
#include "base/memory.h"
#include "base/pool.h"
#include "quant/format.h"

struct backend;
struct buffer {
    size_t bytes;
    void *host; /* the cpu's memory; NULL on null */
    bool owned; /* false: wraps memory of somebody else (a mapped file) */
};
struct buf {
    struct buffer *buffer;
    size_t offset; /* bytes */
};
static inline struct buf buf_at(struct buf b, size_t floats)
{
    return (struct buf){b.buffer, b.offset + 4 * floats};
}
static inline struct buf buf_numbers(struct buf b, size_t count, enum number number)
{
    return (struct buf){b.buffer, b.offset + number_bytes(number) * count};
}
static inline bool buf_is(struct buf b)
{
    return b.buffer != NULL;
}

/* quant_planes in the backend's memory. */
struct qplanes {
    struct buf scales, mins, groups;
    size_t group;
    enum scale_type scale_type;
    float factor;
};
struct qmatrix {
    enum quant_type type;
    struct buf data;
    size_t rows, cols, row_bytes;
    const struct qplanes *planes; /* formats from QUANT_PLANES on; outlives the matrix */
};

/* A run of work: one thread issues it. */
struct stream {
    struct backend *backend;
    enum pool_priority priority;
    const atomic_bool *cancel; /* NULL: cannot be cancelled */
    bool cancelled;            /* set once a kernel was dropped; wait reports it */
    double flops;              /* that the work issued so far needs: 2 per multiply-add of the products and attention */
};

enum precision { PRECISION_FAST, PRECISION_EXACT, PRECISIONS };

/* One low-rank pair of an adapter on one linear: y += scale · B (A x). Hu et al. 2021. */
struct lora_term {
    struct qmatrix a[PRECISIONS], b[PRECISIONS]; /* (r, in), (out, r), rows in the base file's order */
    struct buf da, db;                           /* their gradients, f32, added to; none where they do not train */
    float scale;                                 /* everything included: the adapter's own and the user's */
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
/* What a batch says about its rows; outlives the step. Ranges ascend, do not meet and together are all rows. */
struct row_terms {
    const struct term_rows *ranges;
    size_t count;
};

/* The terms of a group of linears that share one input, and their inner products h = A x, or dh = scale · dy B.
 * Row i of h holds, for each linear of the group in order, the r numbers of each of its terms under row i's table. */
enum { GROUP_LINEARS = 4 };
struct low_rank {
    const struct row_terms *terms; /* NULL: none */
    size_t linear[GROUP_LINEARS], count;
    size_t first, last;       /* of the group: those that a call computes */
    enum precision precision; /* which of a term's matrices are read */
    struct buf h;             /* (rows, ldh) f32 */
    size_t ldh;
};

/* yᵢ (rows, wᵢ.rows) (+)= scale · x (rows, cols) · Wᵢᵀ (+ biasᵢ) (+ Σ scale h Bᵀ); all wᵢ have cols columns. */
struct matmul_output {
    const struct qmatrix *w;
    struct buf y, bias; /* bias (w.rows) f32, or none */
    size_t ldy;
    enum number number; /* of y */
};
struct matmul {
    struct buf x;
    enum number number; /* of x */
    size_t ldx, rows, cols, count;
    struct matmul_output out[GROUP_LINEARS];
    struct low_rank low; /* its linears are the outputs */
    bool shrink;         /* h is not there yet: it is computed, from x */
    float scale;
    bool accumulate;
    enum precision precision;
    bool int8;          /* quantised weights may meet int8 activations (never in exact) */
    bool int8_few_rows; /* ... a few rows only: many keep their precision */
    struct buf scratch; /* with int8: matmul_scratch(rows, cols) bytes, for the activations in int8 or bf16 */
};
static inline size_t matmul_scratch(size_t rows, size_t cols)
{
    size_t int8 = (cols + 63) / 64 * 64 + cols / 32 * 12, bf16 = 2 * (cols + 32);
    return rows * (int8 > bf16 ? int8 : bf16) + 64;
}

/* dx (rows, cols) (+)= scale · Σᵢ dyᵢ (rows, wᵢ.rows) · Wᵢ (+ Σ dh A) */
struct matmul_back {
    struct buf dx;
    enum number number; /* of dx */
    size_t lddx, rows, cols, count;
    struct matmul_output in[GROUP_LINEARS]; /* y is dyᵢ; no bias */
    struct low_rank low;
    float scale;
    bool accumulate;
    enum precision precision;
};

/* shrink: h = x Aᵀ.  shrink_back: h = scale · dyᵢ B. For the linears first .. last of the group. */
struct shrink {
    struct buf x; /* (rows, cols) */
    enum number number;
    size_t ldx, cols;
    struct matmul_output dy[GROUP_LINEARS]; /* shrink_back alone: dyᵢ as y, and its number of columns in w */
    struct low_rank low;
};

/* dw (n, k) += scale · dy (rows, n)ᵀ · x (rows, k), dw f32 */
struct outer {
    struct buf dw, dy, x;
    enum number dy_number, x_number;
    size_t lddw, lddy, ldx, rows, n, k;
    float scale;
};

/* Keys and values of one sequence in one layer. Page p holds keys p·page_tokens …; a multiple of 64 tokens, or one
 * page. A head's row of a token is kv_bytes(type, head_dim) long. */
struct kv_view {
    const struct buf *k, *v; /* one per page */
    enum kv_type type;
    size_t offset;                             /* bytes added to each */
    size_t page_tokens, row_bytes, head_bytes; /* from token to token, from KV head to KV head */
};
/* x (rows, heads · head_dim) becomes rows of a view's page, from `to` on, of its row_bytes and head_bytes. */
struct kv_store {
    struct buf to, x;
    enum number number; /* of x */
    enum kv_type type;
    size_t rows, heads, head_dim, row_bytes, head_bytes;
};
/* `rows` consecutive queries of one sequence, rows row .. row + rows of the batch, at positions position ... */
struct attention_segment {
    size_t row, rows, position;
    struct kv_view kv;
};
struct attention {
    struct buf q, out, lse;   /* (batch rows, heads·head_dim) twice, (batch rows, heads) f32; lse may be none */
    enum number number;       /* of q, out, dout, dq, dk, dv */
    enum precision precision; /* fast: the products may round their factors to bf16 */
    size_t heads, kv_heads, head_dim;
    float scale;
    size_t window; /* a query sees the last `window` keys up to its own position (Beltagy et al. 2020); 0: all */
    float softcap; /* s = softcap · tanh(scale · q·k / softcap) (Gemma Team 2024); 0: scale · q·k */
    const struct attention_segment *segments;
    size_t segment_count;
    struct buf parts; /* forward: ATTENTION_PARTS · heads · (head_dim + 2) floats of scratch for a few rows against many
                         keys, or none */
    struct buf dout, dq, dk,
        dv; /* backward only; dk, dv (batch rows, kv_heads·head_dim): segments start at position 0, one page */
};
enum { ATTENTION_PARTS = 32 };

/* y = (x − m) · r by row, r = 1 / sqrt(mean((x − m)²) + eps), kept in scale; m is 0 or, centred, mean(x).
 * Back: dx += r (dy − mean(dy) − y mean(dy ∘ y)), mean(dy) where centred. y may be x. */
struct normalize {
    struct buf x, y, scale;       /* (rows, width) twice, (rows) f32; x: forward only */
    struct buf dx, dy;            /* back only */
    enum number x_number, number; /* of x and dx; of y and dy */
    size_t rows, width;
    float eps;
    bool centred;
};

/* Per row: loss = −log softmax(z)[target]; with gradients, z becomes weight · (softmax(z) − onehot). */
struct cross_entropy {
    struct buf logits;                   /* (rows, vocab) */
    struct buf targets, weights, losses; /* i32 (rows), f32 (rows), f32 (rows) */
    size_t rows, vocab;
    bool gradient;
    enum number number; /* of the gradient: bf16 ones fill the first half of their row's memory */
};

struct adamw {
    struct buf p, g, m, v;
    size_t n;
    float lr, beta1, beta2, eps, decay, correction1, correction2, grad_scale;
};

enum { SUM_SQUARES_BLOCK = 1 << 16 }; /* elements of one partial sum of sum_squares */

struct backend_kernels {
    const char *name;
    lorac_status (*buffer_create)(struct backend *b, size_t bytes, struct buffer **buffer, lorac_error *err);
    lorac_status (*buffer_wrap)(struct backend *b, const void *bytes, size_t size, struct buffer **buffer,
                                lorac_error *err);
    void (*buffer_free)(struct backend *b, struct buffer *buffer); /* NULL is allowed */
    void (*upload)(struct stream *s, struct buf to, const void *from, size_t bytes);
    void (*readback)(struct stream *s, void *to, struct buf from, size_t bytes); /* after wait */
    /* The bytes at a place, for reading after wait; NULL where the host cannot see them: then readback. */
    const void *(*host_view)(struct backend *b, struct buf place);
    /* Whether matmul's many rows meet weights of this type in int8 where the caller allows it. */
    bool (*int8_products)(const struct backend *b, enum quant_type type);
    void (*begin)(struct stream *s);
    bool (*wait)(struct stream *s); /* false: cancelled since begin */
    void (*destroy)(struct backend *b);

    /* y (rows, table.cols) (+)= scale · the rows of the table named by ids (i32) */
    void (*embed)(struct stream *s, struct buf y, const struct qmatrix *table, struct buf ids, size_t rows, float scale,
                  bool accumulate);
    void (*matmul)(struct stream *s, const struct matmul *a);
    void (*matmul_back)(struct stream *s, const struct matmul_back *a);
    void (*shrink)(struct stream *s, const struct shrink *a);
    void (*shrink_back)(struct stream *s, const struct shrink *a);
    void (*outer)(struct stream *s, const struct outer *a);
    void (*normalize)(struct stream *s, const struct normalize *a);
    void (*normalize_back)(struct stream *s, const struct normalize *a);
    /* y = x ∘ w + b by row; w none: ones, b none: zeros; y may be x */
    void (*scale_columns)(struct stream *s, struct buf y, struct buf x, enum number number, struct buf w, struct buf b,
                          size_t rows, size_t width);
    /* table (rows, rotary/2, {cos, sin}) · attention factor, from positions (i32) and inverse frequencies (rotary/2
     * f32) */
    void (*rope_table)(struct stream *s, struct buf table, struct buf positions, struct buf inverse, size_t rows,
                       size_t rotary, float factor);
    void (*rope)(struct stream *s, struct buf x, enum number number, size_t ld, struct buf table, size_t rows,
                 size_t heads, size_t head_dim, size_t rotary, bool interleaved, bool inverse);
    void (*attention)(struct stream *s, const struct attention *a);
    void (*attention_back)(struct stream *s, const struct attention *a);
    void (*kv_store)(struct stream *s, const struct kv_store *a);
    /* Element-wise ones: all operands but those said to be f32 are stored as `number`. */
    /* y = f(gate) · up, or with up none f(gate) */
    void (*gate)(struct stream *s, struct buf y, struct buf gate, struct buf up, enum number number, enum activation f,
                 size_t n);
    void (*gate_back)(struct stream *s, struct buf dgate, struct buf dup, struct buf dy, struct buf gate, struct buf up,
                      enum number number, enum activation f, size_t n);
    /* y += scale · x, each stored as its own number */
    void (*axpy)(struct stream *s, struct buf y, enum number y_number, struct buf x, enum number x_number, float scale,
                 size_t n);
    /* z = cap · tanh(scale · z / cap), or with cap 0 scale · z; z f32 */
    void (*soft_cap)(struct stream *s, struct buf z, float scale, float cap, size_t n);
    /* dz *= 1 − (z / cap)², dz's rows ld apart */
    void (*soft_cap_back)(struct stream *s, struct buf dz, enum number number, size_t ld, struct buf z, float cap,
                          size_t rows, size_t width);
    /* y = x cut to ±limit; and dx += dy where |x| <= limit */
    void (*clamp)(struct stream *s, struct buf y, struct buf x, enum number number, float limit, size_t n);
    void (*clamp_back)(struct stream *s, struct buf dx, struct buf dy, struct buf x, enum number number, float limit,
                       size_t n);
    void (*fill)(struct stream *s, struct buf y, enum number number, float value, size_t n);
    /* y (+)= x · mask / (1 − p), mask from the key and the element's index: the same again in the backward */
    void (*dropout)(struct stream *s, struct buf y, struct buf x, enum number number, const uint32_t key[2], float p,
                    size_t n, bool accumulate);
    void (*copy_rows)(struct stream *s, struct buf y, size_t ldy, struct buf x, size_t ldx, enum number number,
                      size_t rows, size_t width);
    /* y[i] = x[index[i]]; and back: dx[index[i]] = dy[i] (indices distinct, dy f32) */
    void (*gather_rows)(struct stream *s, struct buf y, struct buf x, enum number number, struct buf index, size_t rows,
                        size_t width);
    void (*scatter_rows)(struct stream *s, struct buf dx, enum number number, struct buf dy, struct buf index,
                         size_t rows, size_t width);
    void (*cross_entropy)(struct stream *s, const struct cross_entropy *a);
    /* sums[i] (f64, one per 64 Ki elements, the last may be short) = Σ x² */
    void (*sum_squares)(struct stream *s, struct buf sums, struct buf x, size_t n);
    void (*adamw)(struct stream *s, const struct adamw *a);
};

struct backend {
    const struct backend_kernels *kernels;
    struct memory *memory;
    const char *isa;
};

lorac_status backend_cpu_create(struct memory *m, struct pool *pool, const char *isa_cap, struct backend **b,
                                lorac_error *err);
lorac_status backend_trace_create(struct memory *m, struct pool *pool, const char *isa_cap, struct backend **b,
                                  lorac_error *err);
lorac_status backend_null_create(struct memory *m, struct backend **b, lorac_error *err);
void backend_free(struct backend *b); /* NULL is allowed */

/* The FLOPs that a call needs; kept in one place for all backends. */
double flops_matmul(const struct matmul *a);
double flops_matmul_back(const struct matmul_back *a);
double flops_shrink(const struct shrink *a, bool backward);
double flops_outer(const struct outer *a);
double flops_attention(const struct attention *a, bool backward);

#endif
