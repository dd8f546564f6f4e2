/* test_quant.c — every quantised format against the values that the gguf package, or ggml, gives to the same random
 * blocks (tests/golden/quant, tools/golden_quants.py): equal bits; and the table's sizes against ggml's. */
#include "base/os.h"
#include "file/gguf.h"
#include "file/safetensors.h"
#include "quant/codebook.h"

#include <ctype.h>
#include <math.h>
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

/* The blocks as one row that was expanded. */
static void read_expanded(float *y, const struct quant_expansion *e, const uint8_t *blocks, size_t n)
{
    struct quant_matrix w = {.type = e->to, .rows = 1, .cols = n};
    assert_true(quant_row_bytes(e->to, n, &w.row_bytes));
    uint8_t *codes = malloc(w.row_bytes);
    float *scales = malloc(n * sizeof *scales);
    assert_true(codes && scales);
    e->expand(codes, scales, blocks, n);
    w.data = codes;
    w.planes = (struct quant_planes){.scales = (const uint8_t *)scales, .group = e->group, .factor = 1};
    quant_dequantize(y, &w, 0, 0, n);
    free(codes);
    free(scales);
}

static void compare_values(const char *name, const float *y, const uint8_t *values, size_t n)
{
    size_t differ = 0;
    for (size_t i = 0; i < n; i++) {
        float wanted;
        memcpy(&wanted, values + 4 * i, 4);
        differ += memcmp(y + i, &wanted, 4) != 0 && !(isnan(y[i]) && isnan(wanted));
    }
    printf("    %-12s %5zu values: %zu differ, bound 0\n", name, n, differ);
    assert_int_equal(differ, 0);
}

static void check_format(const struct quant_format *f)
{
    struct memory m = {0};
    size_t bytes, value_bytes;
    uint8_t *blocks = golden(&m, f->name, "blocks", &bytes), *values = golden(&m, f->name, "values", &value_bytes);
    const struct quant_expansion *expansion = quant_expansion_of(quant_type_of(f));
    size_t n = bytes / f->block_bytes * f->block;
    assert_int_equal(bytes % f->block_bytes, 0);
    assert_int_equal(value_bytes, n * sizeof(float));
    float *y = malloc(n * sizeof *y);
    assert_non_null(y);
    f->dequantize(y, blocks, n);
    compare_values(f->name, y, values, n);
    if (expansion) {
        read_expanded(y, expansion, blocks, n);
        compare_values(quant_formats[expansion->to].name, y, values, n);
    }
    free(y);
    mem_free(&m, blocks);
    mem_free(&m, values);
    assert_int_equal(m.used, 0);
}

static void test_values(void **unused)
{
    for (size_t i = 0; i < QUANT_PLANES; i++) /* Q8_1 nobody dequantises: ggml has it for activations */
        if (quant_formats[i].block > 1 && i != QUANT_Q8_1) check_format(quant_formats + i);
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

/* ---- planes (tests/golden/planes, tools/golden_planes.py) --------------------------------------- */

static const struct st_tensor *plane_of(const struct safetensors *f, const char *name, const char *ending)
{
    char text[160];
    snprintf(text, sizeof text, "%s.%s", name, ending);
    return safetensors_find(f, text);
}

static enum quant_type plane_type(const char *name)
{
    static const struct {
        const char *name;
        enum quant_type type;
    } types[] = {{"affine-2", QUANT_AFFINE2}, {"affine-3", QUANT_AFFINE3}, {"affine-4", QUANT_AFFINE4},
                 {"affine-5", QUANT_AFFINE5}, {"affine-6", QUANT_AFFINE6}, {"affine-8", QUANT_AFFINE8},
                 {"mxfp4", QUANT_MXFP4},      {"mxfp8", QUANT_MXFP8},      {"nvfp4", QUANT_NVFP4},
                 {"nf4", QUANT_NF4},          {"fp4", QUANT_FP4}};
    for (size_t i = 0; i < sizeof types / sizeof *types; i++)
        if (!strncmp(name, types[i].name, strlen(types[i].name))) return types[i].type;
    fail_msg("%s", name);
    return QUANT_F32;
}

static enum scale_type plane_scales(const struct st_tensor *t, enum quant_type type)
{
    if (t->dtype == ST_U8) return type == QUANT_NVFP4 ? SCALE_E4M3 : SCALE_E8M0;
    return t->dtype == ST_F32 ? SCALE_F32 : t->dtype == ST_F16 ? SCALE_F16 : SCALE_BF16;
}

/* The whole rows, and pieces that begin and end anywhere. */
static void check_plane(const struct safetensors *f, const char *name)
{
    const struct st_tensor *codes = plane_of(f, name, "codes"), *scales = plane_of(f, name, "scales"),
                           *mins = plane_of(f, name, "mins"), *values = plane_of(f, name, "values");
    enum quant_type type = plane_type(name);
    size_t rows = values->shape[0], cols = values->shape[1], differ = 0, piece = 0;
    struct quant_matrix w = {.type = type, .data = codes->data, .rows = rows, .cols = cols};
    assert_true(quant_row_bytes(type, cols, &w.row_bytes) && w.row_bytes * rows == codes->bytes);
    w.planes = (struct quant_planes){.scales = scales->data,
                                     .mins = mins ? mins->data : NULL,
                                     .group = rows * cols / (scales->shape[0] * scales->shape[1]),
                                     .scale_type = plane_scales(scales, type),
                                     .factor = 1};
    for (size_t r = 0; r < rows; r++)
        for (size_t c = 0, n; c < cols; c += n) {
            float y[256];
            n = 1 + piece++ * 37 % (cols - c);
            quant_dequantize(y, &w, r, c, n);
            differ += memcmp(y, values->data + 4 * (r * cols + c), 4 * n) != 0;
        }
    printf("    %-22s %zu values: %zu pieces differ, bound 0\n", name, rows * cols, differ);
    assert_int_equal(differ, 0);
}

static void test_planes(void **unused)
{
    struct memory m = {0};
    struct safetensors f;
    lorac_error err;
    size_t formats = 0;
    if (safetensors_open(&m, TEST_DATA "/planes/planes.safetensors", true, &f, &err) != LORAC_OK)
        fail_msg("%s", err.message);
    for (size_t i = 0; i < f.count; i++) {
        char name[128];
        const char *end = strstr(f.tensors[i].name, ".codes");
        if (!end) continue;
        snprintf(name, sizeof name, "%.*s", (int)(end - f.tensors[i].name), f.tensors[i].name);
        check_plane(&f, name);
        formats++;
    }
    assert_true(formats >= 29);
    safetensors_close(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_values), cmocka_unit_test(test_sizes),
                                       cmocka_unit_test(test_planes)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
