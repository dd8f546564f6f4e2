/* test_ops.c — every op through the whole tape against finite differences, on random cases; recomputation and the
 * memory plan.
 *
 * A case has leaves (tensors and LoRA pairs whose gradients are wanted) laid end to end in one vector p, and a loss Σ c
 * · y with random c. Along a random direction d, per leaf, Σ g · d is held against (4 D(h) − D(2h)) / 3, D(h) = (L(p +
 * hd) − L(p − hd)) / 2h: an error of order h⁴, so that f32 sums are what is left. The difference is taken relative to
 * |g| |d|. */
#include "engine.h"

#include "ops/ops.h"
#include "train/trainer.h"

#include <signal.h>
#include <sys/wait.h>

enum { MOST_LEAVES = 32, MOST_FLOATS = 1 << 16, STACK = 1 << 22, MOST_ROWS = 320 };
static const double bound = 5e-4,
                    fast_bound =
                        0.05; /* roundings of 2⁻⁹ (int8: 1/254), in sums that partly cancel; a term left out: near 1 */

struct leaf {
    size_t rows, width, at;
    bool pair;     /* A or B of a term: its gradient is added to `gradients` */
    bool residual; /* f32 in fast precision as well */
    struct tensor *tensor;
};

struct graph {
    struct lorac_runtime *runtime;
    struct exec exec;
    struct random_key key;
    uint64_t draws;
    struct buffer *params, *gradients, *constants; /* constants: weights, tables, lists */
    float *p, *g;
    size_t floats, constant_bytes;
    struct leaf leaf[MOST_LEAVES];
    size_t leaves;
    size_t (*forward)(struct graph *g, struct tensor **y); /* the outputs' number; 0: the losses are in `loss` */
    float *c;                                              /* (MOST_FLOATS) */

    /* what the ops are given; each case fills its own */
    struct linear linear[3];
    struct linear_group group;
    struct row_terms terms;
    struct term_rows ranges[4];
    struct term_table tables[2];
    uint32_t begin[2][4];
    struct lora_term term[12];
    struct norm norm;
    struct rope rope;
    struct attention_shape attention;
    struct attention_segment segments[4];
    struct head_loss loss;
    struct qmatrix matrix;
    struct buf k_at, v_at;
};

/* ---- drawing -------------------------------------------------------------------------------- */

static size_t below(struct graph *g, size_t n)
{
    return (size_t)random_below(g->key, g->draws++, n);
}
static float real(struct graph *g)
{
    return (float)(2 * random_unit(g->key, g->draws++) - 1);
}

static size_t add_leaf(struct graph *g, size_t rows, size_t width)
{
    assert_true(g->leaves < MOST_LEAVES && g->floats + rows * width + 16 <= MOST_FLOATS);
    g->leaf[g->leaves] = (struct leaf){.rows = rows, .width = width, .at = g->floats};
    for (size_t i = 0; i < rows * width; i++) g->p[g->floats + i] = real(g);
    g->floats += (rows * width + 15) / 16 * 16;
    return g->leaves++;
}

static struct buf constant(struct graph *g, const void *bytes, size_t size)
{
    struct stream s = {.backend = g->runtime->backend};
    struct buf place = {g->constants, g->constant_bytes};
    g->constant_bytes += (size + 63) / 64 * 64;
    assert_true(g->constant_bytes <= STACK);
    s.backend->kernels->upload(&s, place, bytes, size);
    return place;
}

static struct buf constant_floats(struct graph *g, size_t n)
{
    float values[MOST_ROWS];
    for (size_t i = 0; i < n; i++) values[i] = 1 + real(g) / 2;
    return constant(g, values, n * sizeof *values);
}

