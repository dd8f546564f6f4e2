/* test_quant.c — every quantised format against the values that the gguf package gives to the same random blocks
 * (tests/golden/quant, tools/golden_quants.py): equal bits; and the table's sizes against ggml's. */
#include "base/os.h"
#include "file/gguf.h"
#include "quant/format.h"

#include <ctype.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

/* tests/golden/quant/NAME.ENDING, NAME in lower case. */
static uint8_t *golden(struct memory *m, const char *name, const char *ending, size_t *size)
{
    char path[512], *bytes;
    lorac_error err;
    int at = snprintf(path, sizeof path, "%s/quant/", TEST_DATA);
    for (; *name; name++) path[at++] = (char)tolower((unsigned char)*name);
    snprintf(path + at, sizeof path - (size_t)at, ".%s", ending);
    if (os_read(m, path, 1 << 24, &bytes, size, &err) != LORAC_OK) fail_msg("%s: %s", path, err.message);
    return (uint8_t *)bytes;
}

static void check_format(const struct quant_format *f)
{
    struct memory m = {0};
    size_t bytes, value_bytes, differ = 0;
    uint8_t *blocks = golden(&m, f->name, "blocks", &bytes), *values = golden(&m, f->name, "values", &value_bytes);
    size_t n = bytes / f->block_bytes * f->block;
    assert_int_equal(bytes % f->block_bytes, 0);
    assert_int_equal(value_bytes, n * sizeof(float));
    float *y = malloc(n * sizeof *y);
    assert_non_null(y);
    f->dequantize(y, blocks, n);
    for (size_t i = 0; i < n; i++) differ += memcmp(y + i, values + 4 * i, 4) != 0;
    printf("    %-5s %5zu values: %zu differ, bound 0\n", f->name, n, differ);
    assert_int_equal(differ, 0);
    free(y);
    mem_free(&m, blocks);
    mem_free(&m, values);
    assert_int_equal(m.used, 0);
}

static void test_values(void **unused)
{
    for (size_t i = 0; i < QUANT_PLANES; i++) /* Q8_1 and Q8_K the gguf package does not dequantise */
        if (quant_formats[i].block > 1 && i != QUANT_Q8_1 && i != QUANT_Q8_K) check_format(quant_formats + i);
}

static void test_sizes(void **unused)
{
    for (size_t i = 0; i < QUANT_PLANES; i++) {
        const struct quant_format *f = quant_formats + i;
        size_t elements, bytes, row;
        const char *name;
        assert_true(gguf_type_size(f->ggml_type, &elements, &bytes, &name));
        assert_int_equal(elements, f->block);
        assert_int_equal(bytes, f->block_bytes);
        assert_string_equal(name, f->name);
        assert_ptr_equal(quant_from_ggml(f->ggml_type), f);
        assert_true(quant_row_bytes((enum quant_type)i, 3 * f->block, &row));
        assert_int_equal(row, 3 * f->block_bytes);
        if (f->block > 1) assert_false(quant_row_bytes((enum quant_type)i, f->block / 2, &row));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_values), cmocka_unit_test(test_sizes)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
