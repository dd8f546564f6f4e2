/* test_quantize_ggml.c — blocks that lorac writes, read by lorac's own readers: no worse than ggml's on rows of a real
 * model, with and without importance (tests/golden/quantize_ggml, tools/golden_quantize_ggml.py); hostile numbers; the
 * same bytes however runs are cut. */
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

enum { COLUMNS = 256 };

/* step: how much of the largest number of its block a number may be off. ratio: the squared error, in parts of ggml's,
 * that is held. */
static const struct {
    enum quant_type type;
    float step, ratio;
} types[] = {
    {QUANT_Q4_0, 0.08f, 0.83f},       {QUANT_Q4_1, 0.08f, 0.82f},    {QUANT_Q5_0, 0.04f, 0.81f},
    {QUANT_Q5_1, 0.04f, 0.06f},       {QUANT_Q8_0, 0.005f, 1},       {QUANT_Q2_K, 0.4f, 0.772f},
    {QUANT_Q3_K, 0.25f, 0.93f},       {QUANT_Q4_K, 0.08f, 0.77f},    {QUANT_Q5_K, 0.04f, 0.53f},
    {QUANT_Q6_K, 0.025f, 0.865f},     {QUANT_IQ4_NL, 0.11f, 0.963f}, {QUANT_IQ4_XS, 0.13f, 0.964f},
    {QUANT_GGML_MXFP4, 0.25f, 0.95f},
};
enum { TYPES = sizeof types / sizeof *types };

static char *golden(struct memory *m, const char *name, size_t *size)
{
    char path[512], *bytes;
    lorac_error err;
    snprintf(path, sizeof path, "%s/quantize_ggml/%s", TEST_DATA, name);
    if (os_read(m, path, 1 << 24, &bytes, size, &err) != LORAC_OK) fail_msg("%s: %s", path, err.message);
    return bytes;
}

static uint8_t *blocks_of(enum quant_type type, const float *x, const float *importance, size_t n)
{
    const struct quant_format *f = &quant_formats[type];
    uint8_t *blocks = malloc(n / f->block * f->block_bytes);
    assert_non_null(blocks);
    assert_true(quantize_ggml(type, x, importance, n, blocks));
    return blocks;
}

/* What readers make of x's blocks; importance may be NULL. */
static void there_and_back(enum quant_type type, const float *x, const float *importance, size_t n, float *y)
{
    uint8_t *blocks = blocks_of(type, x, importance, n);
    quant_formats[type].dequantize(y, blocks, n);
    free(blocks);
}

/* ---- a real model's rows ---------------------------------------------------------------------- */

struct sample {
    float *x, *importance; /* (n) each: importance repeats row by row */
    size_t n;
};

static struct sample sample(void)
{
    struct memory m = {0};
    size_t size, length;
    char *bf16 = golden(&m, "sample.bf16", &size), *columns = golden(&m, "importance.f32", &length);
    assert_int_equal(length, COLUMNS * sizeof(float));
    struct sample s = {malloc(2 * size), malloc(2 * size), size / 2};
    assert_true(s.x && s.importance);
    quant_formats[QUANT_BF16].dequantize(s.x, bf16, s.n);
    for (size_t i = 0; i < s.n; i += COLUMNS) memcpy(s.importance + i, columns, length);
    mem_free(&m, bf16);
    mem_free(&m, columns);
    return s;
}

static void sample_free(struct sample *s)
{
    free(s->x);
    free(s->importance);
}

static double squared_error(const float *x, const float *y, const float *w, size_t n)
{
    double sum = 0;
    for (size_t i = 0; i < n; i++) sum += (w ? w[i] : 1.0) * ((double)y[i] - x[i]) * ((double)y[i] - x[i]);
    return sum;
}

/* "NAME error weighted-error" a line. */
static void errors_of_ggml(const char *lines, const char *name, double *plain, double *weighted)
{
    char text[32], *end;
    snprintf(text, sizeof text, "%s ", name);
    const char *at = strstr(lines, text);
    if (!at) fail_msg("%s is missing", name);
    *plain = strtod(at + strlen(text), &end);
    *weighted = strtod(end, NULL);
}