/* A matrix of any format with elements of about ±0.2. */
static struct qmatrix draw_matrix(struct graph *g, enum quant_type type, size_t rows, size_t cols)
{
    struct qmatrix m = {.type = type, .rows = rows, .cols = cols};
    assert_true(quant_row_bytes(type, cols, &m.row_bytes));
    uint8_t *bytes = calloc(rows, m.row_bytes), *at = bytes;
    for (size_t i = 0; i < rows * cols / quant_formats[type].block; i++, at += quant_formats[type].block_bytes) {
        bool super = type >= QUANT_Q4_K; /* their scales are multiplied by integers of about 32 */
        float f = real(g) / 5, scale = type == QUANT_Q8_0 ? f / 127 : super ? f / 256 : f / 8;
        uint16_t half = float_to_half(type == QUANT_F16 ? f : scale),
                 low = float_to_half(super ? 8 * scale : -4 * scale), bf16 = float_to_bf16(f);
        for (size_t k = 4; k < quant_formats[type].block_bytes; k++) at[k] = (uint8_t)below(g, 256);
        if (type == QUANT_F32)
            memcpy(at, &f, 4);
        else
            memcpy(at + (type == QUANT_Q6_K ? 208 : 0), type == QUANT_BF16 ? &bf16 : &half, 2);
        if (type == QUANT_Q4_1 || type == QUANT_Q4_K || type == QUANT_Q5_K) memcpy(at + 2, &low, 2);
    }
    m.data = constant(g, bytes, rows * m.row_bytes);
    free(bytes);
    return m;
}

/* ---- one case ------------------------------------------------------------------------------- */

static void graph_open(struct graph *g, struct lorac_runtime *r, uint64_t seed)
{
    *g = (struct graph){.runtime = r, .key = random_key(seed, RANDOM_TEST, 3, 0, 0)};
    struct backend *b = r->backend;
    OK(exec_create(&r->memory, b, 4, STACK, STACK, &g->exec, err));
    g->exec.precision = PRECISION_EXACT;
    OK(b->kernels->buffer_create(b, MOST_FLOATS * sizeof(float), &g->params, err));
    OK(b->kernels->buffer_create(b, MOST_FLOATS * sizeof(float), &g->gradients, err));
    OK(b->kernels->buffer_create(b, STACK, &g->constants, err));
    g->p = calloc(MOST_FLOATS, sizeof *g->p);
    g->g = calloc(MOST_FLOATS, sizeof *g->g);
    g->c = calloc(MOST_FLOATS, sizeof *g->c);
    for (size_t i = 0; i < MOST_FLOATS; i++) g->c[i] = (float)uniform(seed + 1000, i);
}

static void graph_close(struct graph *g)
{
    struct backend *b = g->runtime->backend;
    exec_free(&g->exec);
    b->kernels->buffer_free(b, g->params);
    b->kernels->buffer_free(b, g->gradients);
    b->kernels->buffer_free(b, g->constants);
    free(g->p);
    free(g->g);
    free(g->c);
}

/* Numbers of a tensor from and to floats of the host. */
static void set_numbers(struct exec *e, struct buf to, enum number number, const float *from, size_t n)
{
    static uint16_t narrow[MOST_FLOATS];
    for (size_t i = 0; i < n; i++) narrow[i] = float_to_bf16(from[i]);
    bool bf16 = number == NUMBER_BF16;
    e->k->upload(&e->stream, to, bf16 ? (const void *)narrow : from, n * number_bytes(number));
}

static void get_numbers(struct exec *e, float *to, struct buf from, enum number number, size_t n)
{
    static uint16_t narrow[MOST_FLOATS];
    bool bf16 = number == NUMBER_BF16;
    e->k->readback(&e->stream, bf16 ? (void *)narrow : to, from, n * number_bytes(number));
    for (size_t i = 0; bf16 && i < n; i++) to[i] = bf16_to_float(narrow[i]);
}

