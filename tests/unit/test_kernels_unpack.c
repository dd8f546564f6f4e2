/* test_kernels_unpack.c — formats that are unpacked for products of many rows: rows unpacked by every instruction set
 * have the scalar's bits, panels are those of the values as f32, or as bf16, and products with one row of activations,
 * in f32 and in int8, are those of the values. */
#include "kernel_test.h"

#include "backend/cpu/pack.h"
#include "quant/planes.h"

static const double BOUND = 1e-5;
enum { ROWS = 3, MOST_COLS = 768, LONG_COLS = 8448 /* more than a kernel takes at a time */, TILE = 64 };

static void unpack_scalar(struct cpu_kernels *t)
{
    gemv_scalar(t);
    gemm_scalar(t);
}
#if LORAC_X86
static void unpack_avx2(struct cpu_kernels *t)
{
    gemv_avx2(t);
    gemm_avx2(t);
    unpack_planes_avx2(t);
    gemv_e4m3_avx2(t);
    gemv_codes_avx2(t);
    gemm_q8_avx2(t);
    gemm_q8_k_avx2(t);
    gemm_codes_avx2(t);
}
static void unpack_avxvnni(struct cpu_kernels *t)
{
    unpack_avx2(t);
    gemv_codes_avxvnni(t);
    gemm_q8_avxvnni(t);
    gemm_q8_k_avxvnni(t);
    gemm_codes_avx2(t);
}
static void unpack_avx512(struct cpu_kernels *t)
{
    gemv_avx512(t);
    gemm_avx512(t);
    unpack_planes_avx512(t);
    gemv_e4m3_avx512(t);
    unpack_parts_avx512(t);
    gemv_q8_avx512(t);
    gemv_codes_avx512(t);
    gemv_chunks_avx512(t);
    gemm_q8_avx512(t);
    gemm_q8_k_avx512(t);
    gemm_q2_k_avx512(t);
    gemm_codes_avx512(t);
}
static void unpack_avx512vbmi(struct cpu_kernels *t)
{
    unpack_avx512(t);
    gemm_codes_avx512vbmi(t);
    gemv_codes_avx512vbmi(t);
    gemv_chunks_avx512vbmi(t);
}
static void unpack_avx512bf16(struct cpu_kernels *t)
{
    unpack_avx512(t);
    gemm_avx512bf16(t);
    gemm_codes_avx512bf16(t);
}
#endif
static const struct level levels[] = {
    {"scalar", unpack_scalar},
#if LORAC_X86
    {"avx2", unpack_avx2},
    {"avxvnni", unpack_avxvnni},
    {"avx512", unpack_avx512},
    {"avx512vbmi", unpack_avx512vbmi},
    {"avx512bf16", unpack_avx512bf16},
#endif
};

/* ---- matrices of random bytes ------------------------------------------------------------------ */

struct made {
    struct quant_matrix w;
    float *block[3]; /* codes, scales, minimums; end where their block ends */
    size_t floats[3];
};

static const uint8_t *bytes_of(struct made *m, int i, size_t bytes, uint64_t *state)
{
    m->floats[i] = (bytes + 3) / 4;
    m->block[i] = buffer(m->floats[i], state);
    uint8_t *p = (uint8_t *)(m->block[i] + m->floats[i]) - bytes;
    for (size_t k = 0; k < bytes; k++) p[k] = (uint8_t)draw(state);
    return p;
}

static struct made make(enum quant_type type, size_t cols, size_t group, enum scale_type scales, uint64_t seed)
{
    struct made m = {.w = {.type = type, .rows = ROWS, .cols = cols}};
    uint64_t state = seed;
    assert_true(quant_row_bytes(type, cols, &m.w.row_bytes));
    m.w.data = bytes_of(&m, 0, ROWS * m.w.row_bytes, &state);
    if (type < QUANT_PLANES) return m;
    size_t bytes = ROWS * cols / group * scale_bytes(scales);
    m.w.planes = (struct quant_planes){.group = group, .scale_type = scales, .factor = 0.75f};
    m.w.planes.scales = bytes_of(&m, 1, bytes, &state);
    if (type < QUANT_MXFP4) m.w.planes.mins = bytes_of(&m, 2, bytes, &state);
    return m;
}

