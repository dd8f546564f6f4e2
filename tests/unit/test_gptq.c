/* test_gptq.c — GPTQ's factor and codes against a reference in double that eliminates one column of H⁻¹ after another,
 * as the paper's equations have it; and what it is for: a smaller error of the products than rounding makes. */
#include "quant/planes.h"
#include "quant/quantize.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

enum { COLS = 128, GROUP = 32, ROWS = 150, SAMPLES = 400, GROUPS = COLS / GROUP };
static const struct quantization q = {.type = QUANT_AFFINE4, .group = GROUP, .number = SCALE_F32};

static double noise(uint64_t *state)
{
    double sum = -6;
    for (int i = 0; i < 12; i++) {
        *state = *state * 6364136223846793005u + 1442695040888963407u;
        sum += (double)(*state >> 11) / 9007199254740992.0;
    }
    return sum;
}

/* Inputs whose columns are alike, weights, and H = Xᵀ X. */
static void draw(float *x, float *w, float *h, uint64_t seed)
{
    for (size_t s = 0; s < SAMPLES; s++) {
        double shared = 0;
        for (size_t i = 0; i < COLS; i++) {
            shared = 0.8 * shared + noise(&seed);
            x[s * COLS + i] = (float)(shared + 0.3 * noise(&seed));
        }
    }
    for (size_t i = 0; i < ROWS * COLS; i++) w[i] = (float)(0.05 * noise(&seed));
    for (size_t i = 0; i < COLS; i++)
        for (size_t k = 0; k < COLS; k++) {
            double sum = 0;
            for (size_t s = 0; s < SAMPLES; s++) sum += (double)x[s * COLS + i] * (double)x[s * COLS + k];
            h[i * COLS + k] = (float)sum;
        }
}

/* ---- the factor ------------------------------------------------------------------------------ */

/* (H + 1 % of the diagonal's mean)⁻¹ by Gauss and Jordan. */
static void inverse(const float *h, double *inv)
{
    static double a[COLS][2 * COLS];
    double mean = 0;
    for (size_t i = 0; i < COLS; i++) mean += (double)h[i * COLS + i] / COLS;
    for (size_t i = 0; i < COLS; i++)
        for (size_t k = 0; k < COLS; k++) {
            a[i][k] = (double)h[i * COLS + k] + (i == k ? 0.01 * mean : 0);
            a[i][COLS + k] = i == k;
        }
    for (size_t p = 0; p < COLS; p++) {
        double pivot = a[p][p];
        for (size_t k = 0; k < 2 * COLS; k++) a[p][k] /= pivot;
        for (size_t i = 0; i < COLS; i++) {
            double f = i == p ? 0 : a[i][p];
            for (size_t k = 0; f != 0 && k < 2 * COLS; k++) a[i][k] -= f * a[p][k];
        }
    }
    for (size_t i = 0; i < COLS; i++) memcpy(inv + i * COLS, a[i] + COLS, COLS * sizeof *inv);
}

static void test_factor(void **unused)
{
    static float x[SAMPLES * COLS], w[ROWS * COLS], u[COLS * COLS];
    static double inv[COLS * COLS];
    double worst = 0, most = 0;
    draw(x, w, u, 1);
    inverse(u, inv);
    assert_true(hessian_factor(u, COLS));
    for (size_t i = 0; i < COLS; i++)
        for (size_t k = 0; k < COLS; k++) {
            double sum = 0;
            for (size_t j = 0; j < COLS; j++) sum += (double)u[j * COLS + i] * (double)u[j * COLS + k];
            worst = fmax(worst, fabs(sum - inv[i * COLS + k]));
            most = fmax(most, fabs(inv[i * COLS + k]));
            if (k < i) assert_true(u[i * COLS + k] == 0);
        }
    printf("Uᵀ U against the inverse: %.3g of its largest (bound 1e-4)\n", worst / most);
    assert_true(worst <= 1e-4 * most);
    memset(u, 0, sizeof u); /* no input at all */
    assert_true(hessian_factor(u, COLS));
    u[0] = -1e9f;
    assert_false(hessian_factor(u, COLS));
    u[0] = NAN;
    assert_false(hessian_factor(u, COLS));
}

/* ---- codes ----------------------------------------------------------------------------------- */

