/* The products of quantised weights with many rows of int8 activations, of every instruction set that this CPU has:
 * panels against quant/format.h, tiles against sums in double over the same codes and against the products of the
 * activations in f32. Buffers end where a forbidden page begins. Links nothing of lorac but the kernels and quant/. */
#include "backend/cpu/families.h" /* before cmocka.h, whose fail is a macro */
#include "quant/k_quants.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <math.h>
#include <sys/mman.h>
#include <unistd.h>
#include <cmocka.h>

static const enum quant_type types[] = {QUANT_Q4_0, QUANT_Q4_1, QUANT_Q8_0, QUANT_Q4_K, QUANT_Q5_K, QUANT_Q6_K};
enum { TYPES = sizeof types / sizeof *types };

/* ---- instruction sets ------------------------------------------------------------------------------------------- */

static struct cpu_kernels levels[4]; /* all that have int8 panels of their own */
static size_t level_count;

static void add_level(const char *name, void (*overlay)(struct cpu_kernels *t))
{
    if (level_count) levels[level_count] = levels[level_count - 1];
    overlay(levels + level_count);
    levels[level_count++].isa = name;
}

static void find_levels(void)
{
    add_level("scalar", cpu_kernels_scalar);
#if LORAC_X86
    if (!__builtin_cpu_supports("avx2") || !__builtin_cpu_supports("fma")) return;
    add_level("avx2", cpu_kernels_avx2);
    if (cpu_has_avxvnni()) add_level("avxvnni", cpu_kernels_avxvnni);
    if (__builtin_cpu_supports("avx512vnni") && __builtin_cpu_supports("avx512bw"))
        add_level("avx512", cpu_kernels_avx512);
#endif
}

/* ---- buffers and values ------------------------------------------------------------------------------------------ */

enum { BUFFERS = 32 };
static struct {
    uint8_t *map;
    size_t bytes;
} maps[BUFFERS];
static size_t map_count;

/* `bytes` bytes of 0xA5, 64-byte aligned when bytes is a multiple of 64, with a forbidden page behind. */
static void *buffer(size_t bytes)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE), room = (bytes + page - 1) / page * page;
    assert_true(map_count < BUFFERS);
    uint8_t *map = mmap(NULL, room + page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    assert_true(map != MAP_FAILED);
    assert_int_equal(mprotect(map + room, page, PROT_NONE), 0);
    maps[map_count].map = map, maps[map_count++].bytes = room + page;
    memset(map, 0xA5, room);
    return map + room - bytes;
}

static void release_buffers(void)
{
    while (map_count) map_count--, munmap(maps[map_count].map, maps[map_count].bytes);
}

static uint64_t state = 88172645463325252u;
static uint32_t random_u32(void)
{
    state ^= state << 13, state ^= state >> 7, state ^= state << 17;
    return (uint32_t)(state >> 32);
}
static size_t below(size_t n)
{
    return random_u32() % n;
}
static float uniform(void)
{
    return (float)((double)random_u32() * 0x1p-31 - 1);
}
static bool same_bits(float a, float b)
{
    return !memcmp(&a, &b, sizeof a);
}

static float *floats(size_t n)
{
    float *x = buffer(n * sizeof *x);
    for (size_t i = 0; i < n; i++) x[i] = below(16) ? uniform() : 30 * uniform();
    return x;
}

/* What the tests know of a format: where its f16 are, and what its panels hold. */
static const struct layout {
    size_t halves_at, halves;
    int zero;
    enum { NOTHING, MIN, HALF } second; /* scale of a record */
} layouts[QUANT_TYPES] = {
    [QUANT_Q4_0] = {0, 1, 8, NOTHING}, [QUANT_Q4_1] = {0, 2, 0, MIN}, [QUANT_Q8_0] = {0, 1, 128, NOTHING},
    [QUANT_Q4_K] = {0, 2, 0, MIN},     [QUANT_Q5_K] = {0, 2, 0, MIN}, [QUANT_Q6_K] = {Q6_K_D, 1, 32, HALF},
};

