/* exec.c — the stack of tensors, the gradients' region, the tape. See exec.h. */
#include "ops/exec.h"

#include <string.h>

enum { ALIGN = 64, NODES_PER_LAYER = 64, RECORDS_PER_LAYER = 32 };

static size_t aligned(size_t bytes)
{
    return (bytes + ALIGN - 1) & ~(size_t)(ALIGN - 1);
}

static size_t matrix_bytes(size_t rows, size_t width, enum number number)
{
    return aligned(rows * width * number_bytes(number));
}

/* ---- life ----------------------------------------------------------------------------------- */

static lorac_status region_create(struct exec *e, struct region *r, size_t bytes, lorac_error *err)
{
    bool planning = !strcmp(e->k->name, "null");
    r->capacity = planning ? SIZE_MAX / 2 : bytes;
    return e->k->buffer_create(e->stream.backend, bytes ? bytes : ALIGN, &r->buffer, err);
}

lorac_status exec_create(struct memory *m, struct backend *b, size_t layers, size_t stack_bytes, size_t gradient_bytes,
                         struct exec *e, lorac_error *err)
{
    *e = (struct exec){.stream = {.backend = b, .priority = POOL_NORMAL}, .k = b->kernels, .memory = m};
    e->node_capacity = NODES_PER_LAYER * (layers + 2);
    e->record_capacity = RECORDS_PER_LAYER * (layers + 2);
    e->nodes = mem_array(m, e->node_capacity, sizeof *e->nodes);
    e->records = mem_array(m, e->record_capacity, sizeof *e->records);
    if (!e->nodes || !e->records) {
        exec_free(e);
        return fail_memory(err, "the tape", e->record_capacity * sizeof *e->records);
    }
    lorac_status status = region_create(e, &e->stack, stack_bytes, err);
    if (status == LORAC_OK) status = region_create(e, &e->gradients, gradient_bytes, err);
    if (status != LORAC_OK) exec_free(e);
    return status;
}

void exec_free(struct exec *e)
{
    if (!e->k) return;
    e->k->buffer_free(e->stream.backend, e->stack.buffer);
    e->k->buffer_free(e->stream.backend, e->gradients.buffer);
    mem_free(e->memory, e->nodes);
    mem_free(e->memory, e->records);
    memset(e, 0, sizeof *e);
}

void exec_reset(struct exec *e)
{
    e->stack.used = 0;
    e->node_count = e->record_count = e->gradient_count = 0;
    memset(e->gradient, 0, sizeof e->gradient);
    e->recording = e->again = e->failed = false;
}

/* ---- tensors -------------------------------------------------------------------------------- */

struct tensor *exec_view(struct exec *e, struct buf data, size_t rows, size_t width, enum number number)
{
    if (e->node_count == e->node_capacity) {
        e->failed = e->stream.cancelled = true;
        e->node_count--; /* a spare node: nothing is computed any more */
    }
    struct tensor *t = &e->nodes[e->node_count++];
    *t = (struct tensor){data, rows, width, number, false, NULL};
    return t;
}

struct tensor *exec_tensor(struct exec *e, size_t rows, size_t width, enum number number)
{
    size_t bytes = matrix_bytes(rows, width, number);
    struct buf data = {e->stack.buffer, e->stack.used};
    if (bytes > e->stack.capacity - e->stack.used) {
        e->failed = e->stream.cancelled = true; /* kernels on a cancelled stream do nothing */
        data.offset = 0;
    } else {
        e->stack.used += bytes;
    }
    if (e->stack.used > e->stack.high) e->stack.high = e->stack.used;
    return exec_view(e, data, rows, width, number);
}

struct mark exec_mark(const struct exec *e)
{
    return (struct mark){e->stack.used, e->node_count};
}

void exec_release(struct exec *e, struct mark mark)
{
    e->stack.used = mark.stack;
    e->node_count = mark.nodes;
}

void exec_matmul(struct exec *e, struct matmul *a, bool int8)
{
    struct mark mark = exec_mark(e);
    a->precision = e->precision;
    a->int8 = int8 && e->int8;
    if (a->int8) a->scratch = exec_tensor(e, 1, matmul_scratch(a->rows, a->cols) / 4 + 1, NUMBER_F32)->data;
    e->k->matmul(&e->stream, a);
    exec_release(e, mark);
}

/* ---- tape ----------------------------------------------------------------------------------- */

struct record *exec_record(struct exec *e, backward_fn backward, const void *context)
{
    if (!e->recording || e->failed) return NULL;
    if (e->record_count == e->record_capacity) {
        e->failed = e->stream.cancelled = true;
        return NULL;
    }
    struct record *r = &e->records[e->record_count++];
    *r = (struct record){.backward = backward, .context = context, .stack = e->stack.used, .nodes = e->node_count};
    return r;
}

