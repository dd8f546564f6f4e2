/* The matrix kernels of every instruction set that this CPU has, against sums in double over the values that
 * quant/format.h gives, at odd shapes. Every buffer ends where a forbidden page begins, and what lies before it is
 * checked. Links nothing of lorac but the kernels and quant/. */
#include "backend/cpu/families.h" /* before cmocka.h, whose fail is a macro */
#include "quant/k_quants.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <float.h>
#include <math.h>
#include <sys/mman.h>
#include <unistd.h>
#include <cmocka.h>

/* ---- instruction sets ----------------------------------------------------------------------------------------- */

static struct cpu_kernels levels[6];
static size_t level_count;

static void add_level(const char *isa, void (*overlay)(struct cpu_kernels *t))
{
    struct cpu_kernels *t = levels + level_count;
    if (level_count) *t = levels[level_count - 1];
    overlay(t);
    t->isa = isa;
    level_count++;
}

static void find_levels(void)
{
    add_level("scalar", cpu_kernels_scalar);
#if LORAC_X86
    if (!__builtin_cpu_supports("avx2") || !__builtin_cpu_supports("fma")) return;
    add_level("avx2", cpu_kernels_avx2);
    if (cpu_has_avxvnni()) add_level("avxvnni", cpu_kernels_avxvnni);
    if (!__builtin_cpu_supports("avx512vnni") || !__builtin_cpu_supports("avx512bw")) return;
    add_level("avx512", cpu_kernels_avx512);
    if (!__builtin_cpu_supports("avx512bf16")) return;
    add_level("avx512bf16", cpu_kernels_avx512bf16);
    if (cpu_has_amx()) add_level("amx", cpu_kernels_amx);
#endif
}

/* ---- buffers ---------------------------------------------------------------------------------------------------- */

enum { CANARY = 0xA5, BUFFERS = 32 };
static struct buffer {
    uint8_t *map, *data;
    size_t bytes, room; /* room: what precedes the forbidden page */
} buffers[BUFFERS];
static size_t buffer_count;

/* `bytes` bytes that end `gap` bytes before a forbidden page, filled with 0xFF. */
static void *buffer(size_t bytes, size_t gap)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE), room = (bytes + gap + page) / page * page;
    assert_true(buffer_count < BUFFERS);
    struct buffer *b = buffers + buffer_count++;
    b->map = mmap(NULL, room + page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    assert_true(b->map != MAP_FAILED);
    assert_int_equal(mprotect(b->map + room, page, PROT_NONE), 0);
    b->room = room, b->bytes = bytes, b->data = b->map + room - gap - bytes;
    memset(b->map, CANARY, room);
    memset(b->data, 0xFF, bytes);
    return b->data;
}

static void release_buffers(void)
{
    for (; buffer_count; buffer_count--) {
        struct buffer *b = buffers + buffer_count - 1;
        for (uint8_t *p = b->map; p < b->map + b->room; p++)
            if ((p < b->data || p >= b->data + b->bytes) && *p != CANARY)
                fail_msg("byte %td relative to a buffer of %zu was written", p - b->data, b->bytes);
        munmap(b->map, b->room + (size_t)sysconf(_SC_PAGESIZE));
    }
}

/* ---- values ----------------------------------------------------------------------------------------------------- */

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

/* Mostly −1 .. 1; some zeros, large and subnormal ones. */
static float value(void)
{
    switch (below(16)) {
    case 0:
        return 0;
    case 1:
        return 3000 * uniform();
    case 2:
        return 1e-40f * uniform();
    default:
        return uniform();
    }
}

static float *floats(size_t n)
{
    float *x = buffer(n * sizeof *x, 0);
    for (size_t i = 0; i < n; i++) x[i] = value();
    return x;
}

/* A finite half: small, negative, zero, subnormal or large. */
static uint16_t half(void)
{
    uint16_t sign = (uint16_t)(random_u32() & 0x8000);
    switch (below(12)) {
    case 0:
        return sign;
    case 1:
        return sign | (uint16_t)below(1024);
    case 2:
        return sign | (uint16_t)(0x5000 + below(1024));
    default:
        return sign | (uint16_t)(0x2000 + below(0x1400));
    }
}

/* Does a block start with a scale and a minimum? */
static bool has_minimum(enum quant_type type)
{
    return type == QUANT_Q4_1 || type == QUANT_Q4_K || type == QUANT_Q5_K;
}

