/* test_ops_rows.c — norms, their several readers, embeddings, residuals and the head on random cases (op_graph.h). */
#include "op_graph.h"

/* ---- norms ---------------------------------------------------------------------------------- */

/* One row of `width`, normalised, without weight and bias. */
static void normalized(const struct norm *norm, const float *x, size_t width, double *y)
{
    double mean = 0, squares = 0;
    for (size_t i = 0; i < width && norm->kind == NORM_LAYER; i++) mean += (double)x[i] / (double)width;
    for (size_t i = 0; i < width; i++) squares += ((double)x[i] - mean) * ((double)x[i] - mean) / (double)width;
    for (size_t i = 0; i < width; i++) y[i] = ((double)x[i] - mean) / sqrt(squares + (double)norm->eps);
}

/* The first leaf's rows in `heads` parts, under one weight of a part or one of the row. */
static void norm_rows(struct graph *g, size_t heads, bool weighed, double *y)
{
    const struct leaf *l = &g->leaf[0];
    size_t width = l->width / heads, weights = g->each ? l->width : width;
    float w[MOST_ROWS], b[MOST_ROWS];
    if (buf_is(g->norm.weight)) read_constants(g, g->norm.weight, weights, w);
    if (buf_is(g->norm.bias)) read_constants(g, g->norm.bias, weights, b);
    for (size_t i = 0; i < l->rows * heads; i++, y += width) {
        normalized(&g->norm, g->p + l->at + i * width, width, y);
        for (size_t k = 0; k < width && weighed; k++) {
            size_t at = (i * width + k) % weights;
            if (buf_is(g->norm.weight)) y[k] *= (double)w[at];
            if (buf_is(g->norm.bias)) y[k] += (double)b[at];
        }
    }
}

static struct norm draw_norm(struct graph *g, size_t weights)
{
    struct norm n = {.eps = 1e-5f, .kind = below(g, 2) ? NORM_LAYER : NORM_RMS};
    if (below(g, 4)) n.weight = constant_floats(g, weights);
    if (below(g, 2)) n.bias = constant_floats(g, weights);
    return n;
}

/* x is used twice: its gradient is a sum. */
static size_t norm_forward(struct graph *g, struct tensor **y)
{
    y[0] = op_norm(&g->exec, g->leaf[0].tensor, &g->norm);
    y[1] = op_normalize(&g->exec, g->leaf[0].tensor, &g->norm);
    return 2;
}

static void norm_reference(struct graph *g, double *y)
{
    norm_rows(g, 1, true, y);
    norm_rows(g, 1, false, y + g->leaf[0].rows * g->leaf[0].width);
}

static void make_norm(struct graph *g)
{
    size_t rows = 1 + below(g, 9), width = 8 + below(g, 200);
    g->leaf[add_leaf(g, rows, width)].residual = below(g, 2);
    g->norm = draw_norm(g, width);
    g->forward = norm_forward;
    g->reference = norm_reference;
}

static size_t norm_heads_forward(struct graph *g, struct tensor **y)
{
    y[0] = op_norm_heads(&g->exec, g->leaf[0].tensor, &g->norm, g->heads, g->each);
    return 1;
}

static void norm_heads_reference(struct graph *g, double *y)
{
    norm_rows(g, g->heads, true, y);
}

static void make_norm_heads(struct graph *g)
{
    size_t rows = 1 + below(g, 9), dim = 8 + below(g, 40);
    g->heads = 1 + below(g, 5);
    g->each = below(g, 2);
    add_leaf(g, rows, g->heads * dim);
    g->norm = draw_norm(g, g->each ? g->heads * dim : dim);
    g->forward = norm_heads_forward;
    g->reference = norm_heads_reference;
}

/* ---- normalised rows with several readers -------------------------------------------------------- */

static size_t readers_forward(struct graph *g, struct tensor **y)
{
    struct tensor *n = op_normalize(&g->exec, g->leaf[0].tensor, &g->norm), *in[2] = {n, n};
    op_linear(&g->exec, &g->group, in, &g->terms, y);
    op_linear(&g->exec, &g->other, in, &g->terms, y + 2);
    return 3;
}

/* A parallel block's linears: all that a product may read, twice, made of the same rows. */
static void make_readers(struct graph *g)
{
    static const struct linear_input *const inputs[] = {&linear_plain, &linear_weighed, &linear_gelu, &linear_gated};
    size_t rows = 1 + below(g, 9), in = 32 * (1 + below(g, 3)), out = 8 + below(g, 40);
    g->norm = draw_norm(g, in);
    g->group = (struct linear_group){{&g->linear[0], &g->linear[1]}, 2, inputs[below(g, 4)], &g->norm, false};
    g->other = (struct linear_group){{&g->linear[2]}, 1, inputs[below(g, 4)], &g->norm, false};
    for (size_t i = 0; i < 3; i++)
        g->linear[i] = (struct linear){.weight = draw_matrix(g, QUANT_F32, out, in), .index = i, .parts = 1};
    g->leaf[add_leaf(g, rows, in)].residual = true;
    g->ranges[0] = (struct term_rows){0, rows, NULL};
    g->terms = (struct row_terms){g->ranges, 1};
    g->forward = readers_forward;
}

/* ---- embeddings and residuals ----------------------------------------------------------------- */