static size_t run_forward(struct graph *g, const float *p, bool record, struct tensor **y)
{
    struct exec *e = &g->exec;
    exec_reset(e);
    e->k->begin(&e->stream);
    e->k->upload(&e->stream, (struct buf){g->params, 0}, p, g->floats * sizeof *p);
    e->recording = record;
    for (size_t i = 0; i < g->leaves; i++) {
        struct leaf *l = &g->leaf[i];
        if (l->pair) continue;
        if (e->narrow == NUMBER_BF16 && !l->residual) {
            l->tensor = exec_tensor(e, l->rows, l->width, NUMBER_BF16);
            set_numbers(e, l->tensor->data, NUMBER_BF16, p + l->at, l->rows * l->width);
        } else {
            l->tensor = exec_view(e, (struct buf){g->params, l->at * sizeof(float)}, l->rows, l->width, NUMBER_F32);
        }
        l->tensor->wants_gradient = true;
    }
    return g->forward(g, y);
}

/* Σ c · y; c goes on from one output to the next. */
static double loss_at(struct graph *g, const float *p)
{
    static float host[MOST_FLOATS];
    struct exec *e = &g->exec;
    struct tensor *y[GROUP_LINEARS];
    double sum = 0;
    size_t outputs = run_forward(g, p, false, y), at = 0;
    assert_true(e->k->wait(&e->stream));
    for (size_t k = 0; k < (outputs ? outputs : 1); k++) {
        size_t n = outputs ? y[k]->rows * y[k]->width : g->loss.count;
        e->k->readback(&e->stream, host, outputs ? y[k]->data : g->loss.losses, n * sizeof *host);
        for (size_t i = 0; i < n; i++) sum += (double)host[i] * (double)g->c[at++];
    }
    return sum;
}

static void gradient_at(struct graph *g)
{
    struct exec *e = &g->exec;
    struct tensor *y[GROUP_LINEARS];
    bool accumulate;
    size_t outputs = run_forward(g, g->p, true, y), at = 0;
    e->k->fill(&e->stream, (struct buf){g->gradients, 0}, NUMBER_F32, 0, MOST_FLOATS);
    for (size_t k = 0; k < outputs; at += y[k]->rows * y[k]->width, k++)
        set_numbers(e, gradient_write(e, y[k], &accumulate), y[k]->number, g->c + at, y[k]->rows * y[k]->width);
    exec_backward(e);
    assert_true(e->k->wait(&e->stream));
    e->k->readback(&e->stream, g->g, (struct buf){g->gradients, 0}, g->floats * sizeof *g->g);
    for (size_t i = 0; i < g->leaves; i++) {
        struct leaf *l = &g->leaf[i];
        if (l->pair) continue;
        assert_true(gradient_exists(l->tensor));
        get_numbers(e, g->g + l->at, gradient_of(e, l->tensor), l->tensor->number, l->rows * l->width);
    }
}

/* The gradients in fast precision, whose activations are bf16, against the exact ones in g->g: the largest difference
 * of a leaf relative to its norm. */
static double fast_difference(struct graph *g)
{
    static float exact[MOST_FLOATS];
    double worst = 0;
    memcpy(exact, g->g, sizeof exact);
    g->exec.precision = PRECISION_FAST;
    g->exec.narrow = NUMBER_BF16;
    gradient_at(g);
    for (size_t i = 0; i < g->leaves; i++) {
        const struct leaf *l = &g->leaf[i];
        double off = 0, norm = 0;
        for (size_t k = l->at; k < l->at + l->rows * l->width; k++) {
            off += pow((double)g->g[k] - (double)exact[k], 2);
            norm += pow((double)exact[k], 2);
        }
        double nothing = 1e-3 * (double)(l->rows * l->width); /* a softmax over one key has no gradient but noise */
        worst = fmax(worst, sqrt(off / (norm + nothing)));
    }
    return worst;
}

/* The outputs as inference computes them, with int8 activations and terms beside, against exact ones: the largest
 * difference of an output relative to its norm. */
