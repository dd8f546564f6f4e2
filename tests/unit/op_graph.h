/* op_graph.h — every op through the whole tape against finite differences and a reference in double, on random cases.
 *
 * A case has leaves (tensors and LoRA pairs whose gradients are wanted) laid end to end in one vector p, and a loss Σ c
 * · y with random c. Along a random direction d, per leaf, Σ g · d is held against (4 D(h) − D(2h)) / 3, D(h) = (L(p +
 * hd) − L(p − hd)) / 2h: an error of order h⁴, so that f32 sums are what is left. The difference is taken relative to
 * |g| |d|. */
#ifndef OP_GRAPH_H
#define OP_GRAPH_H

#include "engine.h"

#include "ops/ops.h"

enum { MOST_LEAVES = 32, MOST_FLOATS = 1 << 16, STACK = 1 << 22, MOST_ROWS = 320 };
static const double bound = 5e-4, reference_bound = 2e-6,
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
    void (*reference)(struct graph *g, double *y);         /* the outputs, one after the other; NULL: no check */
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
    size_t heads, each;
    float scale;
    struct rope rope;
    struct attention_shape attention;
    struct attention_segment segments[4];
    struct head_loss loss;
    struct head head;
    struct linear_group other;
    struct qmatrix tables_of[2];
    struct buf ids;
    struct buf k_at, v_at;
};

/* ---- drawing -------------------------------------------------------------------------------- */

static inline size_t below(struct graph *g, size_t n)
{
    return (size_t)random_below(g->key, g->draws++, n);
}
static inline float real(struct graph *g)
{
    return (float)(2 * random_unit(g->key, g->draws++) - 1);
}

static inline size_t add_leaf(struct graph *g, size_t rows, size_t width)
{
    assert_true(g->leaves < MOST_LEAVES && g->floats + rows * width + 16 <= MOST_FLOATS);
    g->leaf[g->leaves] = (struct leaf){.rows = rows, .width = width, .at = g->floats};
    for (size_t i = 0; i < rows * width; i++) g->p[g->floats + i] = real(g);
    g->floats += (rows * width + 15) / 16 * 16;
    return g->leaves++;
}

static inline struct buf constant(struct graph *g, const void *bytes, size_t size)
{
    struct stream s = {.backend = g->runtime->backend};
    struct buf place = {g->constants, g->constant_bytes};
    g->constant_bytes += (size + 63) / 64 * 64;
    assert_true(g->constant_bytes <= STACK);
    s.backend->kernels->upload(&s, place, bytes, size);
    return place;
}

static inline struct buf constant_floats(struct graph *g, size_t n)
{
    float values[MOST_ROWS];
    for (size_t i = 0; i < n; i++) values[i] = 1 + real(g) / 2;
    return constant(g, values, n * sizeof *values);
}

/* Constants, back on the host. */
static inline void read_constants(struct graph *g, struct buf from, size_t n, float *to)
{
    struct stream s = {.backend = g->runtime->backend};
    s.backend->kernels->readback(&s, to, from, n * sizeof *to);
}

/* A matrix of any format with elements of about ±0.2. */
static inline struct qmatrix draw_matrix(struct graph *g, enum quant_type type, size_t rows, size_t cols)
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

/* A matrix's numbers, back on the host. */
static inline void read_matrix(struct graph *g, const struct qmatrix *m, float *to)
{
    struct stream s = {.backend = g->runtime->backend};
    void *bytes = malloc(m->rows * m->row_bytes);
    s.backend->kernels->readback(&s, bytes, m->data, m->rows * m->row_bytes);
    quant_formats[m->type].dequantize(to, bytes, m->rows * m->cols);
    free(bytes);
}

/* ---- one case ------------------------------------------------------------------------------- */

static inline void graph_open(struct graph *g, struct lorac_runtime *r, uint64_t seed)
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

static inline void graph_close(struct graph *g)
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
static inline void set_numbers(struct exec *e, struct buf to, enum number number, const float *from, size_t n)
{
    static uint16_t narrow[MOST_FLOATS];
    for (size_t i = 0; i < n; i++) narrow[i] = float_to_bf16(from[i]);
    bool bf16 = number == NUMBER_BF16;
    e->k->upload(&e->stream, to, bf16 ? (const void *)narrow : from, n * number_bytes(number));
}

static inline void get_numbers(struct exec *e, float *to, struct buf from, enum number number, size_t n)
{
    static uint16_t narrow[MOST_FLOATS];
    bool bf16 = number == NUMBER_BF16;
    e->k->readback(&e->stream, bf16 ? (void *)narrow : to, from, n * number_bytes(number));
    for (size_t i = 0; bf16 && i < n; i++) to[i] = bf16_to_float(narrow[i]);
}

