/* kernels.c — speed of the CPU's matrix kernels on one thread, as shares of peaks measured in the same run.
 *
 * Usage: bench_kernels [isa [gemv]]   (avx2, avxvnni, avx512, avx512bf16, amx; default: all that this CPU has)
 * gemv: only matrices times one row.
 * Owns: the timing and the table. A matrix times one row is compared with plainly reading the same bytes in turn with
 * it; matrices of half a megabyte sit in the second-level cache. */
#include "backend/cpu/families.h"
#include "backend/cpu/peaks.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#if LORAC_X86
#include <immintrin.h>

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* Seconds of one CALL: the best of at least 5 runs in at least 0.3 s. */
#define BEST(seconds, CALL)                                                                                            \
    do {                                                                                                               \
        double begin_ = now();                                                                                         \
        (seconds) = 1e9;                                                                                               \
        for (int run_ = 0; run_ < 5 || now() - begin_ < 0.3; run_++) {                                                 \
            double t_ = now();                                                                                         \
            CALL;                                                                                                      \
            t_ = now() - t_;                                                                                           \
            if (t_ < (seconds)) (seconds) = t_;                                                                        \
        }                                                                                                              \
    } while (0)

static void *need(size_t bytes)
{
    void *p = aligned_alloc(64, (bytes + 63) / 64 * 64);
    if (!p) {
        fprintf(stderr, "bench_kernels: no memory for %zu bytes\n", bytes);
        exit(1);
    }
    memset(p, 0, bytes);
    return p;
}

/* ---- peaks ------------------------------------------------------------------------------------------------------ */

__attribute__((target("avx2"))) static void read_all(const uint8_t *p, size_t bytes)
{
    __m256i a = _mm256_setzero_si256(), b = a, c = a, d = a;
    for (size_t i = 0; i + 128 <= bytes; i += 128) {
        _mm_prefetch((const char *)p + i + 4096, _MM_HINT_T0);
        _mm_prefetch((const char *)p + i + 4160, _MM_HINT_T0);
        a = _mm256_xor_si256(a, _mm256_load_si256((const __m256i *)(p + i)));
        b = _mm256_xor_si256(b, _mm256_load_si256((const __m256i *)(p + i + 32)));
        c = _mm256_xor_si256(c, _mm256_load_si256((const __m256i *)(p + i + 64)));
        d = _mm256_xor_si256(d, _mm256_load_si256((const __m256i *)(p + i + 96)));
    }
    a = _mm256_xor_si256(_mm256_xor_si256(a, b), _mm256_xor_si256(c, d));
    __asm__ volatile("" : : "x"(a));
}

static struct {
    double clock, f32, bf16, int8; /* cycles, FLOP, FLOP, OP a second */
} peak;

static double rate(double (*loop)(size_t rounds, float *sink))
{
    enum { ROUNDS = 300000 };
    volatile float seen = 0;
    double s, done = 0;
    float sink = 0;
    if (!loop) return 0;
    BEST(s, done = loop(ROUNDS, &sink));
    seen = sink;
    (void)seen; /* so that the loop is not left out */
    return done / s;
}

static void measure_peaks(const char *isa, void (*fill)(struct cpu_peaks *p))
{
    struct cpu_peaks p;
    peaks_avx2(&p);
    peak.clock = rate(p.f32) / 32; /* two multiply-adds of eight floats a cycle */
    fill(&p);
    peak.f32 = rate(p.f32), peak.bf16 = rate(p.bf16), peak.int8 = rate(p.int8);
    printf("%s, peaks of one thread: f32 %.1f GFLOP/s, bf16 %.1f GFLOP/s, int8 %.1f GOP/s\n", isa, peak.f32 * 1e-9,
           peak.bf16 * 1e-9, peak.int8 * 1e-9);
}

/* ---- the kernels ------------------------------------------------------------------------------------------------ */

static void line(const char *isa, const char *kernel, const char *shape, double value, const char *unit, double share)
{
    printf("%-11s %-18s %-28s %8.2f %-12s", isa, kernel, shape, value, unit);
    if (share > 0) printf(" %5.1f %%", 100 * share);
    printf("\n");
    fflush(stdout);
}