static double inference_difference(struct graph *g)
{
    static float host[2][MOST_FLOATS];
    struct exec *e = &g->exec;
    struct tensor *y[GROUP_LINEARS];
    double worst = 0;
    for (int fast = 0; fast < 2; fast++) {
        e->precision = fast ? PRECISION_FAST : PRECISION_EXACT;
        e->int8 = fast;
        size_t outputs = run_forward(g, g->p, false, y), at = 0;
        assert_true(e->k->wait(&e->stream));
        for (size_t k = 0; k < outputs; at += y[k]->rows * y[k]->width, k++) {
            size_t n = y[k]->rows * y[k]->width;
            double off = 0, norm = 0;
            e->k->readback(&e->stream, host[fast] + at, y[k]->data, n * sizeof(float));
            for (size_t i = at; i < at + n; i++) {
                off += pow((double)host[1][i] - (double)host[0][i], 2);
                norm += pow((double)host[0][i], 2);
            }
            if (fast) worst = fmax(worst, sqrt(off / (norm + 1e-9)));
        }
    }
    e->precision = PRECISION_EXACT;
    e->int8 = false;
    return worst;
}

static double slope(struct graph *g, const float *d, double h)
{
    static float moved[MOST_FLOATS];
    double side[2];
    for (int s = 0; s < 2; s++) {
        for (size_t i = 0; i < g->floats; i++) moved[i] = (float)((double)g->p[i] + (s ? h : -h) * (double)d[i]);
        side[s] = loss_at(g, moved);
    }
    return (side[1] - side[0]) / (2 * h);
}

/* The largest relative difference over the leaves. */
static double check_graph(struct graph *g)
{
    static float d[MOST_FLOATS];
    double worst = 0;
    gradient_at(g);
    for (size_t i = 0; i < g->leaves; i++) {
        const struct leaf *l = &g->leaf[i];
        double along = 0, gg = 0, dd = 0;
        memset(d, 0, sizeof d);
        for (size_t k = l->at; k < l->at + l->rows * l->width; k++) {
            d[k] = real(g);
            along += (double)d[k] * (double)g->g[k];
            gg += (double)g->g[k] * (double)g->g[k];
            dd += (double)d[k] * (double)d[k];
        }
        double h = 0.02, found = (4 * slope(g, d, h) - slope(g, d, 2 * h)) / 3;
        double off = fabs(found - along) / (sqrt(gg * dd / (double)(l->rows * l->width)) + 1e-3);
        if (!(off <= bound))
            print_error("leaf %zu (%zu x %zu): along the tape %.6g, by differences %.6g, |g| %.3g\n", i, l->rows,
                        l->width, along, found, sqrt(gg));
        worst = fmax(worst, off);
    }
    return worst;
}

/* ---- the ops' generators --------------------------------------------------------------------- */

/* Leaves: one input or, gated, two; the residual; then the pairs. */
static size_t linear_forward(struct graph *g, struct tensor **y)
{
    struct tensor *in[2] = {g->leaf[0].tensor, g->group.input == &linear_gated ? g->leaf[1].tensor : NULL};
    op_linear(&g->exec, &g->group, in, &g->terms, y);
    return g->group.count;
}

static size_t linear_add_forward(struct graph *g, struct tensor **y)
{
    bool gated = g->group.input == &linear_gated;
    struct tensor *in[2] = {g->leaf[0].tensor, gated ? g->leaf[1].tensor : NULL}, *x = g->leaf[1 + gated].tensor;
    *y = exec_view(&g->exec, x->data, x->rows, x->width, x->number);
    op_linear_add(&g->exec, &g->group, in, &g->terms, x, *y, true);
    return 1;
}

static size_t add_pair(struct graph *g, size_t rows, size_t width)
{
    struct leaf *l = &g->leaf[add_leaf(g, rows, width)];
    l->pair = true;
    return l->at * sizeof(float);
}