static void drop(struct made *m)
{
    for (int i = 0; i < 3; i++)
        if (m->block[i]) release(m->block[i], m->floats[i]);
}

/* ---- checks ------------------------------------------------------------------------------------ */

static size_t differing(const float *x, const float *y, size_t n)
{
    size_t differ = 0;
    for (size_t i = 0; i < n; i++) differ += memcmp(x + i, y + i, 4) && !(isnan(x[i]) && isnan(y[i]));
    return differ;
}

/* Whole rows, and pieces that begin and end anywhere. */
static size_t check_rows(const struct cpu_kernels *t, const struct quant_matrix *w)
{
    static float want[LONG_COLS], have[LONG_COLS];
    size_t differ = 0, piece = 0;
    if (!t->unpack[w->type]) return 0;
    for (size_t r = 0; r < ROWS; r++)
        for (size_t c = 0, n; c < w->cols; c += n) {
            n = r ? 1 + piece++ * 53 % (w->cols - c) : w->cols;
            quant_dequantize(want, w, r, c, n);
            t->unpack[w->type](have, w, r, c, n);
            differ += differing(have, want, n);
        }
    return differ;
}

/* Rows that hold an infinity or NaN have no error, but no number either where the sum is none. */
static void check_product(const struct cpu_kernels *t, const struct quant_matrix *w, double *worst)
{
    static float values[LONG_COLS], spare[LONG_COLS], x[LONG_COLS];
    uint64_t state = w->cols;
    float y[ROWS];
    for (size_t i = 0; i < w->cols; i++) x[i] = draw_float(&state);
    cpu_gemv_f32(t, y, w, 0, ROWS, x, spare);
    for (size_t r = 0; r < ROWS; r++) {
        double sum = 0, size = 0;
        quant_dequantize(values, w, r, 0, w->cols);
        for (size_t i = 0; i < w->cols; i++) {
            sum += (double)values[i] * (double)x[i];
            size += fabs((double)values[i] * (double)x[i]);
        }
        if (isnan(sum)) assert_false(isfinite(y[r]));
        if (size < 1e30 && size > 1e-30) *worst = fmax(*worst, fabs((double)y[r] - sum) / size);
    }
}

/* ---- int8 activations, as they were quantised ---- */

struct q8 {
    _Alignas(64) int8_t q[ROWS * LONG_COLS];
    float d[ROWS * LONG_COLS / 32], sum[ROWS * LONG_COLS / 32];
    _Alignas(4) int16_t halves[ROWS * LONG_COLS / 16];
    struct cpu_q8_rows rows;
};

static void quantize(const struct cpu_kernels *t, struct q8 *x8, size_t cols)
{
    static float x[ROWS * LONG_COLS];
    uint64_t state = cols;
    for (size_t i = 0; i < ROWS * cols; i++) x[i] = draw_float(&state);
    x8->rows = (struct cpu_q8_rows){x8->q, x8->d, x8->sum, x8->halves, (cols + 63) / 64 * 64, cols / 32};
    t->quantize_q8_rows(x8->rows, x, cols, ROWS, cols);
}

/* Of y = row r of w times row m. A value of affine planes counts with its minimum and without: their rounding to the
 * scales' type is left out. */
static void compare_int8(const struct quant_matrix *w, size_t r, struct cpu_q8_rows x, size_t m, float y, double *worst)
{
    static float values[LONG_COLS], moved[LONG_COLS];
    struct cpu_q8_rows at = cpu_q8_rows_at(x, m, 0);
    struct quant_matrix less = *w;
    double sum = 0, size = 0;
    less.planes.mins = NULL;
    quant_dequantize(values, w, r, 0, w->cols);
    quant_dequantize(moved, &less, r, 0, w->cols);
    for (size_t i = 0; i < w->cols; i++) {
        double xi = (double)at.d[i / 32] * at.q[i], v = (double)values[i], without = (double)moved[i];
        sum += v * xi;
        size += (fabs(without) + fabs(v - without)) * fabs(xi);
    }
    if (size < 1e30 && size > 1e-30) *worst = fmax(*worst, fabs((double)y - sum) / size);
}

