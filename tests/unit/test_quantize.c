/* test_quantize.c — codes, scales and minimums against those that mlx and bitsandbytes make of the same numbers
 * (tests/golden/quantize, tools/golden_quantize.py): equal bytes, NaN equal to NaN; and what differs on purpose. */
#include "file/safetensors.h"
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

enum { COLS = 384, CAP = 1 << 14 };
static struct memory memory;
static struct safetensors golden;

static const struct st_tensor *tensor(const char *name, const char *ending)
{
    char text[160];
    snprintf(text, sizeof text, "%s.%s", name, ending);
    const struct st_tensor *t = safetensors_find(&golden, text);
    if (!t) fail_msg("%s is missing", text);
    return t;
}

/* Numbers of a F32, F16 or BF16 tensor. */
static void read_floats(float *y, const struct st_tensor *t, size_t first, size_t n)
{
    enum scale_type type = t->dtype == ST_F32 ? SCALE_F32 : t->dtype == ST_F16 ? SCALE_F16 : SCALE_BF16;
    for (size_t i = 0; i < n; i++) y[i] = scale_at(type, t->data, first + i);
}

/* How many numbers of the type differ, where NaN equals NaN. */
static size_t floats_differ(enum scale_type type, const uint8_t *got, const uint8_t *wanted, size_t n)
{
    size_t differ = 0;
    for (size_t i = 0; i < n; i++) {
        bool same = !memcmp(got + i * scale_bytes(type), wanted + i * scale_bytes(type), scale_bytes(type));
        differ += !same && !(isnan(scale_at(type, got, i)) && isnan(scale_at(type, wanted, i)));
    }
    return differ;
}

/* ---- mlx ------------------------------------------------------------------------------------ */

static const struct {
    const char *name;
    enum quant_type first; /* affine: its bits follow */
} modes[] = {{"affine", QUANT_AFFINE2}, {"mxfp4", QUANT_MXFP4}, {"mxfp8", QUANT_MXFP8}, {"nvfp4", QUANT_NVFP4}};

/* "affine-4-64-float16" */
static struct quantization parse(const char *name, char dtype[16])
{
    struct quantization q = {.type = QUANT_TYPES};
    char mode[16];
    int bits;
    assert_int_equal(sscanf(name, "%15[^-]-%d-%zu-%15s", mode, &bits, &q.group, dtype), 4);
    for (size_t i = 0; i < sizeof modes / sizeof *modes; i++)
        if (!strcmp(mode, modes[i].name)) q.type = modes[i].first;
    while (q.type < QUANT_MXFP4 && planes_bits(q.type) != bits) q.type++;
    q.number = !strcmp(dtype, "float32") ? SCALE_F32 : !strcmp(dtype, "float16") ? SCALE_F16 : SCALE_BF16;
    return q;
}

static void check_mlx(const char *name)
{
    char dtype[16];
    struct quantization q = parse(name, dtype);
    const struct st_tensor *values = tensor(dtype, "values"), *codes = tensor(name, "codes"),
                           *scales = tensor(name, "scales");
    enum scale_type type = quantized_scales(&q);
    size_t rows = codes->shape[0], n = rows * COLS, groups = n / q.group;
    static float x[CAP];
    static uint8_t got_codes[CAP], got_scales[CAP], got_mins[CAP];
    assert_int_equal(values->shape[1], COLS);
    read_floats(x, values, 0, n);
    quantize(&q, x, n, &(struct quantized){got_codes, got_scales, got_mins});
    size_t differ = 0, mins = 0;
    for (size_t i = 0; i < codes->bytes; i++) differ += got_codes[i] != codes->data[i];
    if (q.type < QUANT_MXFP4) mins = floats_differ(type, got_mins, tensor(name, "mins")->data, groups);
    size_t other = floats_differ(type, got_scales, scales->data, groups);
    printf("    %-22s %zu numbers: %zu codes, %zu scales, %zu minimums differ, bound 0\n", name, n, differ, other,
           mins);
    assert_int_equal(differ + other + mins, 0);
}