/* Weights at an address of any alignment. */
static struct quant_matrix matrix(enum quant_type type, size_t rows, size_t cols)
{
    struct quant_matrix w = {.type = type, .rows = rows, .cols = cols};
    const struct quant_format *f = &quant_formats[type];
    w.row_bytes = cols / f->block * f->block_bytes;
    uint8_t *p = buffer(rows * w.row_bytes, below(4));
    w.data = p;
    for (size_t b = 0; b < rows * cols / f->block; b++, p += f->block_bytes) {
        float v = value();
        uint16_t h[2] = {type == QUANT_BF16 ? float_to_bf16(v) : half(), half()};
        for (size_t i = 0; i < f->block_bytes; i++) p[i] = (uint8_t)random_u32();
        if (type == QUANT_F32)
            memcpy(p, &v, 4);
        else
            memcpy(p + (type == QUANT_Q6_K ? Q6_K_D : 0), h, has_minimum(type) ? 4 : 2);
    }
    return w;
}

static float weight(const struct quant_matrix *w, size_t row, size_t col)
{
    const struct quant_format *f = &quant_formats[w->type];
    float block[K_SUPER];
    f->dequantize(block, w->data + row * w->row_bytes + col / f->block * f->block_bytes, f->block);
    return block[col % f->block];
}

static bool same_bits(float a, float b)
{
    return !memcmp(&a, &b, sizeof a);
}

/* ---- measured errors --------------------------------------------------------------------------------------------- */

struct measured {
    double error; /* the largest |y − reference| / Σ |terms| */
    size_t count;
};
static const double BOUND = 1e-5;

static void measure(struct measured *m, double y, double reference, double magnitude)
{
    /* Below, f32 itself is subnormal (and vdpbf16ps reads subnormal factors as zero). */
    double error = fabs(y - reference) / (magnitude + 1e-30);
    assert_false(isnan(y));
    if (error > m->error) m->error = error;
    m->count++;
}

static void report(const char *isa, const char *kernel, const char *type, struct measured m)
{
    printf("    %-10s %-12s %-5s %8zu results: error %.2e, bound %.0e\n", isa, kernel, type, m.count, m.error, BOUND);
    assert_true(m.count > 0);
    assert_true(m.error <= BOUND);
}

/* ---- panels --------------------------------------------------------------------------------------------------------
 */

/* A place in a matrix: col is a multiple of min(32, tile_cols). */
struct place {
    size_t row, rows, col, cols;
};

static struct place place(const struct cpu_kernels *t, enum quant_type type, bool transposed)
{
    struct place p = {.row = below(5), .rows = 1 + below(transposed ? 70 : t->tile_cols), .col = 32 * below(3)};
    if (t->tile_cols < 32 && transposed) p.col += t->tile_cols * below(32 / t->tile_cols);
    p.cols = transposed ? 1 + below(t->tile_cols) : quant_formats[type].block > 1 ? 32 * (1 + below(3)) : 1 + below(70);
    if (quant_formats[type].block == K_SUPER) { /* any part of the first super-block, or on to the end of another */
        p.col += 32 * below(6);
        if (!transposed) p.cols = K_SUPER * (1 + below(2)) - p.col % K_SUPER;
    }
    return p;
}

static void check_pack_f32(const struct cpu_kernels *t, enum quant_type type, bool transposed)
{
    struct place p = place(t, type, transposed);
    size_t wide = p.col + p.cols + below(3), block = quant_formats[type].block;
    struct quant_matrix w = matrix(type, p.row + p.rows, (wide + block - 1) / block * block);
    size_t depth = transposed ? p.rows : p.cols, used = transposed ? p.cols : p.rows;
    float *panel = buffer(depth * t->tile_cols * sizeof *panel, 0);
    (transposed ? t->pack_f32_t : t->pack_f32)(panel, &w, p.row, p.rows, p.col, p.cols);
    for (size_t d = 0; d < depth; d++)
        for (size_t n = 0; n < t->tile_cols; n++) {
            float expected = 0, actual = panel[d * t->tile_cols + n];
            if (n < used) expected = transposed ? weight(&w, p.row + d, p.col + n) : weight(&w, p.row + n, p.col + d);
            if (!same_bits(actual, expected) && (actual != 0 || expected != 0))
                fail_msg("%s pack_f32%s %s: [%zu][%zu] is %g, not %g", t->isa, transposed ? "_t" : "",
                         quant_formats[type].name, d, n, (double)actual, (double)expected);
        }
    release_buffers();
}