static void check_int8(const struct cpu_kernels *t, const struct quant_matrix *w, double *worst)
{
    static struct q8 x8;
    static _Alignas(64) uint8_t panel[LONG_COLS / 32 * TILE * 44];
    float y[ROWS * TILE];
    if (!t->gemv_q8[w->type] || !quant_in_blocks(w)) return;
    quantize(t, &x8, w->cols);
    t->gemv_q8[w->type](y, w, 0, ROWS, (struct cpu_q8){x8.q, x8.d, x8.sum});
    for (size_t r = 0; r < ROWS; r++) compare_int8(w, r, x8.rows, 0, y[r], worst);
    if (!t->pack_q8[w->type]) return;
    for (size_t d = 0, n; d < w->cols; d += n) { /* as products cut the depth */
        n = w->cols - d < 256 ? w->cols - d : 256;
        memset(panel, 0xA5, sizeof panel);
        t->pack_q8[w->type](panel, w, 1, ROWS - 1, d, n);
        t->tile_q8[w->type](y, TILE, cpu_q8_rows_at(x8.rows, 0, d), panel, n, ROWS, ROWS - 1, 1, d > 0);
    }
    for (size_t i = 0; i < ROWS * (ROWS - 1); i++)
        compare_int8(w, 1 + i % (ROWS - 1), x8.rows, i / (ROWS - 1), y[i / (ROWS - 1) * TILE + i % (ROWS - 1)], worst);
}

static size_t check_panels(const struct cpu_kernels *t, const struct quant_matrix *w)
{
    static float values[ROWS * LONG_COLS], want[LONG_COLS * TILE], have[LONG_COLS * TILE];
    struct quant_matrix f32 = {QUANT_F32, (const uint8_t *)values, ROWS, w->cols, w->cols * sizeof *values, {0}};
    size_t differ = 0, tile = t->tile_cols, col = w->cols > 32 ? 32 : 0;
    for (size_t r = 0; r < ROWS; r++) quant_dequantize(values + r * w->cols, w, r, 0, w->cols);
    cpu_pack(t, have, false, false, w, 1, ROWS - 1, col, w->cols - col);
    t->pack_f32(want, &f32, 1, ROWS - 1, col, w->cols - col);
    differ += differing(have, want, (w->cols - col) * tile);
    cpu_pack(t, have, false, true, w, 0, ROWS, col, w->cols - col < tile ? w->cols - col : tile);
    t->pack_f32_t(want, &f32, 0, ROWS, col, w->cols - col < tile ? w->cols - col : tile);
    return differ + differing(have, want, ROWS * tile);
}

/* Panels in bf16 have the bits of the rounded values; from `col` on, which may lie in a block. */
static size_t check_bf16_panels(const struct cpu_kernels *t, const struct quant_matrix *w, size_t col)
{
    static float values[ROWS * LONG_COLS];
    static uint16_t want[LONG_COLS * TILE], have[LONG_COLS * TILE];
    struct quant_matrix f32 = {QUANT_F32, (const uint8_t *)values, ROWS, w->cols, w->cols * sizeof *values, {0}};
    size_t differ = 0, cols = w->cols - col;
    if (!t->pack_bf16_of[w->type] || !quant_in_blocks(w)) return 0;
    for (size_t r = 0; r < ROWS; r++) quant_dequantize(values + r * w->cols, w, r, 0, w->cols);
    memset(have, 0xA5, sizeof have);
    cpu_pack(t, have, true, false, w, 1, ROWS - 1, col, cols);
    t->pack_bf16(want, &f32, 1, ROWS - 1, col, cols);
    for (size_t i = 0; i < cols * t->tile_cols; i++)
        differ += have[i] != want[i] && !(isnan(bf16_to_float(have[i])) && isnan(bf16_to_float(want[i])));
    return differ;
}

struct worst {
    double f32, int8; /* int8: as a share of its bound */
};