/* A pair: its A and B are leaves of their own where it trains, constants where not. */
static struct lora_term draw_term(struct graph *g, size_t in, size_t out, bool trains)
{
    size_t r = 1 + below(g, 5);
    struct lora_term t = {.scale = 0.5f + real(g) / 4};
    if (!trains) {
        t.a[PRECISION_FAST] = t.a[PRECISION_EXACT] = draw_matrix(g, QUANT_F32, r, in);
        t.b[PRECISION_FAST] = t.b[PRECISION_EXACT] = draw_matrix(g, QUANT_F32, out, r);
        return t;
    }
    size_t a = add_pair(g, r, in), b = add_pair(g, out, r);
    t.a[PRECISION_FAST] = t.a[PRECISION_EXACT] = (struct qmatrix){QUANT_F32, {g->params, a}, r, in, in * sizeof(float)};
    t.b[PRECISION_FAST] = t.b[PRECISION_EXACT] = (struct qmatrix){QUANT_F32, {g->params, b}, out, r, r * sizeof(float)};
    t.da = (struct buf){g->gradients, a};
    t.db = (struct buf){g->gradients, b};
    return t;
}

/* Two tables: one pair a linear; two pairs a linear, the second without gradients. */
static void draw_tables(struct graph *g, size_t in, size_t out)
{
    size_t at = 0;
    for (size_t k = 0; k < 2; k++) {
        g->tables[k] = (struct term_table){g->begin[k], g->term};
        for (size_t l = 0; l < g->group.count; l++) {
            g->begin[k][l] = (uint32_t)at;
            for (size_t n = 0; n <= k; n++) g->term[at++] = draw_term(g, in, out, n == 0);
        }
        g->begin[k][g->group.count] = (uint32_t)at;
    }
}

static void make_linear(struct graph *g)
{
    static const struct linear_input *const inputs[] = {&linear_plain, &linear_weighed, &linear_gated};
    bool wide = !below(g, 4); /* enough for the k-quants */
    size_t in = wide ? 256 : 32 * (1 + below(g, 3)), out = 8 + below(g, 70), rows = 1 + below(g, 15), at = 0;
    bool add = !below(g, 3);
    g->group.count = add ? 1 : 1 + below(g, 3);
    g->group.input = inputs[below(g, 3)];
    g->norm = (struct norm){.weight = constant_floats(g, in)};
    g->group.columns = &g->norm;
    for (size_t i = 0; i < g->group.count; i++) {
        g->linear[i] = (struct linear){.index = i, .parts = 1};
        g->linear[i].weight = draw_matrix(g, (enum quant_type)below(g, wide ? QUANT_TYPES : QUANT_Q4_K), out, in);
        if (below(g, 2)) g->linear[i].bias = constant_floats(g, out);
        g->group.linear[i] = &g->linear[i];
    }
    add_leaf(g, rows, in);
    if (g->group.input == &linear_gated) add_leaf(g, rows, in);
    if (add) g->leaf[add_leaf(g, rows, out)].residual = true;
    draw_tables(g, in, out);
    for (size_t i = 0; i < 4; i++) { /* the base, one pair, two pairs, one pair again */
        size_t n = i == 3 ? rows - at : rows / 4;
        g->ranges[i] = (struct term_rows){at, n, i ? &g->tables[i == 2] : NULL};
        at += n;
    }
    g->terms = (struct row_terms){g->ranges, 4};
    g->forward = add ? linear_add_forward : linear_forward;
    g->exec.seed = below(g, 1000);
    g->exec.dropout = below(g, 2) ? 0.3f : 0;
}

/* x is used twice: its gradient is a sum. */
static size_t norm_forward(struct graph *g, struct tensor **y)
{
    y[0] = op_rms_norm(&g->exec, g->leaf[0].tensor, &g->norm);
    y[1] = op_normalize(&g->exec, g->leaf[0].tensor, 1e-5f);
    return 2;
}

static void make_norm(struct graph *g)
{
    size_t rows = 1 + below(g, 9), width = 1 + below(g, 200);
    g->leaf[add_leaf(g, rows, width)].residual = true;
    g->norm = (struct norm){.weight = constant_floats(g, width), .eps = 1e-5f};
    g->forward = norm_forward;
}