/* Scales and minimums of planes: bytes that are small, finite numbers in the types that each format stores. */
static struct quant_planes make_planes(enum quant_type type, size_t rows, size_t cols)
{
    bool affine = type < QUANT_MXFP4, e8m0 = type == QUANT_MXFP4 || type == QUANT_MXFP8;
    struct quant_planes p = {.factor = 1,
                             .group = e8m0                  ? 32
                                      : type == QUANT_NVFP4 ? 16
                                      : type < QUANT_INT8   ? 64
                                                            : cols};
    p.scale_type = affine ? SCALE_BF16 : e8m0 ? SCALE_E8M0 : type == QUANT_NVFP4 ? SCALE_E4M3 : SCALE_F32;
    size_t bytes = rows * cols / p.group * 4;
    p.scales = memset(need(bytes), 0x3C, bytes);
    if (affine) p.mins = p.scales;
    return p;
}

/* Random bytes whose scales are small, finite halves. */
static struct quant_matrix make_matrix(enum quant_type type, size_t rows, size_t cols)
{
    static const struct {
        size_t at, halves;
    } place[QUANT_TYPES] = {
        [QUANT_F16] = {0, 1},    [QUANT_BF16] = {0, 1},   [QUANT_Q4_0] = {0, 1},   [QUANT_Q4_1] = {0, 2},
        [QUANT_Q8_0] = {0, 1},   [QUANT_Q4_K] = {0, 2},   [QUANT_Q5_K] = {0, 2},   [QUANT_Q6_K] = {208, 1},
        [QUANT_Q5_0] = {0, 1},   [QUANT_Q5_1] = {0, 2},   [QUANT_Q2_K] = {80, 2},  [QUANT_Q3_K] = {108, 1},
        [QUANT_IQ4_NL] = {0, 1}, [QUANT_IQ4_XS] = {0, 1}, [QUANT_TQ2_0] = {64, 1}, [QUANT_Q1_0] = {0, 1},
        [QUANT_Q2_0] = {0, 1},
    };
    struct quant_matrix w = {.type = type, .rows = rows, .cols = cols};
    const struct quant_format *f = &quant_formats[type];
    w.row_bytes = cols / f->block * f->block_bytes;
    uint8_t *p = need(rows * w.row_bytes);
    uint32_t state = 1;
    for (size_t i = 0; i < rows * w.row_bytes; i++) p[i] = (uint8_t)((state = state * 1664525 + 1013904223) >> 24);
    for (size_t b = 0; b < rows * w.row_bytes / f->block_bytes; b++) {
        for (size_t h = 0; h < place[type].halves; h++) p[b * f->block_bytes + place[type].at + 2 * h + 1] = 0x20;
        if (type == QUANT_F32) p[b * 4 + 3] = 0x3C;
    }
    w.data = p;
    if (type >= QUANT_PLANES) w.planes = make_planes(type, rows, cols);
    return w;
}

/* Small, finite numbers of either width. */
static void *need_numbers(size_t n, bool bf16)
{
    float *x = need(n * 4);
    uint16_t *h = (uint16_t *)x;
    for (size_t i = 0; i < n; i++)
        if (bf16)
            h[i] = float_to_bf16((float)(i * 7919 % 1021) / 512 - 1);
        else
            x[i] = (float)(i * 7919 % 1021) / 512 - 1;
    return x;
}

static void bench_tile(const struct cpu_kernels *t, size_t m, size_t depth, size_t cols, bool bf16)
{
    void *x = need_numbers(m * depth, bf16), *panel = need_numbers(depth * t->tile_cols, bf16);
    float *y = need(m * t->tile_cols * 4);
    double s;
    if (bf16)
        BEST(s, t->tile_bf16(y, t->tile_cols, x, depth, panel, depth, m, cols, 1, true));
    else
        BEST(s, t->tile_f32(y, t->tile_cols, x, depth, panel, depth, m, cols, 1, true));
    char shape[64];
    snprintf(shape, sizeof shape, "M=%zu depth=%zu N=%zu", m, depth, cols);
    double speed = 2.0 * (double)(m * depth * cols) / s;
    line(t->isa, bf16 ? "tile_bf16" : "tile_f32", shape, speed * 1e-9, "GFLOP/s",
         speed / (bf16 ? peak.bf16 : peak.f32));
    free(x), free(y), free(panel);
}

