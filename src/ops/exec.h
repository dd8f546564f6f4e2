/* exec.h — what an op runs in: a stream, the memory of tensors and gradients, and the tape.
 *
 * Memory. Tensors live on one stack ("saved"): with a tape they stay until their backward ran, without one a layer
 * releases them at its end; an op's scratch is the top of that stack, released before it returns. Gradients live in a
 * region of their own, first-fit, because they die in another order. On the null backend both grow without bound and
 * only remember their high-water mark: that is the memory plan.
 *
 * Tape. Every op that ran while `recording` pushed a record; exec_backward walks them from the last to the first.
 * A checkpoint runs a piece of the forward without recording and runs it again, recording, in the backward.
 *
 * Thread rule: an exec belongs to one thread. No heap call after exec_create. */
#ifndef OPS_EXEC_H
#define OPS_EXEC_H

#include "backend/backend.h"

struct gradient {
    size_t offset, bytes;
    int refs; /* 0: free slot */
};

/* A (rows, width) matrix; its gradient is stored as it is. */
struct tensor {
    struct buf data;
    size_t rows, width;
    enum number number;
    bool wants_gradient; /* something trainable lies above it */
    struct gradient *gradient;
};

struct exec;
struct record;
typedef void (*backward_fn)(struct exec *e, const struct record *r);
/* A piece of forward that can run again: reads in[0] (and adds to in[1]'s memory), writes `out`. */
typedef void (*forward_fn)(struct exec *e, const void *context, struct tensor *const in[2], struct tensor *out);

enum { RECORD_TENSORS = 4 };
struct record {
    backward_fn backward;
    struct tensor *in[RECORD_TENSORS], *out[RECORD_TENSORS];
    struct tensor *saved; /* what the backward needs besides */
    const void *context;  /* outlives the step: weights, shapes */
    const void *batch;    /* outlives the step: what the batch says */
    float scale;
    forward_fn again; /* checkpoints only */
    size_t stack;     /* bytes of the stack in use when it was pushed */
    size_t nodes;
};

struct region {
    struct buffer *buffer;
    size_t used, high, capacity;
};

/* Sees what each group of linears multiplies, in the order of the work; input NULL: nobody does. */
struct linear_group;
struct observer {
    void (*input)(void *context, struct exec *e, const struct linear_group *group, const struct tensor *x);
    void *context;
};

enum { MAX_GRADIENTS = 64 };
struct exec {
    struct stream stream;
    const struct backend_kernels *k;
    struct memory *memory;
    enum precision precision;
    enum number narrow; /* how activations inside a layer are stored; the residual is f32 */
    bool int8;          /* inference: quantised weights may meet int8 activations */
    bool recording;
    bool again;  /* a piece runs again for the backward */
    bool failed; /* memory ran out: a plan was wrong; every later op does nothing */
    struct region stack, gradients;
    struct gradient gradient[MAX_GRADIENTS]; /* in use ones sorted by offset through `order` */
    uint8_t order[MAX_GRADIENTS];
    size_t gradient_count;
    struct tensor *nodes;
    struct record *records;
    size_t node_count, node_capacity, record_count, record_capacity;
    struct observer observer;
    float dropout;       /* of the adapters' input */
    uint64_t seed, step; /* of this step's random numbers */
};

/* `layers` bounds the tape's length. Sizes 0 on the null backend: unbounded. */
lorac_status exec_create(struct memory *m, struct backend *b, size_t layers, size_t stack_bytes, size_t gradient_bytes,
                         struct exec *e, lorac_error *err);
void exec_free(struct exec *e);
/* Empties stack, gradients and tape for a new step. */
void exec_reset(struct exec *e);

struct tensor *exec_tensor(struct exec *e, size_t rows, size_t width, enum number number);
/* Of memory that outlives the tensor: a buffer of the caller's, or another tensor's. */
struct tensor *exec_view(struct exec *e, struct buf data, size_t rows, size_t width, enum number number);

struct mark {
    size_t stack, nodes;
};
struct mark exec_mark(const struct exec *e);
void exec_release(struct exec *e, struct mark mark);

/* matmul in the exec's precision, with scratch of the stack; int8: where the exec allows it. */
void exec_matmul(struct exec *e, struct matmul *a, bool int8);

/* Pushes a record, or returns NULL when not recording (or failed). */
struct record *exec_record(struct exec *e, backward_fn backward, const void *context);
void exec_checkpoint(struct exec *e, forward_fn forward, const void *context, struct tensor *const in[2],
                     struct tensor *out);
/* Runs the whole tape. The gradients of outputs must have been set. */
void exec_backward(struct exec *e);

/* ---- gradients, for backward functions ---------------------------------------------------- */

bool gradient_exists(const struct tensor *t);
struct buf gradient_of(const struct exec *e, const struct tensor *t);
/* Where the gradient of t is to be written; *accumulate: something is there already and must be added to. */
struct buf gradient_write(struct exec *e, struct tensor *t, bool *accumulate);
/* The same, but always to be added to: a fresh one is zeroed. */
struct buf gradient_add(struct exec *e, struct tensor *t);
/* t's gradient becomes (or gets added) that of `from`, without a copy where possible. */
void gradient_share(struct exec *e, struct tensor *t, const struct tensor *from);
void gradient_drop(struct exec *e, struct tensor *t);

#endif