static void check_pack_bf16(const struct cpu_kernels *t, enum quant_type type, bool transposed)
{
    struct place p = place(t, type, transposed);
    size_t wide = p.col + p.cols + below(3), block = quant_formats[type].block;
    struct quant_matrix w = matrix(type, p.row + p.rows, (wide + block - 1) / block * block);
    size_t depth = transposed ? p.rows : p.cols, used = transposed ? p.cols : p.rows;
    uint16_t *panel = buffer((depth + 1) / 2 * 2 * t->tile_cols * sizeof *panel, 0);
    (transposed ? t->pack_bf16_t : t->pack_bf16)(panel, &w, p.row, p.rows, p.col, p.cols);
    for (size_t d = 0; d < (depth + 1) / 2 * 2; d++)
        for (size_t n = 0; n < t->tile_cols; n++) {
            float expected = 0, actual = bf16_to_float(panel[(d / 2 * t->tile_cols + n) * 2 + d % 2]);
            if (n < used && d < depth)
                expected = transposed ? weight(&w, p.row + d, p.col + n) : weight(&w, p.row + n, p.col + d);
            bool flushed = fabsf(expected) < FLT_MIN && actual == 0;
            expected = bf16_to_float(float_to_bf16(expected));
            if (!same_bits(actual, expected) && !flushed)
                fail_msg("%s pack_bf16%s %s: [%zu][%zu] is %g, not %g", t->isa, transposed ? "_t" : "",
                         quant_formats[type].name, d, n, (double)actual, (double)expected);
        }
    release_buffers();
}

static void test_pack(void **unused)
{
    for (size_t l = 0; l < level_count; l++)
        for (enum quant_type type = 0; type < QUANT_OWN_KERNELS; type++)
            for (int i = 0; i < 80; i++) {
                check_pack_f32(levels + l, type, i % 2);
                if (levels[l].pack_bf16) check_pack_bf16(levels + l, type, i % 2);
            }
}

/* ---- tiles ---------------------------------------------------------------------------------------------------------
 */

struct product {
    size_t rows, depth, cols, tile_cols, ldx, ldy;
    float scale;
    bool accumulate, bf16;
    float *y, *before;
    const void *x, *panel;
};

/* Runs rows m .. m + rows of the product into y. */
static void run_tile(const struct cpu_kernels *t, const struct product *p, float *y, size_t m, size_t rows, size_t cols)
{
    if (p->bf16)
        t->tile_bf16(y, p->ldy, (const uint16_t *)p->x + m * p->ldx, p->ldx, p->panel, p->depth, rows, cols, p->scale,
                     p->accumulate);
    else
        t->tile_f32(y, p->ldy, (const float *)p->x + m * p->ldx, p->ldx, p->panel, p->depth, rows, cols, p->scale,
                    p->accumulate);
}

static double factor(const struct product *p, bool of_x, size_t index, size_t d)
{
    if (!p->bf16)
        return ((const float *)(of_x ? p->x : p->panel))[of_x ? index * p->ldx + d : d * p->tile_cols + index];
    const uint16_t *h = of_x ? p->x : p->panel;
    double f = (double)bf16_to_float(h[of_x ? index * p->ldx + d : (d / 2 * p->tile_cols + index) * 2 + d % 2]);
    return fabs(f) < (double)FLT_MIN ? 0 : f; /* vdpbf16ps reads subnormal factors as zero */
}

static void check_values(const struct product *p, struct measured *error)
{
    for (size_t m = 0; m < p->rows; m++)
        for (size_t n = 0; n < p->ldy && m * p->ldy + n < (p->rows - 1) * p->ldy + p->cols; n++) {
            size_t i = m * p->ldy + n;
            if (n >= p->cols) {
                assert_true(same_bits(p->y[i], p->before[i]));
                continue;
            }
            double sum = 0, magnitude = 0, start = p->accumulate ? (double)p->before[i] : 0;
            for (size_t d = 0; d < p->depth; d++) {
                double term = factor(p, true, m, d) * factor(p, false, n, d);
                sum += term, magnitude += fabs(term);
            }
            measure(error, (double)p->y[i], start + (double)p->scale * sum,
                    fabs(start) + fabs((double)p->scale) * magnitude);
        }
}