static void no_worse_than_ggml(void **state)
{
    struct memory m = {0};
    struct sample s = sample();
    size_t length;
    char *lines = golden(&m, "errors.txt", &length);
    float *y = malloc(s.n * sizeof *y);
    (void)state;
    assert_non_null(y);
    for (size_t t = 0; t < TYPES; t++) {
        const char *name = quant_formats[types[t].type].name;
        double plain, weighted;
        errors_of_ggml(lines, name, &plain, &weighted);
        there_and_back(types[t].type, s.x, NULL, s.n, y);
        double error = squared_error(s.x, y, NULL, s.n), without = squared_error(s.x, y, s.importance, s.n);
        there_and_back(types[t].type, s.x, s.importance, s.n, y);
        double with = squared_error(s.x, y, s.importance, s.n);
        printf("    %-8s squared error %.4e, %.3f of ggml's; importance lowers the weighted one from %.4e to %.4e, "
               "%.3f of ggml's\n",
               name, error, error / plain, without, with, with / weighted);
        assert_true(error <= types[t].ratio * plain);
        assert_true(with <= 1.01 * weighted);
        assert_true(with < without);
    }
    free(y);
    sample_free(&s);
    mem_free(&m, lines);
}

/* Blocks one at a time, and a tail of any length: the same bytes, and none behind the last. */
static void cuts_change_nothing(void **state)
{
    struct sample s = sample();
    (void)state;
    for (size_t t = 0; t < TYPES; t++) {
        const struct quant_format *f = &quant_formats[types[t].type];
        size_t blocks = 35, bytes = blocks * f->block_bytes;
        uint8_t *whole = blocks_of(types[t].type, s.x, NULL, blocks * f->block), *cut = malloc(bytes + 1);
        assert_non_null(cut);
        for (size_t from = 0, count; from < blocks; from += count) {
            count = from / 2 + 1 < blocks - from ? from / 2 + 1 : blocks - from;
            cut[(from + count) * f->block_bytes] = 0xA5;
            assert_true(quantize_ggml(types[t].type, s.x + from * f->block, NULL, count * f->block,
                                      cut + from * f->block_bytes));
            assert_int_equal(cut[(from + count) * f->block_bytes], 0xA5);
        }
        assert_memory_equal(whole, cut, bytes);
        free(whole);
        free(cut);
    }
    sample_free(&s);
}

static void same_blocks(enum quant_type type, const float *x, const float *one, const float *other)
{
    enum { N = 2 * QUANT_BLOCK };
    const struct quant_format *f = &quant_formats[type];
    uint8_t *a = blocks_of(type, x, one, N), *b = blocks_of(type, x, other, N);
    assert_memory_equal(a, b, N / f->block * f->block_bytes);
    free(a);
    free(b);
}

/* Importance below 0 and NaN are 0; where it is that for all, it is none. */
static void no_importance(void **state)
{
    static const float bad[] = {0, -1, NAN, -INFINITY};
    struct sample s = sample();
    float zeros[2 * QUANT_BLOCK], w[2 * QUANT_BLOCK];
    (void)state;
    for (size_t t = 0; t < TYPES; t++)
        for (size_t k = 0; k < 4; k++) {
            for (size_t i = 0; i < 2 * QUANT_BLOCK; i++) w[i] = bad[k];
            same_blocks(types[t].type, s.x, w, NULL);
            for (size_t i = 0; i < 2 * QUANT_BLOCK; i++) zeros[i] = i % 3 ? 1 : 0, w[i] = i % 3 ? 1 : bad[k];
            same_blocks(types[t].type, s.x, w, zeros);
        }
    sample_free(&s);
}

/* ---- hostile numbers -------------------------------------------------------------------------- */

static float within_half(float x)
{
    return isnan(x) ? 0 : fminf(fmaxf(x, -65504), 65504);
}

/* Rows of two numbers and now and then a third. */
static const float hostile[][3] = {
    {0, 0, 0},
    {1, 1, 1},
    {-3, -3, -3},
    {1e30f, 1, -1},
    {1e-40f, -1e-45f, 0},
    {INFINITY, 1, -1},
    {-INFINITY, INFINITY, 0},
    {NAN, 1, 2},
    {1, NAN, -INFINITY},
    {-0.0f, 60000, -7},
    {1e-7f, 2e-7f, 0},
    {1, 1e-5f, 1e-5f},
    {-65504, 65504, 65504},
    {100.5f, 100, 101},
};
enum { HOSTILE = sizeof hostile / sizeof *hostile };