static size_t rope_forward(struct graph *g, struct tensor **y)
{
    y[0] = g->leaf[0].tensor;
    op_rope(&g->exec, y[0], &g->rope);
    return 1;
}

static void make_rope(struct graph *g)
{
    size_t rows = 1 + below(g, 9), dim = 8 * (1 + below(g, 8)), heads = 1 + below(g, 4),
           rotary = below(g, 2) ? dim : dim / 2;
    float table[MOST_ROWS * 64];
    for (size_t i = 0; i < rows * rotary / 2; i++) {
        double angle = 3 * (double)real(g);
        table[2 * i] = (float)cos(angle);
        table[2 * i + 1] = (float)sin(angle);
    }
    add_leaf(g, rows, heads * dim);
    g->rope = (struct rope){constant(g, table, rows * rotary * sizeof *table), dim, rotary, below(g, 2)};
    g->forward = rope_forward;
}

static size_t attention_forward(struct graph *g, struct tensor **y)
{
    struct tensor *q = g->leaf[0].tensor, *k = g->leaf[1].tensor, *v = g->leaf[2].tensor;
    g->k_at = k->data;
    g->v_at = v->data;
    for (size_t i = 0; i < g->attention.segment_count; i++) {
        struct attention_segment *segment = &g->segments[i];
        size_t bytes = number_bytes(k->number);
        segment->kv = (struct kv_view){
            &g->k_at,      &g->v_at,         kv_of_number(k->number),      segment->row * k->width * bytes,
            segment->rows, k->width * bytes, g->attention.head_dim * bytes};
    }
    y[0] = op_attention(&g->exec, q, k, v, &g->attention);
    return 1;
}

static void make_attention(struct graph *g)
{
    size_t dim = 8 * (1 + below(g, 8)), kv = 1 + below(g, 2), heads = kv * (1 + below(g, 3)), n = 1 + below(g, 4),
           rows = 0;
    for (size_t i = 0; i < n; i++) {
        size_t count = below(g, 4) ? 1 + below(g, 12) : 60 + below(g, 15);       /* over a block of keys at times */
        g->segments[i] = (struct attention_segment){.row = rows, .rows = count}; /* the view: when k and v are there */
        rows += count;
    }
    add_leaf(g, rows, heads * dim);
    add_leaf(g, rows, kv * dim);
    add_leaf(g, rows, kv * dim);
    g->attention = (struct attention_shape){heads, kv, dim, 1 / sqrtf((float)dim), g->segments, n};
    g->forward = attention_forward;
}

static size_t head_forward(struct graph *g, struct tensor **y)
{
    op_head_loss(&g->exec, g->leaf[0].tensor, &g->loss);
    return 0;
}

static void make_head(struct graph *g)
{
    static const enum quant_type types[] = {QUANT_F32, QUANT_BF16, QUANT_Q4_1, QUANT_Q8_0, QUANT_Q6_K};
    bool wide = !below(g, 4);
    size_t width = wide ? 256 : 32 * (1 + below(g, 2)), vocab = 20 + below(g, 80),
           rows = below(g, 3) || wide ? 2 + below(g, 20) : 300, n = 0;
    int32_t index[MOST_ROWS], target[MOST_ROWS];
    for (size_t i = 0; i < rows; i++) {
        if (i && !below(g, 8)) continue; /* rows without a target */
        index[n] = (int32_t)i;
        target[n++] = (int32_t)below(g, vocab);
    }
    add_leaf(g, rows, width);
    g->matrix = draw_matrix(g, types[wide ? 4 : below(g, 4)], vocab, width);
    g->loss = (struct head_loss){&g->matrix,
                                 constant(g, index, n * 4),
                                 constant(g, target, n * 4),
                                 constant(g, g->c, n * 4),
                                 constant(g, g->c, n * 4),
                                 n};
    g->forward = head_forward;
}