static void set_halves(enum quant_type type, uint8_t *block, uint16_t d, uint16_t min)
{
    memcpy(block + layouts[type].halves_at, (uint16_t[]){d, min}, 2 * layouts[type].halves);
}

static struct quant_matrix matrix(enum quant_type type, size_t rows, size_t cols)
{
    const struct quant_format *f = &quant_formats[type];
    struct quant_matrix w = {.type = type, .rows = rows, .cols = cols, .row_bytes = cols / f->block * f->block_bytes};
    uint8_t *p = buffer(rows * w.row_bytes);
    w.data = p;
    for (size_t i = 0; i < rows * w.row_bytes; i++) p[i] = (uint8_t)random_u32();
    for (size_t b = 0; b < rows * cols / f->block; b++, p += f->block_bytes)
        set_halves(type, p, float_to_half(uniform()), float_to_half(3 * uniform()));
    return w;
}

/* (rows, cols) */
static const float *values_of(const struct quant_matrix *w)
{
    float *y = buffer(w->rows * w->cols * sizeof *y);
    for (size_t i = 0; i < w->rows; i++)
        quant_formats[w->type].dequantize(y + i * w->cols, w->data + i * w->row_bytes, w->cols);
    return y;
}

/* ---- panels ------------------------------------------------------------------------------------------------------ */

struct weight_parts {
    int code; /* less the format's zero */
    float d, min;
};

static struct weight_parts parts_at(const struct cpu_kernels *t, enum quant_type type, const uint8_t *panel, size_t n,
                                    size_t d)
{
    const struct layout *l = &layouts[type];
    const uint8_t *record = panel + d / 32 * t->q8_record, *scales = record + 32 * t->tile_cols;
    struct weight_parts p = {record[(d % 32 / 4 * t->tile_cols + n) * 4 + d % 4] - l->zero, 0, 0};
    memcpy(&p.d, scales + 4 * (n + (l->second == HALF && d % 32 >= 16 ? t->tile_cols : 0)), 4);
    if (l->second == MIN) memcpy(&p.min, scales + 4 * (t->tile_cols + n), 4);
    return p;
}

static void check_pack(const struct cpu_kernels *t, enum quant_type type)
{
    size_t block = quant_formats[type].block, most = block > 32 ? 3 : 9;
    size_t row = below(4), rows = 1 + below(t->tile_cols), col = block * below(3), cols = block * (1 + below(most));
    struct quant_matrix w = matrix(type, row + rows, col + cols + block * below(2));
    const float *values = values_of(&w);
    uint8_t *panel = buffer(cols / 32 * t->q8_record);
    t->pack_q8[type](panel, &w, row, rows, col, cols);
    for (size_t d = 0; d < cols; d++)
        for (size_t n = 0; n < t->tile_cols; n++) {
            struct weight_parts p = parts_at(t, type, panel, n, d);
            float value = (float)p.code * p.d;
            if (layouts[type].second == MIN) value += p.min;
            if (n < rows)
                assert_true(same_bits(value, values[(row + n) * w.cols + col + d]));
            else
                assert_true(p.d == 0 && p.min == 0);
        }
    release_buffers();
}

static void test_pack(void **unused)
{
    for (size_t l = 0; l < level_count; l++)
        for (size_t type = 0; type < TYPES; type++)
            for (int i = 0; i < 60 && levels[l].pack_q8[types[type]]; i++) check_pack(levels + l, types[type]);
}

/* ---- activations ------------------------------------------------------------------------------------------------- */