/* Every row alone, and with fewer columns, has the bits that it has in the batch. */
static void check_alone(const struct cpu_kernels *t, const struct product *p)
{
    float *y = buffer(p->cols * sizeof *y, 0);
    for (size_t m = 0; m < p->rows; m++) {
        size_t cols = 1 + below(p->cols);
        memcpy(y, p->before + m * p->ldy, p->cols * sizeof *y);
        run_tile(t, p, y, m, 1, cols);
        for (size_t n = 0; n < cols; n++) assert_true(same_bits(y[n], p->y[m * p->ldy + n]));
    }
}

/* A column has the same bits in another place of the panel: the panel turned by one column. */
static void check_turned(const struct cpu_kernels *t, const struct product *p)
{
    if (p->cols < t->tile_cols) return;
    size_t size = 4, /* of one f32 or of one pair */ lines = p->bf16 ? (p->depth + 1) / 2 : p->depth,
           line = t->tile_cols * size;
    uint8_t *turned = buffer(lines * line, 0);
    for (size_t d = 0; d < lines; d++) {
        const uint8_t *from = (const uint8_t *)p->panel + d * line;
        memcpy(turned + d * line, from + size, line - size);
        memcpy(turned + d * line + line - size, from, size);
    }
    struct product q = *p;
    q.panel = turned, q.accumulate = false, q.ldy = p->cols;
    float *y = buffer(p->rows * p->cols * sizeof *y, 0), *z = buffer(p->rows * p->cols * sizeof *z, 0);
    run_tile(t, &q, y, 0, p->rows, p->cols);
    q.panel = p->panel;
    run_tile(t, &q, z, 0, p->rows, p->cols);
    for (size_t m = 0; m < p->rows; m++)
        for (size_t n = 0; n < p->cols; n++)
            assert_true(same_bits(y[m * p->cols + n], z[m * p->cols + (n + 1) % p->cols]));
}

static void check_tile(const struct cpu_kernels *t, struct product p, struct measured *error)
{
    p.tile_cols = t->tile_cols;
    p.cols = below(4) ? 1 + below(t->tile_cols) : t->tile_cols;
    p.ldx = (p.depth + 1) / 2 * 2 + 2 * below(3), p.ldy = p.cols + below(3);
    p.scale = below(2) ? 1 : uniform(), p.accumulate = below(2);
    size_t x_count = (p.rows - 1) * p.ldx + (p.bf16 ? (p.depth + 1) / 2 * 2 : p.depth);
    size_t panel_count = (p.bf16 ? (p.depth + 1) / 2 * 2 : p.depth) * t->tile_cols;
    size_t y_count = (p.rows - 1) * p.ldy + p.cols;
    float *x = floats(x_count), *panel = floats(panel_count);
    p.x = x, p.panel = panel;
    if (p.bf16) {
        uint16_t *hx = buffer(x_count * sizeof *hx, 0), *hpanel = buffer(panel_count * sizeof *hpanel, 0);
        t->to_bf16(hx, x, x_count), t->to_bf16(hpanel, panel, panel_count);
        for (size_t m = 0; p.depth % 2 && m < p.rows; m++) hx[m * p.ldx + p.depth] = 0;
        for (size_t n = 0; p.depth % 2 && n < t->tile_cols; n++) hpanel[(p.depth / 2 * t->tile_cols + n) * 2 + 1] = 0;
        p.x = hx, p.panel = hpanel;
    }
    p.y = floats(y_count), p.before = buffer(y_count * sizeof *p.before, 0);
    memcpy(p.before, p.y, y_count * sizeof *p.y);
    run_tile(t, &p, p.y, 0, p.rows, p.cols);
    check_values(&p, error);
    check_alone(t, &p);
    check_turned(t, &p);
    release_buffers();
}

static void test_tile(void **unused)
{
    static const size_t rows[] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 29, 33, 49};
    for (size_t l = 0; l < level_count; l++)
        for (int bf16 = 0; bf16 < (levels[l].tile_bf16 ? 2 : 1); bf16++) {
            struct measured error = {0};
            for (size_t r = 0; r < sizeof rows / sizeof *rows; r++)
                for (size_t depth = 1; depth <= 70; depth += 1 + below(4))
                    check_tile(levels + l, (struct product){.rows = rows[r], .depth = depth, .bf16 = bf16}, &error);
            report(levels[l].isa, bf16 ? "tile_bf16" : "tile_f32", "", error);
        }
}