static void bench_tiles(const struct cpu_kernels *t, bool bf16)
{
    static const size_t rows[] = {8, 64, 512}, depths[] = {16, 64, 576, 2048, 4096}, cols[] = {8, 16, 32};
    for (size_t i = 0; i < 3; i++) bench_tile(t, rows[i], 576, t->tile_cols, bf16);
    for (size_t i = 0; i < 5; i++) bench_tile(t, 64, depths[i], t->tile_cols, bf16);
    for (size_t i = 0; i < 3; i++)
        if (cols[i] < t->tile_cols) bench_tile(t, 64, 576, cols[i], bf16);
}

static void product(const struct cpu_kernels *t, const struct quant_matrix *w, const float *x, float *y, void *panel,
                    size_t m, bool bf16)
{
    for (size_t n = 0; n < w->rows; n += t->tile_cols)
        if (bf16) {
            t->pack_bf16(panel, w, n, t->tile_cols, 0, w->cols);
            t->tile_bf16(y + n, w->rows, (const uint16_t *)x, w->cols, panel, w->cols, m, t->tile_cols, 1, false);
        } else {
            t->pack_f32(panel, w, n, t->tile_cols, 0, w->cols);
            t->tile_f32(y + n, w->rows, x, w->cols, panel, w->cols, m, t->tile_cols, 1, false);
        }
}

static void bench_product(const struct cpu_kernels *t, enum quant_type type, size_t m, size_t n, size_t depth,
                          bool bf16)
{
    struct quant_matrix w = make_matrix(type, n, depth);
    float *x = need(m * depth * 4), *y = need(m * n * 4);
    void *panel = need(depth * t->tile_cols * 4);
    double s;
    BEST(s, product(t, &w, x, y, panel, m, bf16));
    char shape[64];
    snprintf(shape, sizeof shape, "%s M=%zu K=%zu N=%zu", quant_formats[type].name, m, depth, n);
    double speed = 2.0 * (double)(m * depth * n) / s;
    line(t->isa, bf16 ? "pack+tile bf16" : "pack+tile f32", shape, speed * 1e-9, "GFLOP/s",
         speed / (bf16 ? peak.bf16 : peak.f32));
    free((void *)w.data), free(x), free(y), free(panel);
}

static void pack_all(const struct cpu_kernels *t, const struct quant_matrix *w, void *panel, bool bf16, bool transposed)
{
    size_t cols = t->tile_cols;
    for (size_t n = 0; !transposed && n < w->rows; n += cols)
        if (bf16)
            t->pack_bf16(panel, w, n, cols, 0, w->cols);
        else
            t->pack_f32(panel, w, n, cols, 0, w->cols);
    for (size_t n = 0; transposed && n < w->cols; n += cols)
        if (bf16)
            t->pack_bf16_t(panel, w, 0, w->rows, n, cols);
        else
            t->pack_f32_t(panel, w, 0, w->rows, n, cols);
}

static void bench_pack(const struct cpu_kernels *t, enum quant_type type, bool bf16, bool transposed)
{
    struct quant_matrix w = make_matrix(type, 512, 768);
    void *panel = need(1024 * t->tile_cols * 4);
    double s;
    BEST(s, pack_all(t, &w, panel, bf16, transposed));
    char name[32];
    snprintf(name, sizeof name, "pack_%s%s", bf16 ? "bf16" : "f32", transposed ? "_t" : "");
    line(t->isa, name, quant_formats[type].name, s * peak.clock / (double)(w.rows * w.cols), "cycle/weight", 0);
    free((void *)w.data), free(panel);
}

/* ---- int8: packed once, M rows of activations ---- */

static struct cpu_q8_rows make_q8_rows(const struct cpu_kernels *t, size_t m, size_t depth)
{
    struct cpu_q8_rows x8 = {.ldq = (depth + 63) / 64 * 64, .ldd = depth / 32};
    x8.q = need(m * x8.ldq), x8.d = need(m * x8.ldd * 4), x8.sum = need(m * x8.ldd * 4),
    x8.halves = need(m * x8.ldd * 4);
    float *x = need_numbers(m * depth, false);
    t->quantize_q8_rows(x8, x, depth, m, depth);
    free(x);
    return x8;
}
static void free_q8_rows(struct cpu_q8_rows x8)
{
    free(x8.q), free(x8.d), free(x8.sum), free(x8.halves);
}

