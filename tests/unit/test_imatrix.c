/* test_imatrix.c — both forms of an imatrix say the same (tools/make_file_corpus.py); damaged ones are refused, by the
 * replay of tests/fuzz/corpus/imatrix and by name here. */
#include "file/imatrix.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

static void expect(const struct imatrix *im, const char *name, const float *values, size_t cols)
{
    const float *importance;
    lorac_error err;
    assert_int_equal(imatrix_find(im, name, cols, &importance, &err), LORAC_OK);
    assert_non_null(importance);
    assert_memory_equal(importance, values, cols * sizeof *values);
}

static void both_forms(void **state)
{
    static const char *const paths[] = {TEST_DATA "/file/imatrix.gguf", TEST_DATA "/file/imatrix.dat"};
    (void)state;
    for (size_t p = 0; p < 2; p++) {
        struct memory m = {0};
        struct imatrix im;
        const float *importance;
        lorac_error err;
        if (imatrix_open(&m, paths[p], &im, &err)) fail_msg("%s", err.message);
        assert_int_equal(im.entries.count, 3);
        expect(&im, "blk.0.attn_q.weight", (float[]){1, 2, 0, 4}, 4);
        expect(&im, "blk.0.ffn_down.weight", (float[]){1, 1, 1}, 3); /* never used: all alike */
        expect(&im, "output.weight", (float[]){0.5f}, 1);
        assert_int_equal(imatrix_find(&im, "blk.1.attn_q.weight", 4, &importance, &err), LORAC_OK);
        assert_null(importance);
        assert_int_equal(imatrix_find(&im, "output.weight", 2, &importance, &err), LORAC_MISMATCH);
        assert_non_null(strstr(err.message, "output.weight"));
        imatrix_close(&im);
        assert_int_equal(m.used, 0);
    }
}

static void damaged(void **state)
{
    static const struct {
        const char *file, *says;
    } cases[] = {
        {"experts", "experts"},
        {"no_counts", ".counts is missing"},
        {"no_sums", "no tensor is called"},
        {"count_nan", "count"},
        {"sum_negative", "column 1"},
        {"sum_infinite", "column 0"},
        {"calls_negative", "entry 0"},
        {"too_many", "entry 3"},
        {"negative_count", "count of entries"},
        {"name_nul", "entry 0"},
        {"name_empty", "entry 0"},
        {"no_values", "entry 0"},
        {"huge_values", "entry 0"},
        {"huge_name", "entry 0"},
        {"empty", "count of entries"},
        {"no_entries", "count of entries"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct memory m = {0};
        struct imatrix im;
        char path[512];
        lorac_error err;
        snprintf(path, sizeof path, TEST_DATA "/../fuzz/corpus/imatrix/%s", cases[i].file);
        assert_int_not_equal(imatrix_open(&m, path, &im, &err), LORAC_OK);
        if (!strstr(err.message, cases[i].says) || !strstr(err.message, cases[i].file)) fail_msg("%s", err.message);
        assert_int_equal(m.used, 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(both_forms), cmocka_unit_test(damaged)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