static struct cpu_q8_rows q8_buffer(size_t rows, size_t cols)
{
    size_t ldq = (cols + 63) / 64 * 64 + 64 * below(2), ldd = cols / 32 + below(3);
    struct cpu_q8_rows x8 = {.ldq = ldq, .ldd = ldd};
    x8.q = buffer(rows * ldq);
    x8.d = buffer(rows * ldd * 4), x8.sum = buffer(rows * ldd * 4), x8.halves = buffer(rows * ldd * 4);
    return x8;
}

static void check_quantize(const struct cpu_kernels *t, size_t rows, size_t cols)
{
    size_t ldx = cols + below(5);
    float *x = floats((rows - 1) * ldx + cols);
    struct cpu_q8_rows x8 = q8_buffer(rows, cols), one = q8_buffer(1, cols);
    t->quantize_q8_rows(x8, x, ldx, rows, cols);
    for (size_t m = 0; m < rows; m++) {
        t->quantize_q8((struct cpu_q8){one.q, one.d, one.sum}, x + m * ldx, cols);
        assert_memory_equal(one.q, x8.q + m * x8.ldq, cols);
        assert_memory_equal(one.d, x8.d + m * x8.ldd, cols / 8);
        assert_memory_equal(one.sum, x8.sum + m * x8.ldd, cols / 8);
        for (size_t h = 0; h < cols / 16; h++) {
            int sum = 0;
            for (size_t i = 0; i < 16; i++) sum += one.q[16 * h + i];
            assert_int_equal(x8.halves[2 * m * x8.ldd + h], sum);
        }
    }
    release_buffers();
}

static void test_quantize(void **unused)
{
    for (size_t l = 0; l < level_count; l++)
        for (size_t rows = 1; levels[l].quantize_q8_rows && rows < 6; rows++)
            for (size_t cols = 32; cols <= 320; cols += 32) check_quantize(levels + l, rows, cols);
}

/* ---- tiles ------------------------------------------------------------------------------------------------------- */

/* The largest |y − Σ over the same codes| / Σ |terms|, and the largest share of what rounding activations may do:
 * |y − Σ x · W| / Σ_b d_b / 2 · Σ |W|. */
struct measured {
    double error, share;
    size_t count;
};
static const double BOUND = 2e-6, SHARE = 1.001;

struct problem {
    const struct cpu_kernels *t;
    enum quant_type type;
    size_t rows, depth, cols, ldx, ldy;
    float scale;
    bool accumulate;
    const float *x;
    struct cpu_q8_rows x8;
    const uint8_t *panel;
    const float *values; /* of the weights: (cols, depth) */
    float *y, *before;
};

static void run(const struct problem *p, float *y, size_t m, size_t rows, size_t cols)
{
    p->t->tile_q8[p->type](y, p->ldy, cpu_q8_rows_at(p->x8, m, 0), p->panel, p->depth, rows, cols, p->scale,
                           p->accumulate);
}

static void check_value(const struct problem *p, size_t m, size_t n, struct measured *e)
{
    double sum = 0, exact = 0, magnitude = 0, rounding = 0, scale = (double)p->scale;
    for (size_t d = 0; d < p->depth; d++) {
        struct weight_parts w = parts_at(p->t, p->type, p->panel, n, d);
        double xd = (double)p->x8.d[m * p->x8.ldd + d / 32], q = p->x8.q[m * p->x8.ldq + d];
        double product = w.code * (double)w.d, value = (double)p->values[n * p->depth + d];
        sum += q * xd * (product + (double)w.min), magnitude += fabs(q * xd) * (fabs(product) + fabs((double)w.min));
        exact += (double)p->x[m * p->ldx + d] * value, rounding += xd / 2 * fabs(value);
    }
    double start = p->accumulate ? (double)p->before[m * p->ldy + n] : 0, y = (double)p->y[m * p->ldy + n];
    assert_false(isnan(y));
    double allowed = BOUND * (fabs(start) + fabs(scale) * magnitude);
    e->error = fmax(e->error, fabs(y - start - scale * sum) / (fabs(start) + fabs(scale) * magnitude));
    e->share = fmax(e->share, (fabs(y - start - scale * exact) - allowed) / (fabs(scale) * rounding));
    e->count++;
}