static void fill(float x[QUANT_BLOCK], const float kinds[3])
{
    for (size_t i = 0; i < QUANT_BLOCK; i++) x[i] = kinds[i % 37 ? 1 + i % 2 : 0];
}

static float most_of(const float *x, size_t n)
{
    float most = 0;
    for (size_t i = 0; i < n; i++) most = fmaxf(most, fabsf(within_half(x[i])));
    return most;
}

static void read_back(enum quant_type type, float step, const float x[QUANT_BLOCK], const float *importance)
{
    float y[QUANT_BLOCK];
    size_t block = quant_formats[type].block;
    there_and_back(type, x, importance, QUANT_BLOCK, y);
    for (size_t i = 0; i < QUANT_BLOCK; i++) {
        float most = most_of(x + i / block * block, block), off = fabsf(y[i] - within_half(x[i]));
        if (!(off <= step * most + 5e-7f) || (most == 0 && signbit(y[i])))
            fail_msg("%s: %g is read as %g", quant_formats[type].name, (double)x[i], (double)y[i]);
    }
}

/* Zeros, constants, outliers, subnormals, infinities, NaN: a number is read as itself within a part of the largest of
 * its block, NaN as 0 and an infinity as the largest half; with no importance, or with one that says nothing. */
static void hostile_numbers(void **state)
{
    static const float nothing[][3] = {
        {0, 0, 0}, {-3, -3, -3}, {NAN, -INFINITY, 0}, {1e-40f, 1e-40f, 1e-40f}, {INFINITY, INFINITY, INFINITY},
        {5, 5, 5}};
    (void)state;
    for (size_t t = 0; t < TYPES; t++)
        for (size_t k = 0; k < HOSTILE; k++) {
            float x[QUANT_BLOCK], w[QUANT_BLOCK];
            fill(x, hostile[k]);
            read_back(types[t].type, types[t].step, x, NULL);
            for (size_t j = 0; j < sizeof nothing / sizeof *nothing; j++) {
                fill(w, nothing[j]);
                read_back(types[t].type, types[t].step, x, w);
            }
        }
}

/* Whatever the importance, every number read is finite, and none larger than half as much again. */
static void hostile_importance(void **state)
{
    (void)state;
    for (size_t t = 0; t < TYPES; t++)
        for (size_t k = 0; k < HOSTILE * HOSTILE; k++) {
            float x[QUANT_BLOCK], w[QUANT_BLOCK], y[QUANT_BLOCK];
            fill(x, hostile[k % HOSTILE]);
            fill(w, hostile[k / HOSTILE]);
            there_and_back(types[t].type, x, w, QUANT_BLOCK, y);
            for (size_t i = 0; i < QUANT_BLOCK; i++) assert_true(fabsf(y[i]) <= 1.5f * 65504);
        }
}

/* F32, F16 and BF16 keep infinities and NaN, and round to nearest. */
static void plain_numbers(void **state)
{
    static const enum quant_type plain[] = {QUANT_F32, QUANT_F16, QUANT_BF16};
    static const float x[] = {1, -2.5f, INFINITY, -INFINITY, NAN, 1.0001f, 0, -0.0f}, off[] = {0, 0x1p-11f, 0x1p-8f};
    (void)state;
    for (size_t t = 0; t < 3; t++) {
        float y[8];
        there_and_back(plain[t], x, NULL, 8, y);
        for (size_t i = 0; i < 8; i++)
            if (isfinite(x[i]))
                assert_true(fabsf(y[i] - x[i]) <= off[t] * fabsf(x[i]) && signbit(y[i]) == signbit(x[i]));
            else
                assert_true(isnan(x[i]) ? isnan(y[i]) : y[i] == x[i]);
    }
    assert_false(quantize_ggml(QUANT_IQ1_S, x, NULL, 0, NULL));
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(no_worse_than_ggml), cmocka_unit_test(cuts_change_nothing),
                                       cmocka_unit_test(no_importance),      cmocka_unit_test(hostile_numbers),
                                       cmocka_unit_test(hostile_importance), cmocka_unit_test(plain_numbers)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