static void bench_tile_q8(const struct cpu_kernels *t, enum quant_type type, size_t m, size_t depth)
{
    size_t cols = t->tile_cols;
    struct quant_matrix w = make_matrix(type, cols, depth);
    struct cpu_q8_rows x8 = make_q8_rows(t, m, depth);
    uint8_t *panel = need(depth / 32 * t->q8_record);
    float *y = need(m * cols * 4);
    double s, packing;
    BEST(packing, t->pack_q8[type](panel, &w, 0, cols, 0, depth));
    BEST(s, t->tile_q8[type](y, cols, x8, panel, depth, m, cols, 1, true));
    char shape[64];
    snprintf(shape, sizeof shape, "%s M=%zu depth=%zu N=%zu", quant_formats[type].name, m, depth, cols);
    double speed = 2.0 * (double)(m * depth * cols) / s;
    line(t->isa, "tile_q8", shape, speed * 1e-9, "GOP/s", speed / peak.int8);
    if (m == 64)
        line(t->isa, "pack_q8", quant_formats[type].name, packing * peak.clock / (double)(depth * cols), "cycle/weight",
             0);
    free((void *)w.data), free(panel), free(y), free_q8_rows(x8);
}

enum { FEW_DEPTH = 256 };
/* A matrix of 50 MB against a few rows: panels are packed for every 64 columns, or each row reads the weights. */
static void bench_few(const struct cpu_kernels *t, enum quant_type type, size_t m, size_t depth)
{
    const struct quant_format *f = &quant_formats[type];
    size_t cols = t->tile_cols, n = (50 << 20) / (depth / f->block * f->block_bytes) / cols * cols;
    struct quant_matrix w = make_matrix(type, n, depth);
    struct cpu_q8_rows x8 = make_q8_rows(t, m, depth);
    uint8_t *panel = need(depth / 32 * t->q8_record);
    float *y = need(m * n * 4);
    void *scratch = need(cpu_several_bytes(depth));
    double panels = 1e9, gemv = 1e9, pairs = 1e9, read = 1e9;
    for (int run = 0; run < 5; run++) {
        double start = now();
        read_all(w.data, n * w.row_bytes);
        if (now() - start < read) read = now() - start;
        start = now();
        for (size_t i = 0; i < n; i += cols)
            for (size_t d = 0; d < depth; d += FEW_DEPTH) {
                size_t part = depth - d < FEW_DEPTH ? depth - d : FEW_DEPTH;
                t->pack_q8[type](panel, &w, i, cols, d, part);
                t->tile_q8[type](y + i, n, cpu_q8_rows_at(x8, 0, d), panel, part, m, cols, 1, d > 0);
            }
        if (now() - start < panels) panels = now() - start;
        start = now();
        for (size_t i = 0; i < n; i += cols)
            for (size_t r = 0; r < m; r++) {
                struct cpu_q8_rows x = cpu_q8_rows_at(x8, r, 0);
                t->gemv_q8[type](y + r * n + i, &w, i, cols, (struct cpu_q8){x.q, x.d, x.sum});
            }
        if (now() - start < gemv) gemv = now() - start;
        start = now();
        if (t->gemv_q8_rows[type]) t->gemv_q8_rows[type](y, n, &w, 0, n, x8, m, scratch);
        if (now() - start < pairs) pairs = now() - start;
    }
    char shape[64];
    snprintf(shape, sizeof shape, "%s M=%zu K=%zu", f->name, m, depth);
    line(t->isa, "few rows: panels", shape, panels / read, "x reading", 0);
    line(t->isa, "few rows: gemv_q8", shape, gemv / read, "x reading", 0);
    if (t->gemv_q8_rows[type]) line(t->isa, "few rows: together", shape, pairs / read, "x reading", 0);
    free((void *)w.data), free(panel), free(y), free(scratch), free_q8_rows(x8);
}