/* Every row alone, and with fewer columns, has the bits that it has in the batch. */
static void check_alone(const struct problem *p)
{
    float *y = buffer(p->cols * sizeof *y);
    for (size_t m = 0; m < p->rows; m++) {
        size_t cols = 1 + below(p->cols);
        memcpy(y, p->before + m * p->ldy, p->cols * sizeof *y);
        run(p, y, m, 1, cols);
        for (size_t n = 0; n < cols; n++) assert_true(same_bits(y[n], p->y[m * p->ldy + n]));
    }
}

static void check_tile(struct problem p, struct measured *e)
{
    size_t y_count;
    p.cols = below(3) ? 1 + below(p.t->tile_cols) : p.t->tile_cols;
    p.ldx = p.depth + below(4), p.ldy = p.cols + below(3), y_count = (p.rows - 1) * p.ldy + p.cols;
    p.scale = below(2) ? 1 : uniform() + 2, p.accumulate = below(2);
    float *x = floats(p.rows * p.ldx);
    p.x = x, p.x8 = q8_buffer(p.rows, p.depth);
    struct quant_matrix w = matrix(p.type, p.cols, p.depth);
    uint8_t *panel = buffer(p.depth / 32 * p.t->q8_record);
    p.t->quantize_q8_rows(p.x8, x, p.ldx, p.rows, p.depth);
    p.t->pack_q8[p.type](panel, &w, 0, p.cols, 0, p.depth);
    p.panel = panel, p.values = values_of(&w), p.y = floats(y_count), p.before = buffer(y_count * sizeof(float));
    memcpy(p.before, p.y, y_count * sizeof(float));
    run(&p, p.y, 0, p.rows, p.cols);
    for (size_t i = 0; i < y_count; i++)
        if (i % p.ldy < p.cols)
            check_value(&p, i / p.ldy, i % p.ldy, e);
        else
            assert_true(same_bits(p.y[i], p.before[i]));
    check_alone(&p);
    release_buffers();
}

static void test_tile(void **unused)
{
    static const size_t rows[] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 11, 13, 17};
    for (size_t l = 0; l < level_count; l++)
        for (size_t type = 0; type < TYPES; type++) {
            struct measured e = {0};
            size_t block = quant_formats[types[type]].block, most = block > 32 ? 3 : 19;
            if (!levels[l].tile_q8[types[type]]) continue;
            for (size_t r = 0; r < sizeof rows / sizeof *rows; r++)
                for (size_t depth = block; depth <= block * most; depth += block * (1 + below(most > 3 ? 3 : 1)))
                    check_tile((struct problem){.t = levels + l, .type = types[type], .rows = rows[r], .depth = depth},
                               &e);
            printf("    %-8s tile_q8 %s %7zu results: error %.2e, bound %.0e; against f32 activations %.2f of what "
                   "rounding them allows, bound %.3f\n",
                   levels[l].isa, quant_formats[types[type]].name, e.count, e.error, BOUND, e.share, SHARE);
            assert_true(e.count > 0 && e.error <= BOUND && e.share <= SHARE);
        }
}

/* ---- few rows ---------------------------------------------------------------------------------------------------- */