/* The leaf is added twice, as attention and MLP of a parallel block are; the residual is copied before it goes on. */
static size_t residual_forward(struct graph *g, struct tensor **y)
{
    struct exec *e = &g->exec;
    struct tensor *leaf = g->leaf[0].tensor, *own = g->leaf[1].tensor;
    struct tensor *x = op_embedding(e, &g->tables_of[0], g->ids, leaf->rows, g->scale);
    op_embedding_add(e, x, &g->tables_of[1], g->ids);
    y[0] = op_residual(e, x, leaf, g->scale, exec_view(e, x->data, x->rows, x->width, x->number));
    y[2] = op_copy(e, own);
    y[1] = op_residual(e, own, leaf, -g->scale, exec_view(e, own->data, x->rows, x->width, x->number));
    y[1] = op_residual(e, y[1], leaf, 0.5f, exec_view(e, own->data, x->rows, x->width, x->number));
    return 3;
}

static void residual_reference(struct graph *g, double *y)
{
    static float table[2][MOST_FLOATS];
    const struct leaf *l = &g->leaf[0];
    size_t n = l->rows * l->width;
    int32_t ids[MOST_ROWS];
    float raw[MOST_ROWS];
    for (size_t k = 0; k < 2; k++) read_matrix(g, &g->tables_of[k], table[k]);
    read_constants(g, g->ids, l->rows, raw);
    memcpy(ids, raw, sizeof ids);
    for (size_t i = 0; i < n; i++) {
        size_t at = (size_t)ids[i / l->width] * l->width + i % l->width;
        double scale = (double)g->scale, leaf = (double)g->p[l->at + i];
        y[i] = scale * (double)table[0][at] + (double)table[1][at] + scale * leaf;
        y[2 * n + i] = (double)g->p[g->leaf[1].at + i];
        y[n + i] = y[2 * n + i] + (0.5 - scale) * leaf;
    }
}

static void make_residual(struct graph *g)
{
    static const enum quant_type types[] = {QUANT_F32, QUANT_BF16, QUANT_Q8_0};
    size_t rows = 1 + below(g, 9), width = 32 * (1 + below(g, 5)), ids = 2 + below(g, 20);
    int32_t id[MOST_ROWS];
    for (size_t i = 0; i < rows; i++) id[i] = (int32_t)below(g, ids);
    g->ids = constant(g, id, rows * sizeof *id);
    for (size_t k = 0; k < 2; k++) g->tables_of[k] = draw_matrix(g, types[below(g, 3)], ids, width);
    g->scale = below(g, 3) ? 1.25f + real(g) : 1;
    add_leaf(g, rows, width);
    g->leaf[add_leaf(g, rows, width)].residual = true;
    g->forward = residual_forward;
    g->reference = residual_reference;
}

/* ---- head --------------------------------------------------------------------------------------- */

static size_t head_forward(struct graph *g, struct tensor **y)
{
    op_head_loss(&g->exec, g->leaf[0].tensor, &g->loss);
    return 0;
}

/* −log softmax of one row's logits at its target. */
static double row_loss(const struct head *head, const float *w, const float *bias, const float *x, size_t target)
{
    double sum = 0, at_target = 0, cap = (double)head->softcap;
    for (size_t v = 0; v < head->weight.rows; v++) {
        double z = buf_is(head->bias) ? (double)bias[v] : 0;
        for (size_t i = 0; i < head->weight.cols; i++) z += (double)w[v * head->weight.cols + i] * (double)x[i];
        z *= (double)head->scale;
        if (cap != 0) z = cap * tanh(z / cap);
        sum += exp(z);
        if (v == target) at_target = z;
    }
    return log(sum) - at_target;
}

static void head_reference(struct graph *g, double *y)
{
    static float w[MOST_FLOATS];
    float bias[MOST_ROWS], raw[2][MOST_ROWS];
    int32_t index[MOST_ROWS], target[MOST_ROWS];
    read_matrix(g, &g->head.weight, w);
    if (buf_is(g->head.bias)) read_constants(g, g->head.bias, g->head.weight.rows, bias);
    read_constants(g, g->loss.index, g->loss.count, raw[0]);
    read_constants(g, g->loss.targets, g->loss.count, raw[1]);
    memcpy(index, raw[0], sizeof index);
    memcpy(target, raw[1], sizeof target);
    for (size_t i = 0; i < g->loss.count; i++)
        y[i] =
            row_loss(&g->head, w, bias, g->p + g->leaf[0].at + (size_t)index[i] * g->leaf[0].width, (size_t)target[i]);
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
    g->head = (struct head){draw_matrix(g, types[wide ? 4 : below(g, 4)], vocab, width), {0}, 1, 0};
    if (below(g, 2)) g->head.bias = constant_floats(g, vocab);
    if (below(g, 2)) g->head.scale = 0.5f + real(g) / 4;
    if (below(g, 2)) g->head.softcap = (float)(1 + below(g, 3));
    g->loss = (struct head_loss){&g->head,
                                 constant(g, index, n * 4),
                                 constant(g, target, n * 4),
                                 constant(g, g->c, n * 4),
                                 constant(g, g->c, n * 4),
                                 n};
    g->forward = head_forward;
    g->reference = head_reference;
}

static void norms(void **state)
{
    check_op("normalize, norm", make_norm, 32);
}
static void norms_of_heads(void **state)
{
    check_op("norm_heads", make_norm_heads, 32);
}

static void several_readers(void **state)
{
    check_op("normalized rows with several readers", make_readers, 32);
}
static void residuals(void **state)
{
    check_op("embedding, copy, residual", make_residual, 24);
}
static void heads(void **state)
{
    check_op("head_loss", make_head, 24);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(norms), cmocka_unit_test(norms_of_heads),
                                       cmocka_unit_test(several_readers), cmocka_unit_test(residuals),
                                       cmocka_unit_test(heads)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