static void bench_q8(const struct cpu_kernels *t)
{
    for (enum quant_type type = 0; type < QUANT_OWN_KERNELS; type++) {
        if (!t->q8_record || !t->pack_q8[type]) continue;
        size_t narrow = quant_formats[type].block > 32 ? 768 : 576;
        for (size_t i = 0; i < 4; i++) bench_tile_q8(t, type, (size_t[]){8, 64, 64, 512}[i], i == 1 ? 4096 : narrow);
        for (size_t i = 0; i < 6; i++) bench_few(t, type, (size_t[]){1, 2, 4, 6, 8, 16}[i], narrow);
        bench_few(t, type, 2, 4096), bench_few(t, type, 8, 4096);
    }
}

/* ---- whole products as a driver does them: groups of panels that fit the second-level cache, 64 rows at a time ----
 */

enum kind { KIND_F32, KIND_BF16, KIND_INT8 };
struct driven {
    const struct cpu_kernels *t;
    enum kind kind;
    struct quant_matrix w;
    size_t m, depth_block;
    float *x, *y;
    uint16_t *x16;
    struct cpu_q8_rows x8;
    uint8_t *panel;
};
enum { PANEL_BYTES = 1 << 19, ROW_BLOCK = 64 };

/* Columns n .. n + tile_cols at depth d: packed (rows 0), or multiplied with rows m .. m + rows. */
static void drive_tile(const struct driven *p, uint8_t *panel, size_t n, size_t d, size_t depth, size_t m, size_t rows)
{
    const struct cpu_kernels *t = p->t;
    size_t k = p->w.cols, ldy = p->w.rows, cols = t->tile_cols;
    float *y = p->y + m * ldy + n;
    if (p->kind == KIND_INT8 && !rows)
        t->pack_q8[p->w.type](panel, &p->w, n, cols, d, depth);
    else if (p->kind == KIND_INT8)
        t->tile_q8[p->w.type](y, ldy, cpu_q8_rows_at(p->x8, m, d), panel, depth, rows, cols, 1, d > 0);
    else if (p->kind == KIND_BF16 && !rows)
        t->pack_bf16((uint16_t *)panel, &p->w, n, cols, d, depth);
    else if (p->kind == KIND_BF16)
        t->tile_bf16(y, ldy, p->x16, depth, (uint16_t *)panel, depth, rows, cols, 1, d > 0);
    else if (!rows)
        t->pack_f32((float *)panel, &p->w, n, cols, d, depth);
    else
        t->tile_f32(y, ldy, p->x + m * k + d, k, (float *)panel, depth, rows, cols, 1, d > 0);
}

static void drive(const struct driven *p)
{
    size_t k = p->w.cols, n_all = p->w.rows, cols = p->t->tile_cols;
    if (p->kind == KIND_INT8) p->t->quantize_q8_rows(p->x8, p->x, k, p->m, k);
    for (size_t d = 0; d < k; d += p->depth_block) {
        size_t depth = k - d < p->depth_block ? k - d : p->depth_block;
        size_t bytes =
            p->kind == KIND_INT8 ? depth / 32 * p->t->q8_record : depth * cols * (p->kind == KIND_F32 ? 4 : 2);
        size_t group = PANEL_BYTES / bytes * cols;
        for (size_t n = 0; n < n_all; n += group) {
            size_t last = n_all - n < group ? n_all : n + group;
            for (size_t i = n; i < last; i += cols) drive_tile(p, p->panel + (i - n) / cols * bytes, i, d, depth, 0, 0);
            for (size_t m = 0; m < p->m; m += ROW_BLOCK) {
                if (p->kind == KIND_BF16)
                    for (size_t r = 0; r < ROW_BLOCK; r++)
                        p->t->to_bf16(p->x16 + r * depth, p->x + (m + r) * k + d, depth);
                for (size_t i = n; i < last; i += cols)
                    drive_tile(p, p->panel + (i - n) / cols * bytes, i, d, depth, m, ROW_BLOCK);
            }
        }
    }
}

