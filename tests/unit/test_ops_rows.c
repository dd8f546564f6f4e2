/* test_ops_rows.c — norms on random cases (op_graph.h). */
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

static void norms(void **state)
{
    check_op("normalize, norm", make_norm, 32);
}
static void norms_of_heads(void **state)
{
    check_op("norm_heads", make_norm_heads, 32);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(norms), cmocka_unit_test(norms_of_heads)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