/* The bits of gemv_q8, whatever the number of rows on either side. */
static void check_gemv_rows(const struct cpu_kernels *t, enum quant_type type, size_t count)
{
    size_t row = below(3), rows = 1 + below(14), ldy = rows + below(3);
    size_t block = quant_formats[type].block, cols = block * (1 + below(block > 32 ? 3 : 11));
    struct quant_matrix w = matrix(type, row + rows, cols);
    float *x = floats(count * cols), *y = floats((count - 1) * ldy + rows), *one = buffer(rows * sizeof *one);
    struct cpu_q8_rows x8 = q8_buffer(count, cols);
    t->quantize_q8_rows(x8, x, cols, count, cols);
    t->gemv_q8_rows[type](y, ldy, &w, row, rows, x8, count, buffer(cpu_several_bytes(cols)));
    for (size_t m = 0; m < count; m++) {
        struct cpu_q8_rows at = cpu_q8_rows_at(x8, m, 0);
        t->gemv_q8[type](one, &w, row, rows, (struct cpu_q8){at.q, at.d, at.sum});
        assert_memory_equal(one, y + m * ldy, rows * sizeof *one);
    }
    release_buffers();
}

static void test_gemv_rows(void **unused)
{
    for (size_t l = 0; l < level_count; l++)
        for (size_t type = 0; type < TYPES; type++)
            for (size_t i = 0; i < 60 && levels[l].gemv_q8_rows[types[type]]; i++)
                check_gemv_rows(levels + l, types[type], 1 + i % 10);
}

/* The largest codes and activations: no sum of 16 bits overflows. */
static void test_extremes(void **unused)
{
    for (size_t l = 0; l < level_count; l++)
        for (size_t i = 0; i < TYPES * 4; i++) {
            const struct cpu_kernels *t = levels + l;
            enum quant_type type = types[i / 4];
            if (!t->tile_q8[type]) continue;
            size_t cols = 2 * quant_formats[type].block;
            struct quant_matrix w = matrix(type, 1, cols);
            uint8_t *p = (uint8_t *)(uintptr_t)w.data, *panel = buffer(cols / 32 * t->q8_record);
            float *x = floats(cols), y;
            memset(p, i & 1 ? 0xFF : type == QUANT_Q8_0 ? 0x80 : 0, w.row_bytes);
            for (size_t b = 0; b < 2; b++, p += w.row_bytes / 2) {
                set_halves(type, p, 0x3C00, 0x4000);
                if (type == QUANT_Q6_K) memset(p + Q6_K_SCALES, 0x80, 16);
            }
            for (size_t d = 0; d < cols; d++) x[d] = i & 2 ? -127 : 127;
            struct cpu_q8_rows x8 = q8_buffer(1, cols);
            t->quantize_q8_rows(x8, x, cols, 1, cols);
            t->pack_q8[type](panel, &w, 0, 1, 0, cols);
            t->tile_q8[type](&y, 1, x8, panel, cols, 1, 1, 1, false);
            assert_true(y == (float)cols * x[0] * values_of(&w)[0]);
            release_buffers();
        }
}

static void test_not_finite(void **unused)
{
    for (size_t l = 0; l < level_count; l++)
        for (size_t i = 0; i < TYPES * 64; i++) {
            const struct cpu_kernels *t = levels + l;
            enum quant_type type = types[i / 64];
            if (!t->tile_q8[type]) continue;
            size_t cols = 2 * quant_formats[type].block;
            struct quant_matrix w = matrix(type, 3, cols);
            uint8_t *panel = buffer(cols / 32 * t->q8_record);
            float *x = floats(2 * cols), y[2][3];
            struct cpu_q8_rows x8 = q8_buffer(2, cols);
            x[i % 64 * (cols / 64)] = i % 2 ? NAN : -INFINITY;
            t->quantize_q8_rows(x8, x, cols, 2, cols);
            t->pack_q8[type](panel, &w, 0, 3, 0, cols);
            t->tile_q8[type](*y, 3, x8, panel, cols, 2, 3, 1, false);
            for (size_t n = 0; n < 3; n++) assert_true(isnan(y[0][n]) && isfinite(y[1][n]));
            release_buffers();
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_pack),     cmocka_unit_test(test_quantize),   cmocka_unit_test(test_tile),
        cmocka_unit_test(test_extremes), cmocka_unit_test(test_not_finite), cmocka_unit_test(test_gemv_rows),
    };
    find_levels();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