static void check_op(const char *name, void (*make)(struct graph *g), size_t cases)
{
    lorac_runtime *r = runtime_of(NULL, 2);
    double worst = 0, worst_fast = 0, worst_inference = 0;
    for (size_t i = 0; i < cases; i++) {
        struct graph g;
        graph_open(&g, r, i + 1);
        make(&g);
        double off = check_graph(&g);
        if (!(off <= bound)) fail_msg("%s, case %zu: %.3g", name, i, off);
        worst = fmax(worst, off);
        double inference = inference_difference(&g), rounding = fast_difference(&g);
        if (!(inference <= fast_bound)) fail_msg("%s, case %zu: %.3g in inference", name, i, inference);
        worst_inference = fmax(worst_inference, inference);
        if (!(rounding <= fast_bound)) fail_msg("%s, case %zu: %.3g in fast precision", name, i, rounding);
        worst_fast = fmax(worst_fast, rounding);
        graph_close(&g);
    }
    print_message("%s: %zu cases within %.1e of finite differences (bound %.0e); fast within %.1e and inference within "
                  "%.1e of exact (bound %.0e)\n",
                  name, cases, worst, bound, worst_fast, worst_inference, fast_bound);
    runtime_end(r);
}

static void linear(void **state)
{
    check_op("linear", make_linear, 48);
}
static void norms(void **state)
{
    check_op("normalize, rms_norm", make_norm, 24);
}
static void rope(void **state)
{
    check_op("rope", make_rope, 24);
}
static void attention(void **state)
{
    check_op("attention", make_attention, 16);
}
static void head_loss(void **state)
{
    check_op("head_loss", make_head, 12);
}

/* ---- recomputation and the plan ---------------------------------------------------------------- */

static void fill_pass(struct pass *p, const struct term_table *table, size_t rows)
{
    int32_t ids[256];
    uint8_t ones[256];
    memset(ones, 1, sizeof ones);
    draw_ids(5, ids, rows + 1);
    pass_clear(p);
    assert_true(pass_add(p, ids, ones, rows + 1, table));
}

/* Gradients of one batch under a recomputation level; the plan's high-water marks are the real ones. */
static float *planned_gradient(struct lorac_trainer *t, size_t level, bool train)
{
    static const struct recompute levels[] = {{0, 0}, {0, 1}, {0, SIZE_MAX}, {1, SIZE_MAX}, {SIZE_MAX, 0}};
    struct pass_shape shape = {.rows = 100, .sequences = 2, .targets = 100};
    struct pass p;
    double sum;
    float *host = calloc(t->layout.floats, sizeof *host);
    OK(pass_plan(t->model, &shape, train, t->precision, (float)t->options.dropout, &t->table, t->first_layer,
                 levels[level], err));
    OK(pass_create(t->model, t->runtime->backend, &shape, t->precision, &p, err));
    p.exec.seed = 3;
    p.dropout = (float)t->options.dropout;
    p.batch.first_trained = t->first_layer;
    p.batch.recompute = levels[level];
    fill_pass(&p, &t->table, shape.rows);
    step_zero(t);
    OK(pass_run(&p, train, &sum, err));
    assert_int_equal(p.exec.stack.high, shape.stack);
    assert_int_equal(p.exec.gradients.high, shape.gradients);
    p.exec.k->readback(&p.exec.stream, host, (struct buf){t->gradients, 0}, t->layout.floats * sizeof *host);
    print_message("level %zu: stack %zu, gradients %zu bytes, as planned\n", level, shape.stack, shape.gradients);
    pass_free(&p);
    return host;
}