/* ---- strips -------------------------------------------------------------------------------------------------------
 */

enum { MOST_OPERANDS = 3 };

static double strip_factor(const struct cpu_strip *o, size_t tile, size_t n, size_t d)
{
    return (double)bf16_to_float(o->panels[n / tile * tile * o->depth + (d / 2 * tile + n % tile) * 2 + d % 2]);
}

static struct cpu_strip random_strip(const struct cpu_kernels *t, size_t rows, size_t wide)
{
    struct cpu_strip o = {.depth = CPU_STRIP_DEPTH * (1 + below(4))};
    o.ldx = o.depth + below(3);
    size_t x_count = (rows - 1) * o.ldx + o.depth, panel_count = wide * o.depth;
    uint16_t *x = buffer(x_count * sizeof *x, 0), *panels = buffer(panel_count * sizeof *panels, 0);
    t->to_bf16(x, floats(x_count), x_count), t->to_bf16(panels, floats(panel_count), panel_count);
    o.x = x, o.panels = panels;
    return o;
}

static void check_strip(const struct cpu_kernels *t, size_t rows, size_t count, struct measured *error)
{
    struct cpu_strip o[MOST_OPERANDS], one[MOST_OPERANDS];
    size_t tile = t->tile_cols, cols = 1 + below(3 * tile), wide = (cols + tile - 1) / tile * tile;
    size_t ldy = wide + below(3), y_count = (rows - 1) * ldy + wide;
    for (size_t i = 0; i < count; i++) o[i] = random_strip(t, rows, wide);
    float *y = floats(y_count), *before = buffer(y_count * sizeof *before, 0), *alone = floats(wide);
    memcpy(before, y, y_count * sizeof *y);
    t->strip_bf16(y, ldy, o, count, rows, cols);
    for (size_t m = 0; m < rows; m++) {
        for (size_t i = 0; i < count; i++) one[i] = o[i], one[i].x += m * o[i].ldx;
        t->strip_bf16(alone, wide, one, count, 1, cols);
        for (size_t n = 0; n < cols; n++) {
            double sum = 0, magnitude = 0;
            for (size_t i = 0; i < count; i++)
                for (size_t d = 0; d < o[i].depth; d++) {
                    double term = (double)bf16_to_float(one[i].x[d]) * strip_factor(&o[i], tile, n, d);
                    sum += term, magnitude += fabs(term);
                }
            measure(error, (double)y[m * ldy + n], sum, magnitude);
            assert_true(same_bits(y[m * ldy + n], alone[n]));
        }
        for (size_t n = wide; m + 1 < rows && n < ldy; n++) assert_true(same_bits(y[m * ldy + n], before[m * ldy + n]));
    }
    release_buffers();
}

static void test_strip(void **unused)
{
    for (size_t l = 0; l < level_count; l++) {
        struct measured error = {0};
        if (!levels[l].strip_bf16) continue;
        for (size_t rows = 1; rows <= CPU_STRIP_ROWS; rows++)
            for (size_t count = 1; count <= MOST_OPERANDS; count++) check_strip(levels + l, rows, count, &error);
        report(levels[l].isa, "strip_bf16", "", error);
    }
}

/* ---- outer product, rounding
 * ----------------------------------------------------------------------------------------- */

static void check_outer(const struct cpu_kernels *t, size_t rows, size_t n_count, size_t k_count,
                        struct measured *error)
{
    size_t lddy = n_count + below(3), ldx = k_count + below(3), lddw = k_count + below(3);
    size_t size = (n_count - 1) * lddw + k_count;
    float *dy = floats((rows - 1) * lddy + n_count), *x = floats((rows - 1) * ldx + k_count), *dw = floats(size);
    float *before = buffer(size * sizeof *before, 0), scale = uniform();
    memcpy(before, dw, size * sizeof *dw);
    t->outer(dw, lddw, dy, lddy, x, ldx, rows, n_count, k_count, scale);
    for (size_t i = 0; i < size; i++) {
        size_t n = i / lddw, k = i % lddw;
        if (k >= k_count) {
            assert_true(same_bits(dw[i], before[i]));
            continue;
        }
        double sum = 0, magnitude = 0;
        for (size_t m = 0; m < rows; m++) {
            double term = (double)dy[m * lddy + n] * (double)x[m * ldx + k];
            sum += term, magnitude += fabs(term);
        }
        measure(error, (double)dw[i], (double)before[i] + (double)scale * sum,
                fabs((double)before[i]) + fabs((double)scale) * magnitude);
    }
    release_buffers();
}