static struct quant_matrix view(const uint8_t *codes, const float *scales, const float *mins)
{
    struct quant_matrix m = {.type = q.type, .data = codes, .rows = ROWS, .cols = COLS, .row_bytes = COLS / 2};
    m.planes = (struct quant_planes){.scales = (const uint8_t *)scales,
                                     .mins = (const uint8_t *)mins,
                                     .group = GROUP,
                                     .scale_type = SCALE_F32,
                                     .factor = 1};
    return m;
}

/* One row, by e = (w − value) / H⁻¹_jj, w −= e H⁻¹_j, and H⁻¹ without column j, in double; a group's line as rounding
 * has it. The values. */
static void reference(const float *row, const double *inverse_of_h, double *values)
{
    static double inv[COLS * COLS];
    double w[COLS];
    memcpy(inv, inverse_of_h, sizeof inv);
    for (size_t i = 0; i < COLS; i++) w[i] = (double)row[i];
    for (size_t j = 0; j < COLS; j++) {
        static uint8_t codes[GROUP];
        static float scale, minimum;
        if (j % GROUP == 0) {
            float group[GROUP];
            for (size_t i = 0; i < GROUP; i++) group[i] = (float)w[j + i];
            quantize(&q, group, GROUP, &(struct quantized){codes, (uint8_t *)&scale, (uint8_t *)&minimum});
        }
        double code = fmin(fmax(rint((w[j] - (double)minimum) / (double)scale), 0), 15);
        values[j] = code * (double)scale + (double)minimum;
        double e = (w[j] - values[j]) / inv[j * COLS + j], pivot = inv[j * COLS + j];
        for (size_t k = j; k < COLS; k++) w[k] -= e * inv[j * COLS + k];
        for (size_t i = j + 1; i < COLS; i++)
            for (size_t k = j + 1; k < COLS; k++) inv[i * COLS + k] -= inv[i * COLS + j] * inv[j * COLS + k] / pivot;
    }
}

/* Σ (X (w − v))² over all rows */
static double product_error(const float *x, const float *w, const float *v)
{
    double sum = 0;
    for (size_t r = 0; r < ROWS; r++)
        for (size_t s = 0; s < SAMPLES; s++) {
            double dot = 0;
            for (size_t i = 0; i < COLS; i++)
                dot += (double)x[s * COLS + i] * ((double)w[r * COLS + i] - (double)v[r * COLS + i]);
            sum += dot * dot;
        }
    return sum;
}

static void test_codes(void **unused)
{
    static float x[SAMPLES * COLS], w[ROWS * COLS], u[COLS * COLS], copy[ROWS * COLS], values[ROWS * COLS],
        rounded[ROWS * COLS], scales[ROWS * GROUPS], mins[ROWS * GROUPS];
    static uint8_t codes[ROWS * COLS / 2];
    static double inv[COLS * COLS];
    const struct quantized out = {codes, (uint8_t *)scales, (uint8_t *)mins};
    struct quant_matrix m = view(codes, scales, mins);
    draw(x, w, u, 2);
    inverse(u, inv);
    quantize(&q, w, ROWS * COLS, &out);
    for (size_t r = 0; r < ROWS; r++) quant_dequantize(rounded + r * COLS, &m, r, 0, COLS);
    assert_true(hessian_factor(u, COLS));
    memcpy(copy, w, sizeof w);
    quantize_gptq(&q, copy, ROWS, COLS, u, &out);
    for (size_t r = 0; r < ROWS; r++) quant_dequantize(values + r * COLS, &m, r, 0, COLS);

    size_t differ = 0, checked = 0;
    for (size_t r = 0; r < ROWS; r += 37, checked += COLS) { /* the first and the second run of rows */
        double wanted[COLS];
        reference(w + r * COLS, inv, wanted);
        for (size_t i = 0; i < COLS; i++) {
            double step = fabs((double)scales[r * GROUPS + i / GROUP]);
            differ += fabs((double)values[r * COLS + i] - wanted[i]) > 0.01 * step;
        }
    }
    double by_rounding = product_error(x, w, rounded), by_gptq = product_error(x, w, values);
    printf("%zu of %zu values differ from the reference's (bound 2 %%: f32 tips codes near the middle)\n", differ,
           checked);
    printf("squared error of the products: rounding %.4g, GPTQ %.4g, %.3f of it (bound 0.5)\n", by_rounding, by_gptq,
           by_gptq / by_rounding);
    assert_true(differ * 50 <= checked);
    assert_true(by_gptq <= 0.5 * by_rounding);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_factor), cmocka_unit_test(test_codes)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
