/* test_ops.c — linears, rotary positions and attention on random cases (op_graph.h); recomputation and the memory
 * plan. */
#include "op_graph.h"

#include "train/trainer.h"

#include <signal.h>
#include <sys/wait.h>

/* ---- the ops' generators --------------------------------------------------------------------- */

/* Leaves: one input or, gated, two; the residual; then the pairs. */
static size_t linear_forward(struct graph *g, struct tensor **y)
{
    struct tensor *in[2] = {g->leaf[0].tensor, g->group.input->gated ? g->leaf[1].tensor : NULL};
    op_linear(&g->exec, &g->group, in, &g->terms, y);
    return g->group.count;
}

static size_t linear_add_forward(struct graph *g, struct tensor **y)
{
    bool gated = g->group.input->gated;
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
    t.a[PRECISION_FAST] = t.a[PRECISION_EXACT] =
        (struct qmatrix){QUANT_F32, {g->params, a}, r, in, in * sizeof(float), NULL};
    t.b[PRECISION_FAST] = t.b[PRECISION_EXACT] =
        (struct qmatrix){QUANT_F32, {g->params, b}, out, r, r * sizeof(float), NULL};
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
    static const struct linear_input *const inputs[] = {&linear_plain,      &linear_weighed,         &linear_gated,
                                                        &linear_gated_gelu, &linear_gated_gelu_tanh, &linear_silu,
                                                        &linear_gelu,       &linear_gelu_tanh,       &linear_weighed};
    bool wide = !below(g, 4); /* enough for the k-quants */
    size_t in = wide ? 256 : 32 * (1 + below(g, 3)), out = 8 + below(g, 70), rows = 1 + below(g, 15), at = 0;
    bool add = !below(g, 3);
    g->group.count = add ? 1 : 1 + below(g, 3);
    g->group.input = inputs[below(g, sizeof inputs / sizeof *inputs)];
    g->norm = (struct norm){.weight = constant_floats(g, in)};
    if (below(g, 2)) g->norm.bias = constant_floats(g, in);
    g->group.columns = &g->norm;
    for (size_t i = 0; i < g->group.count; i++) {
        g->linear[i] = (struct linear){.index = i, .parts = 1};
        g->linear[i].weight = draw_matrix(g, (enum quant_type)below(g, wide ? QUANT_OWN_KERNELS : QUANT_Q4_K), out, in);
        if (below(g, 2)) g->linear[i].bias = constant_floats(g, out);
        g->group.linear[i] = &g->linear[i];
    }
    add_leaf(g, rows, in);
    if (g->group.input->gated) add_leaf(g, rows, in);
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

static size_t rope_forward(struct graph *g, struct tensor **y)
{
    y[0] = g->leaf[0].tensor;
    op_rope(&g->exec, y[0], &g->rope);
    return 1;
}

static void make_rope(struct graph *g)
{
    size_t rows = 1 + below(g, 9), dim = 8 * (1 + below(g, 8)), heads = 1 + below(g, 4),
           rotary = below(g, 2) ? dim : 2 * (1 + below(g, dim / 2));
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
    /* A window of one key would leave nothing of the gradients of q and k but noise. */
    g->attention = (struct attention_shape){.heads = heads,
                                            .kv_heads = kv,
                                            .head_dim = dim,
                                            .scale = 1 / sqrtf((float)dim),
                                            .window = below(g, 2) ? 2 + below(g, 70) : 0,
                                            .softcap = below(g, 2) ? 2 : 0,
                                            .segments = g->segments,
                                            .segment_count = n};
    g->forward = attention_forward;
}

static void linear(void **state)
{
    check_op("linear", make_linear, 96);
}
static void rope(void **state)
{
    check_op("rope", make_rope, 24);
}
static void attention(void **state)
{
    check_op("attention", make_attention, 32);
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
        cmocka_unit_test(linear),           cmocka_unit_test(rope),
        cmocka_unit_test(attention),        cmocka_unit_test(recomputation_changes_no_bit),
        cmocka_unit_test(host_reads_fault), cmocka_unit_test(trains_and_generates_on_trace),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