static inline size_t run_forward(struct graph *g, const float *p, bool record, struct tensor **y)
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
static inline double loss_at(struct graph *g, const float *p)
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

/* The largest difference of the exact outputs from the reference, relative to the largest of them. */
static inline double reference_difference(struct graph *g)
{
    static float host[MOST_FLOATS];
    static double want[MOST_FLOATS];
    struct exec *e = &g->exec;
    struct tensor *y[GROUP_LINEARS];
    double off = 0, top = 1e-3;
    if (!g->reference) return 0;
    size_t outputs = run_forward(g, g->p, false, y), n = 0;
    assert_true(e->k->wait(&e->stream));
    if (!outputs) e->k->readback(&e->stream, host, g->loss.losses, (n = g->loss.count) * sizeof *host);
    for (size_t k = 0; k < outputs; n += y[k]->rows * y[k]->width, k++)
        e->k->readback(&e->stream, host + n, y[k]->data, y[k]->rows * y[k]->width * sizeof *host);
    g->reference(g, want);
    for (size_t i = 0; i < n; i++) {
        off = fmax(off, fabs((double)host[i] - want[i]));
        top = fmax(top, fabs(want[i]));
        if (isnan(host[i])) off = INFINITY;
    }
    return off / top;
}

static inline void gradient_at(struct graph *g)
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
static inline double fast_difference(struct graph *g)
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
        /* Activations of about 1 kept to 2^-9 leave 2e-3 to 4e-3 of noise: a sum of them that cancels below 0.1 an
         * element, as h = A x of rank 1 may, has no other gradient. */
        double nothing = 1e-2 * (double)(l->rows * l->width);
        worst = fmax(worst, sqrt(off / (norm + nothing)));
    }
    return worst;
}

/* The outputs as inference computes them, with int8 activations and terms beside, against exact ones: the largest
 * difference of an output relative to its norm. */
static inline double inference_difference(struct graph *g)
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

static inline double slope(struct graph *g, const float *d, double h)
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
static inline double check_graph(struct graph *g)
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

/* The null backend's high-water marks are those of a run that computes; called first, on an exec that ran nothing. */
static inline void check_plan(struct graph *g)
{
    struct exec real = g->exec, *e = &g->exec;
    struct backend *null;
    OK(backend_null_create(&g->runtime->memory, &null, err));
    OK(exec_create(&g->runtime->memory, null, 4, 0, 0, e, err));
    e->precision = real.precision;
    e->dropout = real.dropout;
    gradient_at(g);
    size_t stack = e->stack.high, gradients = e->gradients.high;
    exec_free(e);
    backend_free(null);
    *e = real;
    gradient_at(g);
    assert_int_equal(e->stack.high, stack);
    assert_int_equal(e->gradients.high, gradients);
}

/* Largest differences over the cases: from the reference, from finite differences, of fast's gradients and inference's
 * outputs from exact ones. */
struct differences {
    double reference, tape, fast, inference;
};

static inline double within(double off, double limit, const char *name, size_t i, const char *from)
{
    if (!(off <= limit)) fail_msg("%s, case %zu: %.3g from %s", name, i, off, from);
    return off;
}

static inline struct differences check_cases(const char *name, const char *backend, void (*make)(struct graph *g),
                                             size_t cases)
{
    lorac_runtime *r = runtime_of(backend, 2);
    struct differences worst = {0};
    for (size_t i = 0; i < cases; i++) {
        struct graph g;
        graph_open(&g, r, i + 1);
        make(&g);
        check_plan(&g);
        double apart = within(reference_difference(&g), reference_bound, name, i, "the reference");
        double off = within(check_graph(&g), bound, name, i, "finite differences");
        double inference = within(inference_difference(&g), fast_bound, name, i, "exact, in inference");
        double fast = within(fast_difference(&g), fast_bound, name, i, "exact, in fast precision");
        worst = (struct differences){fmax(worst.reference, apart), fmax(worst.tape, off), fmax(worst.fast, fast),
                                     fmax(worst.inference, inference)};
        graph_close(&g);
    }
    runtime_end(r);
    return worst;
}

/* On the CPU, and a few cases where the host may not look between submissions. */
static inline void check_op(const char *name, void (*make)(struct graph *g), size_t cases)
{
    check_cases(name, "trace", make, cases / 8);
    struct differences d = check_cases(name, NULL, make, cases);
    if (d.reference > 0)
        print_message("%s: within %.1e of the reference (bound %.0e)\n", name, d.reference, reference_bound);
    print_message("%s: %zu cases within %.1e of finite differences (bound %.0e); fast within %.1e and inference within "
                  "%.1e of exact (bound %.0e)\n",
                  name, cases, d.tape, bound, d.fast, d.inference, fast_bound);
}

#endif