static void check_recompute(const char *model, const char *adapter, int layers, lorac_precision precision,
                            double dropout)
{
    lorac_runtime *r = runtime_of(NULL, 2);
    lorac_model *m = model_of(r, model);
    lorac_dataset *d;
    lorac_trainer *t;
    lorac_trainer_options o;
    int32_t ids[100];
    size_t length = 100;
    draw_ids(1, ids, length);
    OK(lorac_dataset_from_tokens(r, ids, &length, 1, &d, err));
    lorac_trainer_options_init(&o);
    o.initial_adapter = adapter;
    o.rank = 4;
    o.scale = 2;
    o.num_layers = layers;
    o.precision = precision;
    o.dropout = dropout;
    OK(lorac_trainer_create(m, d, NULL, &o, &t, err));
    float *base = planned_gradient(t, 0, true);
    for (size_t level = 1; level <= 4; level++) {
        float *again = planned_gradient(t, level, true);
        assert_memory_equal(base, again, t->layout.floats * sizeof *base);
        free(again);
    }
    double sum = 0;
    for (size_t i = 0; i < t->layout.floats; i++) sum += fabs((double)base[i]);
    assert_true(sum > 0);
    free(base);
    free(planned_gradient(t, 0, false));
    lorac_trainer_free(t);
    lorac_dataset_close(d);
    lorac_model_release(m);
    runtime_end(r);
}

static void recomputation_changes_no_bit(void **state)
{
    check_recompute("plain", TEST_DATA "/training/constant", 1, LORAC_EXACT, 0);
    check_recompute("llama3", TEST_DATA "/training/cosine", 2, LORAC_EXACT, 0.2);
    check_recompute("headdim-q4_1.gguf", TEST_DATA "/training/quantised", 2, LORAC_FAST, 0.2);
}

/* ---- trace ------------------------------------------------------------------------------------- */

/* Reading a buffer between submissions must end the process: in a child. */
static void host_reads_fault(void **state)
{
    lorac_runtime *r = runtime_of("trace", 1);
    struct buffer *b;
    OK(r->backend->kernels->buffer_create(r->backend, 64, &b, err));
    fflush(NULL);
    pid_t child = fork();
    if (!child) {
        signal(SIGSEGV, SIG_DFL);
        _exit(*(volatile char *)b->host);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status));
    r->backend->kernels->buffer_free(r->backend, b);
    runtime_end(r);
}

static void trains_and_generates_on_trace(void **state)
{
    lorac_runtime *r = runtime_of("trace", 2);
    lorac_model *m = model_of(r, "headdim-q4_1.gguf");
    lorac_dataset *d;
    lorac_trainer *t;
    lorac_trainer_options o;
    int32_t ids[60];
    size_t lengths[3] = {20, 25, 15};
    draw_ids(1, ids, 60);
    OK(lorac_dataset_from_tokens(r, ids, lengths, 3, &d, err));
    lorac_trainer_options_init(&o);
    o.iterations = 4;
    o.clip_norm = 0.1;
    o.dropout = 0.1;
    OK(lorac_trainer_create(m, d, d, &o, &t, err));
    OK(lorac_trainer_run(t, NULL, NULL, NULL, err));
    lorac_adapter *a;
    lorac_adapter_set *set;
    lorac_session *s;
    const double one = 1;
    OK(lorac_trainer_adapter(t, &a, err));
    OK(lorac_adapter_set_create(&a, &one, 1, &set, err));
    OK(lorac_session_create(m, set, NULL, &s, err));
    OK(lorac_session_append(s, ids, 10, err));
    OK(lorac_generate(s, NULL, NULL, NULL, NULL, NULL, err));
    assert_int_equal(lorac_session_length(s), 110);
    lorac_session_free(s);
    lorac_adapter_set_release(set);
    lorac_adapter_release(a);
    lorac_trainer_free(t);
    lorac_dataset_close(d);
    lorac_model_release(m);
    runtime_end(r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(linear),
        cmocka_unit_test(norms),
        cmocka_unit_test(rope),
        cmocka_unit_test(attention),
        cmocka_unit_test(head_loss),
        cmocka_unit_test(recomputation_changes_no_bit),
        cmocka_unit_test(host_reads_fault),
        cmocka_unit_test(trains_and_generates_on_trace),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