static void test_outer(void **unused)
{
    for (size_t l = 0; l < level_count; l++) {
        struct measured error = {0};
        for (int i = 0; i < 200; i++)
            check_outer(levels + l, 1 + below(i % 8 ? 40 : 300), 1 + below(40), 1 + below(80), &error);
        report(levels[l].isa, "outer", "", error);
    }
}

static void test_to_bf16(void **unused)
{
    static const uint32_t special[] = {0x7F800000, 0xFF800000, 0x7FC00000, 0x7F800001, 0xFFFFFFFF, 1,
                                       0x80000000, 0x3F808000, 0x3F818000, 0x7F7FFFFF, 0x007FFFFF};
    for (size_t l = 0; l < level_count; l++)
        for (size_t n = 1; n < 70; n++) {
            uint32_t *bits = buffer(n * sizeof *bits, 0);
            uint16_t *y = buffer(n * sizeof *y, 0);
            for (size_t i = 0; i < n; i++)
                bits[i] = below(3) ? random_u32() : special[below(sizeof special / sizeof *special)];
            levels[l].to_bf16(y, (const float *)(const void *)bits, n);
            for (size_t i = 0; i < n; i++) {
                float f;
                memcpy(&f, bits + i, sizeof f);
                bool flushed = fabsf(f) < FLT_MIN && !(y[i] & 0x7FFF); /* a subnormal number may become zero */
                assert_true(flushed || y[i] == float_to_bf16(f));
            }
            release_buffers();
        }
}

/* ---- one activation row
 * ------------------------------------------------------------------------------------------------ */

static struct cpu_q8 q8_buffer(size_t cols)
{
    /* the ends are forbidden pages; q is 64-byte aligned */
    return (struct cpu_q8){buffer(cols, cols % 64), buffer(cols / 8, 0), buffer(cols / 8, 0)};
}

static void check_quantized(const float *x, struct cpu_q8 x8, size_t b)
{
    float max = 0;
    int sum = 0;
    for (int i = 0; i < 32; i++) max = fmaxf(max, fabsf(x[i]));
    assert_true(same_bits(x8.d[b], max / 127 < FLT_MIN ? 0 : max / 127));
    for (int i = 0; i < 32; i++) {
        int q = x8.q[32 * b + (size_t)i];
        assert_int_equal(q, x8.d[b] > 0 ? (int)nearbyintf(x[i] / x8.d[b]) : 0);
        assert_in_range(q + 127, 0, 254);
        sum += q;
    }
    assert_true(same_bits(x8.sum[b], x8.d[b] * (float)sum));
}

static void test_quantize_q8(void **unused)
{
    for (size_t l = 0; l < level_count; l++)
        for (size_t cols = 32; cols <= 640; cols += 32) {
            float *x = floats(cols), zoom = below(2) ? 1 : 1e-36f;
            struct cpu_q8 x8 = q8_buffer(cols);
            for (size_t i = 0; i < cols; i++)
                x[i] = i / 32 % 5 == 3 ? 0 : i / 32 % 5 == 4 ? 1e-41f * x[i] : zoom * x[i];
            for (size_t i = 0; i < cols; i += 7) x[i] = x[0] / 127 * ((float)below(255) - 127.5f); /* ties */
            levels[l].quantize_q8(x8, x, cols);
            for (size_t b = 0; b < cols / 32; b++) check_quantized(x + 32 * b, x8, b);
            release_buffers();
        }
}

/* An activation that is no number is not lost: the block's scale is none either, and so is every product. */
static void test_quantize_not_finite(void **unused)
{
    for (size_t l = 0; l < level_count; l++)
        for (int i = 0; i < 64; i++) {
            float *x = floats(K_SUPER), y[3];
            struct cpu_q8 x8 = q8_buffer(K_SUPER);
            struct quant_matrix w = matrix(QUANT_Q4_0 + (enum quant_type)(i / 2 % 6), 3, K_SUPER);
            x[i] = i % 2 ? NAN : -INFINITY;
            levels[l].quantize_q8(x8, x, K_SUPER);
            assert_false(isfinite(x8.d[i / 32]));
            levels[l].gemv_q8[w.type](y, &w, 0, 3, x8);
            for (int r = 0; r < 3; r++) assert_true(isnan(y[r]));
            release_buffers();
        }
}

