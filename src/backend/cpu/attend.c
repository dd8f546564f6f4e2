/* attend.c — attention on the CPU: cuts it into problems of one KV head, some queries (or keys) of one sequence. */
#include "backend/cpu/cpu.h"

enum { MOST_ROWS = 64, LEAST_ROWS = 8, MAX_PAGES = 16384 };

struct attend {
    struct cpu_backend *c;
    const struct attention *a;
    bool backward;
    size_t step;   /* queries, or keys, of a task */
    size_t blocks; /* of the segment with the most */
};

/* The queries row .. row + rows of a segment under one KV head; page pointers go to `pages` (2 · MAX_PAGES). */
static struct cpu_attention problem(const struct attend *t, const struct attention_segment *g, size_t kv_head,
                                    size_t row, size_t rows, const float **pages, float *scratch)
{
    const struct attention *a = t->a;
    size_t group = a->heads / a->kv_heads, width = a->heads * a->head_dim, at = g->row + row;
    size_t head = kv_head * group, keys = g->position + row + rows;
    size_t used = (keys + g->kv.page_tokens - 1) / g->kv.page_tokens;
    for (size_t i = 0; i < used; i++) {
        pages[i] = cpu_floats(g->kv.k[i]) + g->kv.offset + kv_head * a->head_dim;
        pages[MAX_PAGES + i] = cpu_floats(g->kv.v[i]) + g->kv.offset + kv_head * a->head_dim;
    }
    struct cpu_attention p = {.q = cpu_floats(a->q) + at * width + head * a->head_dim,
                              .out = cpu_floats(a->out) + at * width + head * a->head_dim,
                              .lse = buf_is(a->lse) ? cpu_floats(a->lse) + at * a->heads + head : NULL,
                              .ldq = width,
                              .ldo = width,
                              .ldlse = a->heads,
                              .k_pages = pages,
                              .v_pages = pages + MAX_PAGES,
                              .page_tokens = g->kv.page_tokens,
                              .ldk = g->kv.ld,
                              .rows = rows,
                              .group = group,
                              .head_dim = a->head_dim,
                              .position = g->position + row,
                              .scale = a->scale,
                              .scratch = scratch};
    if (!t->backward) return p;
    p.dout = cpu_floats(a->dout) + at * width + head * a->head_dim;
    p.dq = cpu_floats(a->dq) + at * width + head * a->head_dim;
    p.dk = cpu_floats(a->dk) + g->row * g->kv.ld + kv_head * a->head_dim;
    p.dv = cpu_floats(a->dv) + g->row * g->kv.ld + kv_head * a->head_dim;
    return p;
}

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

static void forward_task(void *context, size_t task, int worker)
{
    const struct attend *t = context;
    size_t kv_head, row, rows;
    const struct attention_segment *g = place(t, task, &kv_head, &row, &rows);
    if (!g) return;
    struct cpu_scratch *scratch = &t->c->scratch[worker];
    struct cpu_attention p = problem(t, g, kv_head, row, rows, scratch->rows, scratch->panel);
    if (t->backward)
        t->c->k.attention_back_q(&p);
    else
        t->c->k.attention(&p);
}

static void keys_task(void *context, size_t task, int worker)
{
    const struct attend *t = context;
    size_t kv_head, row, rows;
    const struct attention_segment *g = place(t, task, &kv_head, &row, &rows);
    if (!g) return;
    struct cpu_scratch *scratch = &t->c->scratch[worker];
    struct cpu_attention p = problem(t, g, kv_head, 0, g->rows, scratch->rows, scratch->panel);
    p.key_begin = row;
    p.key_end = row + rows;
    t->c->k.attention_back_kv(&p);
}

/* As many rows a task as the pool's promise allows against the longest sequence, and how many blocks that makes. */
static struct attend plan(const struct stream *s, const struct attention *a, bool backward)
{
    struct attend t = {.c = cpu_of(s), .a = a, .backward = backward};
    size_t keys = 1, rows = 1;
    for (size_t i = 0; i < a->segment_count; i++) {
        const struct attention_segment *g = &a->segments[i];
        if (g->position + g->rows > keys) keys = g->position + g->rows;
        if (g->rows > rows) rows = g->rows;
    }
    double row_flops = (backward ? 10.0 : 4.0) * (double)keys * (double)(a->heads / a->kv_heads * a->head_dim);
    double most = t.c->task_flops / 2 / row_flops; /* half as fast as a product */
    t.step = most < LEAST_ROWS ? LEAST_ROWS : most > MOST_ROWS ? MOST_ROWS : (size_t)most;
    t.blocks = (rows + t.step - 1) / t.step;
    return t;
}

void cpu_attention(struct stream *s, const struct attention *a)
{
    s->flops += flops_attention(a, false);
    struct attend t = plan(s, a, false);
    cpu_run(s, forward_task, &t, a->segment_count * t.blocks * a->kv_heads);
}

void cpu_attention_back(struct stream *s, const struct attention *a)
{
    s->flops += flops_attention(a, true);
    struct attend t = plan(s, a, true);
    cpu_run(s, forward_task, &t, a->segment_count * t.blocks * a->kv_heads);
    cpu_run(s, keys_task, &t, a->segment_count * t.blocks * a->kv_heads);
}
