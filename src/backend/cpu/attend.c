/* attend.c — attention on the CPU: cuts it into problems of one KV head, some queries (or keys) of one sequence.
 *
 * A few rows against many keys are cut by chunks of keys as well, whose sums go through the caller's scratch. Nothing
 * here changes a bit of the result: see kernels.h. */
#include "backend/cpu/cpu.h"
#include "backend/cpu/families.h"

enum { MOST_ROWS = 64, LEAST_ROWS = 8, MAX_PAGES = 16384, LONG_CHUNKS = 16 };

struct attend {
    struct cpu_backend *c;
    const struct cpu_attention_kernels *k;
    struct cpu_attention_kernels plain; /* the specification, for shapes that fit no vector kernel's scratch */
    const struct attention *a;
    bool backward;
    size_t step;   /* queries, or keys, of a task */
    size_t blocks; /* of the segment with the most */
};

/* ---- one problem --------------------------------------------------------------------------- */

static void *element(struct buf b, enum number number, size_t index)
{
    return buf_is(b) ? (char *)cpu_pointer(b) + index * number_bytes(number) : NULL;
}

/* The queries row .. row + rows of a segment under one KV head. Page pointers, of the keys from `first` on, go to the
 * worker's scratch. */
static struct cpu_attention problem(const struct attend *t, const struct attention_segment *g, size_t kv_head,
                                    size_t row, size_t rows, size_t first, int worker)
{
    const struct attention *a = t->a;
    size_t group = a->heads / a->kv_heads, width = a->heads * a->head_dim, at = g->row + row, head = kv_head * group;
    size_t keys = g->position + row + rows, used = (keys + g->kv.page_tokens - 1) / g->kv.page_tokens;
    const void **pages = t->c->scratch[worker].rows;
    size_t in_row = g->kv.offset + kv_head * g->kv.head_bytes;
    size_t in = at * width + head * a->head_dim, out = g->row * a->kv_heads * a->head_dim + kv_head * a->head_dim;
    for (size_t i = first / g->kv.page_tokens; i < used; i++) {
        pages[i] = (const char *)cpu_pointer(g->kv.k[i]) + in_row;
        pages[MAX_PAGES + i] = (const char *)cpu_pointer(g->kv.v[i]) + in_row;
    }
    return (struct cpu_attention){.q = element(a->q, a->number, in),
                                  .out = element(a->out, a->number, in),
                                  .lse = buf_is(a->lse) ? cpu_floats(a->lse) + at * a->heads + head : NULL,
                                  .ldq = width,
                                  .ldo = width,
                                  .ldlse = a->heads,
                                  .number = a->number,
                                  .k_pages = pages,
                                  .v_pages = pages + MAX_PAGES,
                                  .kv = g->kv.type,
                                  .page_tokens = g->kv.page_tokens,
                                  .kv_row = g->kv.row_bytes,
                                  .rows = rows,
                                  .group = group,
                                  .head_dim = a->head_dim,
                                  .position = g->position + row,
                                  .scale = a->scale,
                                  .window = a->window,
                                  .softcap = a->softcap,
                                  .scratch = t->c->scratch[worker].blocks,
                                  .dout = element(a->dout, a->number, in),
                                  .dq = element(a->dq, a->number, in),
                                  .dk = element(a->dk, a->number, out),
                                  .dv = element(a->dv, a->number, out),
                                  .ldk = a->kv_heads * a->head_dim};
}

/* ---- tasks of rows and of keys ------------------------------------------------------------- */

/* Task = (segment, block of `step` rows, KV head); blocks beyond a segment's end do nothing. */
static const struct attention_segment *place(const struct attend *t, size_t task, size_t *kv_head, size_t *row,
                                             size_t *rows)
{
    *kv_head = task % t->a->kv_heads;
    task /= t->a->kv_heads;
    const struct attention_segment *g = &t->a->segments[task / t->blocks];
    *row = task % t->blocks * t->step;
    if (*row >= g->rows) return NULL;
    *rows = g->rows - *row < t->step ? g->rows - *row : t->step;
    return g;
}

/* The first chunk that a segment's first query sees a key of. */
static size_t first_chunk(const struct attend *t, const struct attention_segment *g)
{
    size_t window = t->a->window;
    return window && g->position >= window ? (g->position + 1 - window) / CPU_KEY_CHUNK : 0;
}