/* What the kernels of int8 activations may leave out: rounding to f16 or bf16, twice; the sixteenths of NF4 and FP4. */
static double int8_bound(const struct quant_matrix *w)
{
    if (w->type == QUANT_NF4 || w->type == QUANT_FP4) return 1e-4;
    if (w->type < QUANT_AFFINE2 || w->type > QUANT_AFFINE8 || w->planes.scale_type == SCALE_F32) return 5e-7;
    return w->planes.scale_type == SCALE_F16 ? 0x1p-10 : 0x1p-7;
}

static void check_matrix(const char *level, const struct cpu_kernels *t, struct made m, struct worst *worst)
{
    double int8 = 0;
    size_t rows = check_rows(t, &m.w), panels = check_panels(t, &m.w);
    for (size_t col = 0; col < m.w.cols; col += 32) panels += check_bf16_panels(t, &m.w, col);
    check_product(t, &m.w, &worst->f32);
    check_int8(t, &m.w, &int8);
    worst->int8 = fmax(worst->int8, int8 / int8_bound(&m.w));
    if (rows || panels)
        fail_msg("%s, %s, %zu columns, group %zu: %zu values and %zu of panels differ", level,
                 quant_formats[m.w.type].name, m.w.cols, m.w.planes.group, rows, panels);
    drop(&m);
}

/* Columns in groups that do not follow one another, as GPTQ's act-order leaves them. */
static void check_listed(const char *level, const struct cpu_kernels *t, enum quant_type type, struct worst *worst)
{
    static int32_t groups[LONG_COLS];
    enum { GROUP = 32, COLS = 192 };
    struct made m = make(type, COLS, GROUP, SCALE_F32, 5);
    uint64_t state = 9;
    for (size_t i = 0; i < COLS; i++) groups[i] = (int32_t)(draw(&state) % (COLS / GROUP));
    m.w.planes.groups = groups;
    check_matrix(level, t, m, worst);
}

static void check_type(const char *level, const struct cpu_kernels *t, enum quant_type type)
{
    static const size_t groups[] = {16, 32, 64, 128, 24}; /* 24: no whole lanes */
    struct worst worst = {0};
    char int8[32];
    size_t block = quant_formats[type].block;
    if (type < QUANT_PLANES)
        for (size_t n = 1; n * block <= MOST_COLS; n++) check_matrix(level, t, make(type, n * block, 0, 0, n), &worst);
    if (type < QUANT_PLANES) check_matrix(level, t, make(type, LONG_COLS, 0, 0, 1), &worst);
    for (size_t g = 0; type >= QUANT_PLANES && g < sizeof groups / sizeof *groups; g++)
        for (int s = SCALE_F32; s <= SCALE_E4M3; s++) {
            if (type < QUANT_MXFP4 && s > SCALE_BF16) continue;
            for (size_t n = 1; n <= 3; n++)
                check_matrix(level, t, make(type, n * groups[g], groups[g], (enum scale_type)s, n), &worst);
            for (size_t n = 96; n <= MOST_COLS; n += 96) /* several chunks, the last one short */
                if (n % groups[g] == 0) check_matrix(level, t, make(type, n, groups[g], (enum scale_type)s, n), &worst);
            if (s == SCALE_BF16 && LONG_COLS % groups[g] == 0)
                check_matrix(level, t, make(type, LONG_COLS, groups[g], SCALE_BF16, 1), &worst);
        }
    if (type >= QUANT_AFFINE2 && type < QUANT_MXFP4) check_listed(level, t, type, &worst);
    report(level, quant_formats[type].name, worst.f32, BOUND);
    snprintf(int8, sizeof int8, "%s, int8, of its bound", quant_formats[type].name);
    if (t->gemv_q8[type]) report(level, int8, worst.int8, 1);
}

static void test_levels(void **unused)
{
    for (size_t l = 0; l < sizeof levels / sizeof *levels; l++) {
        struct cpu_kernels t;
        if (!open_level(&t, levels[l])) continue;
        for (enum quant_type type = QUANT_OWN_KERNELS; type < QUANT_TYPES; type++) check_type(levels[l].name, &t, type);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_levels)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