/* The minimum that the kernel adds apart from the codes. */
static double minimum(const struct quant_matrix *w, size_t row, size_t col)
{
    if (!has_minimum(w->type)) return 0;
    const struct quant_format *f = &quant_formats[w->type];
    const uint8_t *block = w->data + row * w->row_bytes + col / f->block * f->block_bytes;
    uint8_t s, m = 1;
    if (f->block == K_SUPER) k_scale_min(block + K_SCALES, col % K_SUPER / 32, &s, &m);
    return fabs((double)half_to_float((uint16_t)(block[2] | block[3] << 8))) * m;
}

static void check_gemv(const struct cpu_kernels *t, enum quant_type type, size_t rows, size_t cols,
                       struct measured *error)
{
    size_t row = below(4);
    struct quant_matrix w = matrix(type, row + rows, cols);
    float *x = floats(cols), *y = buffer(rows * sizeof *y, 0), *alone = buffer(sizeof *alone, 0);
    float *weights = buffer(cols * sizeof *weights, 0);
    struct cpu_q8 x8 = {0};
    bool q8 = t->gemv_q8[type];
    if (q8) {
        x8 = q8_buffer(cols);
        t->quantize_q8(x8, x, cols);
        t->gemv_q8[type](y, &w, row, rows, x8);
    } else
        t->gemv_f32[type](y, &w, row, rows, x);
    for (size_t i = 0; i < rows; i++) {
        double sum = 0, magnitude = 0;
        quant_formats[type].dequantize(weights, w.data + (row + i) * w.row_bytes, cols);
        for (size_t d = 0; d < cols; d++) {
            double v = q8 ? (double)x8.d[d / 32] * x8.q[d] : (double)x[d];
            sum += v * (double)weights[d];
            magnitude += fabs(v) * (fabs((double)weights[d]) + 2 * minimum(&w, row + i, d));
        }
        measure(error, (double)y[i], sum, magnitude);
        if (q8)
            t->gemv_q8[type](alone, &w, row + i, 1, x8);
        else
            t->gemv_f32[type](alone, &w, row + i, 1, x);
        assert_true(same_bits(*alone, y[i]));
    }
    release_buffers();
}

/* A width that the type allows, for i = 1, 2 ... */
static size_t some_columns(enum quant_type type, size_t i)
{
    size_t block = quant_formats[type].block;
    return block == 1 ? 2 * i - below(2) : block * (i % (block == 32 ? 20 : 4) + 1);
}

static void test_gemv(void **unused)
{
    static const size_t rows[] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 13, 16, 17, 33};
    for (size_t l = 0; l < level_count; l++)
        for (enum quant_type type = 0; type < QUANT_OWN_KERNELS; type++) {
            struct measured error = {0};
            assert_true(!levels[l].gemv_q8[type] != !levels[l].gemv_f32[type]);
            for (size_t r = 0; r < sizeof rows / sizeof *rows; r++)
                for (size_t i = 1; i <= 36; i++) check_gemv(levels + l, type, rows[r], some_columns(type, i), &error);
            report(levels[l].isa, levels[l].gemv_q8[type] ? "gemv_q8" : "gemv_f32", quant_formats[type].name, error);
        }
}

static void test_dequantize(void **unused)
{
    for (size_t l = 0; l < level_count; l++)
        for (enum quant_type type = 0; type < QUANT_OWN_KERNELS; type++)
            for (size_t i = 1; i <= 70; i++) {
                size_t cols = some_columns(type, i), row = below(3);
                struct quant_matrix w = matrix(type, row + 1, cols);
                float *y = buffer(cols * sizeof *y, 0);
                levels[l].dequantize(y, &w, row);
                for (size_t d = 0; d < cols; d++) assert_true(same_bits(y[d], weight(&w, row, d)));
                release_buffers();
            }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_pack),
        cmocka_unit_test(test_tile),
        cmocka_unit_test(test_strip),
        cmocka_unit_test(test_outer),
        cmocka_unit_test(test_to_bf16),
        cmocka_unit_test(test_quantize_q8),
        cmocka_unit_test(test_quantize_not_finite),
        cmocka_unit_test(test_gemv),
        cmocka_unit_test(test_dequantize),
    };
    find_levels();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
