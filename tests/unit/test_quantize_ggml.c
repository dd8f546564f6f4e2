/* test_quantize_ggml.c — blocks that lorac writes, read by lorac's own readers: no worse than ggml's on rows of a real
 * model (tests/golden/quantize_ggml, tools/golden_quantize_ggml.py); and hostile numbers. */
#include "base/os.h"
#include "quant/quantize_ggml.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

static const enum quant_type types[] = {QUANT_Q4_0, QUANT_Q4_1, QUANT_Q5_0, QUANT_Q5_1,   QUANT_Q8_0,
                                        QUANT_Q2_K, QUANT_Q3_K, QUANT_Q4_K, QUANT_Q5_K,   QUANT_Q6_K,
                                        QUANT_IQ4_NL, QUANT_IQ4_XS, QUANT_GGML_MXFP4};
enum { TYPES = sizeof types / sizeof *types };

static char *golden(struct memory *m, const char *name, size_t *size)
{
    char path[512], *bytes;
    lorac_error err;
    snprintf(path, sizeof path, "%s/quantize_ggml/%s", TEST_DATA, name);
    if (os_read(m, path, 1 << 24, &bytes, size, &err) != LORAC_OK) fail_msg("%s: %s", path, err.message);
    return bytes;
}

/* What readers make of x's blocks; importance may be NULL. */
static void there_and_back(enum quant_type type, const float *x, const float *importance, size_t n, float *y)
{
    const struct quant_format *f = &quant_formats[type];
    uint8_t *blocks = malloc(n / f->block * f->block_bytes);
    assert_non_null(blocks);
    assert_true(quantize_ggml(type, x, importance, n, blocks));
    f->dequantize(y, blocks, n);
    free(blocks);
}

static double squared_error(const float *x, const float *y, const float *w, size_t n)
{
    double sum = 0;
    for (size_t i = 0; i < n; i++) sum += (w ? w[i] : 1.0) * ((double)y[i] - x[i]) * ((double)y[i] - x[i]);
    return sum;
}

/* "NAME error" a line. */
static double error_of_ggml(const char *lines, const char *name)
{
    char text[32];
    snprintf(text, sizeof text, "%s ", name);
    const char *at = strstr(lines, text);
    if (!at) fail_msg("%s is missing", name);
    return strtod(at + strlen(text), NULL);
}

static void no_worse_than_ggml(void **state)
{
    struct memory m = {0};
    size_t bytes, length;
    (void)state;
    char *sample = golden(&m, "sample.f32", &bytes), *lines = golden(&m, "errors.txt", &length);
    size_t n = bytes / 4;
    float *x = malloc(bytes), *y = malloc(bytes);
    assert_true(x && y);
    memcpy(x, sample, bytes);
    for (size_t t = 0; t < TYPES; t++) {
        const char *name = quant_formats[types[t]].name;
        there_and_back(types[t], x, NULL, n, y);
        double error = squared_error(x, y, NULL, n), ggml = error_of_ggml(lines, name);
        printf("    %-8s squared error %.4e, ggml's %.4e\n", name, error, ggml);
        assert_true(error <= ggml);
    }
    free(x);
    free(y);
    mem_free(&m, sample);
    mem_free(&m, lines);
}

/* Zeros, constants, outliers, subnormals, infinities, NaN: what is written reads as finite numbers, alike each time. */
static void hostile_numbers(void **state)
{
    static const float kinds[][3] = {{0, 0, 0},           {1, 1, 1},          {-3, -3, -3},         {1e30f, 1, -1},
                                     {1e-40f, -1e-45f, 0}, {INFINITY, 1, -1}, {-INFINITY, INFINITY, 0}, {NAN, 1, 2},
                                     {-0.0f, 60000, -7},   {1e-7f, 2e-7f, 0}};
    (void)state;
    for (size_t t = 0; t < TYPES; t++)
        for (size_t k = 0; k < sizeof kinds / sizeof *kinds; k++) {
            float x[QUANT_BLOCK], w[QUANT_BLOCK], y[QUANT_BLOCK], z[QUANT_BLOCK];
            for (size_t i = 0; i < QUANT_BLOCK; i++) x[i] = kinds[k][i % 37 ? 1 + i % 2 : 0], w[i] = kinds[9 - k][i % 3];
            there_and_back(types[t], x, k % 2 ? w : NULL, QUANT_BLOCK, y);
            there_and_back(types[t], x, k % 2 ? w : NULL, QUANT_BLOCK, z);
            assert_memory_equal(y, z, sizeof y);
            for (size_t i = 0; i < QUANT_BLOCK; i++) assert_true(isfinite(y[i]));
            if (k == 0)
                for (size_t i = 0; i < QUANT_BLOCK; i++) assert_true(y[i] == 0);
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(no_worse_than_ggml), cmocka_unit_test(hostile_numbers)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