static void bench_driven(const struct cpu_kernels *t, enum kind kind, size_t k, size_t n, size_t depth_block)
{
    static const char *const names[] = {"product f32", "product bf16", "product int8"};
    const double peaks[] = {peak.f32, peak.bf16, peak.int8};
    enum { ROWS = 512 };
    struct driven p = {.t = t, .kind = kind, .w = make_matrix(QUANT_Q4_1, n, k), .m = ROWS, .depth_block = depth_block};
    p.x = need_numbers(ROWS * k, false), p.y = need(ROWS * n * 4), p.x16 = need(ROW_BLOCK * k * 2);
    p.panel = need(PANEL_BYTES);
    if (kind == KIND_INT8) p.x8 = make_q8_rows(t, ROWS, k);
    double s;
    BEST(s, drive(&p));
    char shape[64];
    snprintf(shape, sizeof shape, "%d x %zu x %zu, blocks %zu", ROWS, k, n, depth_block);
    double speed = 2.0 * (double)(ROWS * k * n) / s;
    line(t->isa, names[kind], shape, speed * 1e-9, "GFLOP/s", speed / peaks[kind]);
    free((void *)p.w.data), free(p.x), free(p.y), free(p.x16), free(p.panel);
    if (kind == KIND_INT8) free_q8_rows(p.x8);
}

static void bench_products(const struct cpu_kernels *t, enum kind kind)
{
    static const size_t shapes[][2] = {{576, 576}, {576, 192}, {576, 1536}, {1536, 576}, {576, 6144}, {4096, 4096}};
    static const size_t blocks[] = {512, 1024, 2048};
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) bench_driven(t, kind, shapes[i][0], shapes[i][1], 2048);
    for (size_t i = 0; i < 3; i++) bench_driven(t, kind, 4096, 1024, blocks[i]);
}

static void bench_gemv(const struct cpu_kernels *t, enum quant_type type, size_t bytes, size_t cols)
{
    const struct quant_format *f = &quant_formats[type];
    size_t rows = bytes / (cols / f->block * f->block_bytes);
    struct quant_matrix w = make_matrix(type, rows, cols);
    float *x = need(cols * 4), *y = need(rows * 4);
    for (size_t i = 0; i < cols; i++) x[i] = (float)(i % 13) - 6;
    struct cpu_q8 x8 = {need(cols), need(cols / 8), need(cols / 8)};
    t->quantize_q8(x8, x, cols);
    double s = 1e9, begin = now(), read = 1e9;
    while (now() - begin <
           (bytes > 10 << 20 ? 1.5 : 0.3)) { /* in turns: the memory's speed depends on the neighbours */
        double start = now();
        read_all(w.data, rows * w.row_bytes);
        double middle = now();
        if (t->gemv_q8[type])
            t->gemv_q8[type](y, &w, 0, rows, x8);
        else
            t->gemv_f32[type](y, &w, 0, rows, x);
        double end = now();
        if (middle - start < read) read = middle - start;
        if (end - middle < s) s = end - middle;
    }
    char shape[64];
    snprintf(shape, sizeof shape, "%s %zu x %zu", f->name, rows, cols);
    double speed = (double)(rows * w.row_bytes) / s;
    line(t->isa, t->gemv_q8[type] ? "gemv_q8" : "gemv_f32", shape, speed * 1e-9, "GB/s", read / s);
    if (bytes < 1 << 20) line(t->isa, "", shape, s * peak.clock / (double)(rows * cols), "cycle/weight", 0);
    free((void *)w.planes.scales), free((void *)w.data), free(x), free(y), free(x8.q), free(x8.d), free(x8.sum);
}

static void bench_outer(const struct cpu_kernels *t, size_t m, size_t n, size_t k)
{
    float *dw = need(n * k * 4), *dy = need(m * n * 4), *x = need(m * k * 4);
    double s;
    BEST(s, t->outer(dw, k, dy, n, x, k, m, n, k, 1));
    char shape[64];
    snprintf(shape, sizeof shape, "M=%zu n=%zu k=%zu", m, n, k);
    double speed = 2.0 * (double)(m * n * k) / s;
    line(t->isa, "outer", shape, speed * 1e-9, "GFLOP/s", speed / peak.f32);
    free(dw), free(dy), free(x);
}

