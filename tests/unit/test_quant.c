/* test_quant.c — every quantised format against the values that the gguf package, or ggml, gives to the same random
 * blocks (tests/golden/quant, tools/golden_quants.py): equal bits; and the table's sizes against ggml's. */
#include "base/os.h"
#include "file/gguf.h"
#include "file/safetensors.h"
#include "quant/format.h"

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
    for (size_t i = 0; i < n; i++) {
        float wanted;
        memcpy(&wanted, values + 4 * i, 4);
        differ += memcmp(y + i, &wanted, 4) != 0 && !(isnan(y[i]) && isnan(wanted));
    }
    printf("    %-5s %5zu values: %zu differ, bound 0\n", f->name, n, differ);
    assert_int_equal(differ, 0);
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
    static const char *const names[] = {"affine-2", "affine-3", "affine-4", "affine-5", "affine-6", "affine-8",
                                        "mxfp4",    "mxfp8",    "nvfp4",    "nf4",      "fp4"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (!strncmp(name, names[i], strlen(names[i]))) return (enum quant_type)(QUANT_AFFINE2 + i);
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