/* Walks the tape down to `first`, releasing the stack on the way. */
static void walk(struct exec *e, size_t first)
{
    while (e->record_count > first && !e->failed) {
        struct record r = e->records[e->record_count - 1];
        exec_release(e, (struct mark){r.stack, r.nodes});
        r.backward(e, &r);
        for (size_t i = 0; i < RECORD_TENSORS; i++)
            if (r.out[i]) gradient_drop(e, r.out[i]);
        e->record_count--;
    }
}

static void checkpoint_backward(struct exec *e, const struct record *r)
{
    size_t first = e->record_count;
    if (!gradient_exists(r->out[0])) return;
    struct mark mark = exec_mark(e);
    double needed = e->stream.flops; /* what is computed again is not needed twice */
    e->recording = e->again = true;
    r->again(e, r->context, r->in, r->out[0]);
    e->recording = e->again = false;
    e->stream.flops = needed;
    walk(e, first);
    exec_release(e, mark);
}

void exec_checkpoint(struct exec *e, forward_fn forward, const void *context, struct tensor *const in[2],
                     struct tensor *out)
{
    bool recording = e->recording;
    struct mark mark = exec_mark(e);
    e->recording = false;
    forward(e, context, in, out);
    e->recording = recording;
    exec_release(e, mark);
    struct record *r = exec_record(e, checkpoint_backward, context);
    if (!r) return;
    r->again = forward;
    r->in[0] = in[0];
    r->in[1] = in[1];
    r->out[0] = out;
}

void exec_backward(struct exec *e)
{
    e->recording = false;
    walk(e, 0);
}

/* ---- gradients ------------------------------------------------------------------------------ */

/* In whole groups of rows, so that a gradient's bytes are the rows' times its width: what fits into a hole then fits
 * there in a smaller batch too, and the plan of the largest bounds them all. */
static size_t gradient_bytes(const struct tensor *t)
{
    size_t rows = (t->rows + ALIGN / 2 - 1) / (ALIGN / 2) * (ALIGN / 2);
    return rows * t->width * number_bytes(t->number);
}

/* First fit among the blocks in use, which `order` keeps by offset. */
static struct gradient *allocate(struct exec *e, size_t bytes)
{
    size_t at = 0, place = 0;
    for (; place < e->gradient_count; place++) {
        const struct gradient *g = &e->gradient[e->order[place]];
        if (g->offset - at >= bytes) break;
        at = g->offset + g->bytes;
    }
    size_t slot = 0;
    while (slot < MAX_GRADIENTS && e->gradient[slot].refs) slot++;
    if (slot == MAX_GRADIENTS || bytes > e->gradients.capacity - at) {
        e->failed = e->stream.cancelled = true;
        return NULL;
    }
    memmove(e->order + place + 1, e->order + place, e->gradient_count++ - place);
    e->order[place] = (uint8_t)slot;
    e->gradient[slot] = (struct gradient){at, bytes, 1};
    if (at + bytes > e->gradients.high) e->gradients.high = at + bytes;
    return &e->gradient[slot];
}

static void unref(struct exec *e, struct gradient *g)
{
    if (--g->refs) return;
    size_t place = 0;
    while (&e->gradient[e->order[place]] != g) place++;
    memmove(e->order + place, e->order + place + 1, --e->gradient_count - place);
}

bool gradient_exists(const struct tensor *t)
{
    return t->gradient != NULL;
}

struct buf gradient_of(const struct exec *e, const struct tensor *t)
{
    return (struct buf){e->gradients.buffer, t->gradient ? t->gradient->offset : 0};
}

struct buf gradient_write(struct exec *e, struct tensor *t, bool *accumulate)
{
    struct gradient *old = t->gradient;
    *accumulate = old != NULL;
    if (old && old->refs == 1) return gradient_of(e, t);
    t->gradient = allocate(e, gradient_bytes(t));
    if (old) { /* shared with another tensor: ours from here on */
        struct buf from = {e->gradients.buffer, old->offset};
        e->k->copy_rows(&e->stream, gradient_of(e, t), t->width, from, t->width, t->number, t->rows, t->width);
        unref(e, old);
    }
    return gradient_of(e, t);
}

struct buf gradient_add(struct exec *e, struct tensor *t)
{
    bool accumulate;
    struct buf g = gradient_write(e, t, &accumulate);
    if (!accumulate) e->k->fill(&e->stream, g, t->number, 0, t->rows * t->width);
    return g;
}

void gradient_share(struct exec *e, struct tensor *t, const struct tensor *from)
{
    if (!t->gradient) {
        t->gradient = from->gradient;
        if (t->gradient) t->gradient->refs++;
    } else {
        e->k->axpy(&e->stream, gradient_add(e, t), t->number, gradient_of(e, from), t->number, 1, t->rows * t->width);
    }
}

void gradient_drop(struct exec *e, struct tensor *t)
{
    if (t->gradient) unref(e, t->gradient);
    t->gradient = NULL;
}