/* How many chunks a segment's keys are cut into; 1: not cut. */
static size_t cuts(const struct attend *t, const struct attention_segment *g)
{
    size_t chunks = (g->position + g->rows + CPU_KEY_CHUNK - 1) / CPU_KEY_CHUNK - first_chunk(t, g);
    bool few = t->a->segment_count * t->a->kv_heads < 4 * (size_t)t->c->threads || chunks > LONG_CHUNKS;
    return buf_is(t->a->parts) && !t->backward && g->rows <= LEAST_ROWS && few ? chunks : 1;
}

static void rows_task(void *context, size_t task, int worker)
{
    const struct attend *t = context;
    size_t kv_head, row, rows;
    const struct attention_segment *g = place(t, task, &kv_head, &row, &rows);
    if (!g || cuts(t, g) > 1) return;
    struct cpu_attention p = problem(t, g, kv_head, row, rows, 0, worker);
    if (t->backward)
        t->k->back_q(&p);
    else
        t->k->forward(&p);
}

static void keys_task(void *context, size_t task, int worker)
{
    const struct attend *t = context;
    size_t kv_head, row, rows;
    const struct attention_segment *g = place(t, task, &kv_head, &row, &rows);
    if (!g) return;
    struct cpu_attention p = problem(t, g, kv_head, 0, g->rows, 0, worker);
    p.key_begin = row;
    p.key_end = row + rows;
    t->k->back_kv(&p);
}

/* Task = (segment, KV head): everything at once. */
static void whole_task(void *context, size_t task, int worker)
{
    const struct attend *t = context;
    const struct attention_segment *g = &t->a->segments[task / t->a->kv_heads];
    struct cpu_attention p = problem(t, g, task % t->a->kv_heads, 0, g->rows, 0, worker);
    p.key_end = g->rows;
    t->k->back(&p);
}

/* ---- tasks of chunks ----------------------------------------------------------------------- */

struct parts {
    struct attend *t;
    const struct attention_segment *g;
    size_t first, count; /* chunks; the parts of each KV head are (count, rows, group, head_dim + 2) */
    size_t kept;         /* 1: the first part holds the chunks before */
    bool last;
};

static struct cpu_attention part(const struct parts *p, size_t kv_head, size_t slot, size_t first_key, int worker)
{
    const struct attention *a = p->t->a;
    struct cpu_attention chunk = problem(p->t, p->g, kv_head, 0, p->g->rows, first_key, worker);
    size_t floats = chunk.rows * chunk.group * (a->head_dim + 2), most = ATTENTION_PARTS / p->g->rows;
    chunk.parts = cpu_floats(a->parts) + (kv_head * most + slot) * floats;
    return chunk;
}

static void chunk_task(void *context, size_t task, int worker)
{
    const struct parts *p = context;
    size_t kv_heads = p->t->a->kv_heads, i = task / kv_heads, key = (p->first + i) * CPU_KEY_CHUNK;
    struct cpu_attention chunk = part(p, task % kv_heads, p->kept + i, key, worker);
    chunk.key_begin = key;
    p->t->k->forward(&chunk);
}

static void merge_task(void *context, size_t kv_head, int worker)
{
    const struct parts *p = context;
    struct cpu_attention chunk = part(p, kv_head, 0, SIZE_MAX, worker);
    p->t->k->merge(&chunk, p->kept + p->count, p->last);
}

/* As many chunks at a time as the scratch holds. */
static void run_parts(struct stream *s, struct attend *t, const struct attention_segment *g, size_t chunks)
{
    size_t most = ATTENTION_PARTS / g->rows;
    struct parts p = {.t = t, .g = g, .first = first_chunk(t, g)};
    for (chunks += p.first; p.first < chunks; p.first += p.count, p.kept = 1) {
        p.count = most - p.kept < chunks - p.first ? most - p.kept : chunks - p.first;
        p.last = p.first + p.count == chunks;
        cpu_run(s, chunk_task, &p, p.count * t->a->kv_heads);
        cpu_run(s, merge_task, &p, t->a->kv_heads);
    }
}

/* ---- the calls ----------------------------------------------------------------------------- */

static bool fits(const struct attend *t, const struct cpu_attention_kernels *k, size_t keys)
{
    const struct attention *a = t->a;
    return k->scratch && k->scratch(a->heads / a->kv_heads, a->head_dim, keys) <= CPU_BLOCKS_BYTES / sizeof(float);
}