static void bench_vectors(const struct cpu_kernels *t)
{
    enum { N = 4096 };
    static float x[N], d[N / 32], sum[N / 32];
    static int8_t q[N];
    static uint16_t h[N];
    for (size_t i = 0; i < N; i++) x[i] = (float)(i % 31) - 15;
    struct cpu_q8 x8 = {q, d, sum};
    struct quant_matrix w = make_matrix(QUANT_Q4_1, 1, N);
    double s;
    BEST(s, t->quantize_q8(x8, x, N));
    line(t->isa, "quantize_q8", "4096", s * 1e9 / N, "ns/value", 0);
    BEST(s, t->to_bf16(h, x, N));
    line(t->isa, "to_bf16", "4096", s * 1e9 / N, "ns/value", 0);
    BEST(s, t->dequantize(x, &w, 0));
    line(t->isa, "dequantize", "Q4_1 4096", s * 1e9 / N, "ns/value", 0);
    free((void *)w.data);
}

static void bench_gemvs(const struct cpu_kernels *t)
{
    for (enum quant_type type = QUANT_Q4_0; type < QUANT_TYPES; type++) {
        if (!t->gemv_q8[type]) continue;
        size_t narrow = quant_formats[type].block > 32 ? 768 : 576;
        bench_gemv(t, type, 100 << 20, narrow);
        bench_gemv(t, type, 100 << 20, 4096);
        bench_gemv(t, type, 500 << 10, narrow);
        bench_gemv(t, type, 500 << 10, 4096);
    }
    for (enum quant_type type = 0; type <= QUANT_BF16; type++) {
        bench_gemv(t, type, 100 << 20, 1024);
        bench_gemv(t, type, 500 << 10, 1024);
    }
}

static void bench_isa(const struct cpu_kernels *t, bool bf16)
{
    bench_tiles(t, bf16);
    bench_products(t, bf16 ? KIND_BF16 : KIND_F32);
    if (!bf16 && t->q8_record && t->pack_q8[QUANT_Q4_1]) bench_products(t, KIND_INT8);
    for (size_t i = 0; i < 3; i++) bench_product(t, QUANT_Q4_1, (size_t[]){32, 400, 2048}[i], 1536, 576, bf16);
    bench_product(t, QUANT_Q4_1, 400, 576, 1536, bf16);
    for (enum quant_type type = 0; type < QUANT_OWN_KERNELS; type++) {
        bench_pack(t, type, bf16, false);
        bench_pack(t, type, bf16, true);
    }
    if (bf16) return;
    bench_q8(t);
    bench_gemvs(t);
    bench_outer(t, 2048, 16, 1536);
    bench_outer(t, 2048, 1536, 16);
    bench_outer(t, 512, 8, 576);
    bench_outer(t, 512, 576, 64);
    bench_vectors(t);
}

int main(int argc, char **argv)
{
    struct cpu_kernels t = {0};
    bool avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
    bool avx512 = avx2 && __builtin_cpu_supports("avx512vnni"), bf16 = avx512 && __builtin_cpu_supports("avx512bf16");
    const struct {
        const char *isa;
        bool has, bf16;
        void (*overlay)(struct cpu_kernels *t);
        void (*peaks)(struct cpu_peaks *p);
    } levels[] = {{"avx2", avx2, false, cpu_kernels_avx2, peaks_avx2},
                  {"avxvnni", cpu_has_avxvnni(), false, cpu_kernels_avxvnni, peaks_avxvnni},
                  {"avx512", avx512, false, cpu_kernels_avx512, peaks_avx512},
                  {"avx512bf16", bf16, true, cpu_kernels_avx512bf16, peaks_avx512bf16},
                  {"amx", bf16 && cpu_has_amx(), true, cpu_kernels_amx, peaks_amx}};
    cpu_kernels_scalar(&t);
    for (size_t i = 0; i < sizeof levels / sizeof *levels; i++) {
        if (!levels[i].has) continue;
        levels[i].overlay(&t);
        t.isa = levels[i].isa;
        if (argc > 1 && strcmp(argv[1], levels[i].isa)) continue;
        measure_peaks(levels[i].isa, levels[i].peaks);
        if (argc > 2)
            bench_gemvs(&t);
        else
            bench_isa(&t, levels[i].bf16);
    }
    return 0;
}

#else
int main(void)
{
    printf("bench_kernels: no instruction set to measure\n");
    return 0;
}
#endif