static void test_mlx(void **unused)
{
    size_t formats = 0;
    for (size_t i = 0; i < golden.count; i++) {
        char name[128];
        const char *end = strstr(golden.tensors[i].name, ".codes");
        if (!end || !strncmp(golden.tensors[i].name, "n", 1) == !strstr(golden.tensors[i].name, "nvfp4")) continue;
        snprintf(name, sizeof name, "%.*s", (int)(end - golden.tensors[i].name), golden.tensors[i].name);
        check_mlx(name);
        formats++;
    }
    assert_int_equal(formats, 63);
}

/* Where MLX's bytes wrap around: a scale that is NaN, or the smallest there is. Where it loses numbers: the largest
 * code. */
static void test_ends(void **unused)
{
    float x[64] = {[3] = INFINITY, [32] = 0x1p-140f, [40] = 1e-40f};
    uint8_t codes[64], scales[4];
    static const enum quant_type types[] = {QUANT_MXFP4, QUANT_MXFP8};
    for (size_t i = 0; i < 2; i++) {
        quantize(&(struct quantization){types[i], 32, SCALE_F32}, x, 64, &(struct quantized){codes, scales, NULL});
        assert_int_equal(scales[0], 255);
        assert_int_equal(scales[1], 0);
        x[3] = NAN;
    }
    x[0] = 1e30f, x[3] = -INFINITY, x[16] = 1e-5f;
    quantize(&(struct quantization){QUANT_NVFP4, 16, SCALE_BF16}, x, 64, &(struct quantized){codes, scales, NULL});
    assert_int_equal(scales[0], 0x7E); /* 448 */
    assert_int_equal(codes[0], 0x07);
    assert_int_equal(codes[1], 0xF0);
    assert_int_equal(scales[1] | codes[8], 0); /* too small for a scale */
}

/* ---- bitsandbytes --------------------------------------------------------------------------- */

static void test_nf4(void **unused)
{
    static const char *const names[] = {"nf4-768", "nf4-350", "nf4-199", "nf4-74", "nf4-6"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        const struct st_tensor *values = tensor(names[i], "values"), *codes = tensor(names[i], "codes");
        size_t n = values->shape[0], blocks = (n + 63) / 64, differ = 0;
        float x[1024];
        uint8_t got[512], scales[64];
        read_floats(x, values, 0, n);
        quantize(&(struct quantization){QUANT_NF4, 64, SCALE_F32}, x, n, &(struct quantized){got, scales, NULL});
        assert_int_equal(codes->bytes, (n + 1) / 2);
        for (size_t k = 0; k < codes->bytes; k++) differ += got[k] != codes->data[k];
        size_t other = floats_differ(SCALE_F32, scales, tensor(names[i], "scales")->data, blocks);
        printf("    %-8s %zu numbers: %zu codes, %zu scales differ, bound 0\n", names[i], n, differ, other);
        assert_int_equal(differ + other, 0);
    }
}

static void test_nested(void **unused)
{
    const struct st_tensor *absmax = tensor("nested", "absmax"), *codes = tensor("nested", "codes");
    float x[1024], offset, map[DYNAMIC_MAP], outer[8];
    uint8_t got[1024];
    size_t n = absmax->shape[0];
    read_floats(x, absmax, 0, n);
    read_floats(&offset, tensor("nested", "offset"), 0, 1);
    dynamic_map(map);
    quantize_nested(map, x, n, offset, got, outer);
    assert_memory_equal(map, tensor("nested", "map")->data, sizeof map);
    assert_memory_equal(got, codes->data, n);
    assert_memory_equal(outer, tensor("nested", "outer")->data, (n + 255) / 256 * sizeof *outer);
}

static int open_golden(void **unused)
{
    lorac_error err;
    if (safetensors_open(&memory, TEST_DATA "/quantize/quantize.safetensors", true, &golden, &err) == LORAC_OK)
        return 0;
    printf("%s\n", err.message);
    return 1;
}
static int close_golden(void **unused)
{
    safetensors_close(&golden);
    return memory.used != 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_mlx), cmocka_unit_test(test_ends),
                                       cmocka_unit_test(test_nf4), cmocka_unit_test(test_nested)};
    return cmocka_run_group_tests(tests, open_golden, close_golden);
}