static void choose_kernels(struct attend *t)
{
    struct cpu_kernels scalar = {0};
    t->k = &t->c->k.attention_bf16;
    if (t->a->precision == PRECISION_FAST && fits(t, t->k, MOST_ROWS)) return;
    t->k = &t->c->k.attention;
    if (fits(t, t->k, MOST_ROWS)) return;
    attention_scalar(&scalar);
    t->plain = scalar.attention;
    t->k = &t->plain;
}

static size_t longest(const struct attention *a)
{
    size_t rows = 1;
    for (size_t i = 0; i < a->segment_count; i++) rows = a->segments[i].rows > rows ? a->segments[i].rows : rows;
    return rows;
}

/* As many rows a task as the pool's promise allows against the longest sequence, and how many blocks that makes. */
static void plan(struct attend *t)
{
    const struct attention *a = t->a;
    size_t keys = 1;
    for (size_t i = 0; i < a->segment_count; i++) {
        const struct attention_segment *g = &a->segments[i];
        if (g->position + g->rows > keys) keys = g->position + g->rows;
    }
    if (a->window && keys > a->window + MOST_ROWS) keys = a->window + MOST_ROWS;
    double row_flops = (t->backward ? 10.0 : 4.0) * (double)keys * (double)(a->heads / a->kv_heads * a->head_dim);
    double most = t->c->task_flops / 2 / row_flops; /* half as fast as a product */
    t->step = most < LEAST_ROWS ? LEAST_ROWS : most > MOST_ROWS ? MOST_ROWS : (size_t)most;
    t->blocks = (longest(a) + t->step - 1) / t->step;
}

void cpu_attention(struct stream *s, const struct attention *a)
{
    s->flops += flops_attention(a, false);
    struct attend t = {.c = cpu_of(s), .a = a};
    choose_kernels(&t);
    plan(&t);
    bool whole = false;
    for (size_t i = 0; i < a->segment_count; i++) {
        size_t chunks = cuts(&t, &a->segments[i]);
        if (chunks > 1)
            run_parts(s, &t, &a->segments[i], chunks);
        else
            whole = true;
    }
    if (whole) cpu_run(s, rows_task, &t, a->segment_count * t.blocks * a->kv_heads);
}

/* Both gradients at once need 5 products where one after the other needs 7; but a sequence is then one task. */
static bool all_at_once(const struct attend *t)
{
    const struct attention *a = t->a;
    double rows = (double)longest(a), beyond = a->window && rows > (double)a->window ? rows - (double)a->window : 0;
    double pairs = (rows * rows - beyond * beyond) / 2; /* of a query and a key that it sees */
    double flops = 10 * pairs * (double)(a->heads / a->kv_heads * a->head_dim);
    return t->k->back && fits(t, t->k, longest(a)) && flops <= 160 * t->c->task_flops &&
           a->segment_count * a->kv_heads >= (size_t)t->c->threads;
}

void cpu_attention_back(struct stream *s, const struct attention *a)
{
    s->flops += flops_attention(a, true);
    struct attend t = {.c = cpu_of(s), .a = a, .backward = true};
    choose_kernels(&t);
    plan(&t);
    if (all_at_once(&t)) {
        cpu_run(s, whole_task, &t, a->segment_count * a->kv_heads);
        return;
    }
    cpu_run(s, rows_task, &t, a->segment_count * t.blocks * a->kv_heads);
    cpu_run(s, keys_task, &t, a->segment_count * t.blocks * a->kv_heads);
}

/* ---- the cache's rows ---------------------------------------------------------------------- */

struct store {
    const struct cpu_kernels *k;
    const struct kv_store *a;
    size_t step; /* rows of a task */
};

static void store_task(void *context, size_t task, int worker)
{
    const struct store *t = context;
    const struct kv_store *a = t->a;
    size_t begin = task * t->step * a->heads, end = begin + t->step * a->heads, all = a->rows * a->heads;
    for (size_t i = begin; i < end && i < all; i++)
        t->k->kv_store((char *)cpu_pointer(a->to) + i / a->heads * a->row_bytes + i % a->heads * a->head_bytes, a->type,
                       element(a->x, a->number, i * a->head_dim), a->number, a->head_dim);
}

void cpu_kv_store(struct stream *s, const struct kv_store *a)
{
    struct store t = {&cpu_of(s)->k, a, cpu_rows_per_task(a->rows, a->heads * a->head_dim, 1 << 16)};
    cpu_run(s, store_task, &t, (a->rows + t.step - 1) / t.step);
}
