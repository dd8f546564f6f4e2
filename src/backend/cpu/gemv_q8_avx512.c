/* gemv_q8_avx512.c — rows of formats in blocks of 32 times one row of int8 activations, of Q4_0, Q4_1 and Q8_0 a few
 * rows, with AVX-512 VNNI.
 *
 * A step is four blocks of 32. vpdpbusd multiplies their unsigned codes by the activations, block i in the lanes
 * l % 4 = i; four such vectors, of four rows of weights or of activations, are then added up into one, so that all
 * else is done for four at a time: zero, scales, minima. The four lanes of a result are summed at the row's end.
 * Several rows of activations are brought into that order once for all weights, and a row of weights is unpacked once
 * for all of them. A result's chain knows no other row: its bits do not depend on how rows are grouped.
 * Reads nothing past a row or an activation: the last blocks are loaded under masks. */
#include "backend/cpu/prefetch.h"
#include "backend/cpu/unpack_steps_avx512.h"

enum { QUAD = 4, MOST_XS = CPU_SEVERAL };

/* ---- four blocks of activations ------------------------------------------------------------------------------- */

/* Values 0 .. 15 of the blocks, and 16 .. 31: word 4 j + i of 32 bits is the j-th of block i. */
struct x_codes {
    __m512i low, high;
};
/* Of four rows, lanes 4 m + i: of row m and block i. `extra`: the sum of the activations where weights have a minimum
 * (f32), or −zero · Σ q (i32). */
struct x_scales {
    __m512 d;
    __m512i extra;
};
struct x_step {
    struct x_codes x[MOST_XS];
    struct x_scales scales[MOST_XS / QUAD];
};

static ALWAYS_INLINE __mmask8 first4(size_t n)
{
    return (__mmask8)((1u << n) - 1);
}

static ALWAYS_INLINE struct cpu_q8 row_of(struct cpu_q8_rows x, size_t m)
{
    return (struct cpu_q8){x.q + m * x.ldq, x.d + m * x.ldd, x.sum + m * x.ldd};
}

/* Blocks b .. b + count of a row; those missing to STEP are 0. */
static ALWAYS_INLINE struct x_codes load_codes(struct cpu_q8 x, size_t b, size_t count)
{
    const __m512i low = _mm512_setr_epi32(0, 8, 16, 24, 1, 9, 17, 25, 2, 10, 18, 26, 3, 11, 19, 27);
    const __m512i high = _mm512_add_epi32(low, _mm512_set1_epi32(4));
    __m512i q0 = _mm512_maskz_loadu_epi32(first16(8 * count), x.q + b * BLOCK);
    __m512i q1 = _mm512_maskz_loadu_epi32(first16(count < 2 ? 0 : 8 * (count - 2)), x.q + b * BLOCK + 64);
    return (struct x_codes){_mm512_permutex2var_epi32(q0, low, q1), _mm512_permutex2var_epi32(q0, high, q1)};
}

/* The sum of the four 128-bit parts of v[i] in part i. */
static ALWAYS_INLINE __m512i add_parts(const __m512i v[QUAD])
{
    __m512i a = _mm512_add_epi32(_mm512_shuffle_i32x4(v[0], v[1], 0x44), _mm512_shuffle_i32x4(v[0], v[1], 0xEE));
    __m512i b = _mm512_add_epi32(_mm512_shuffle_i32x4(v[2], v[3], 0x44), _mm512_shuffle_i32x4(v[2], v[3], 0xEE));
    return _mm512_add_epi32(_mm512_shuffle_i32x4(a, b, 0x88), _mm512_shuffle_i32x4(a, b, 0xDD));
}

/* One row four times. */
static ALWAYS_INLINE struct x_scales load_scales(enum quant_type type, struct cpu_q8 x, struct x_codes codes, size_t b,
                                                 size_t count)
{
    __m512i extra = _mm512_castps_si512(_mm512_broadcast_f32x4(_mm_maskz_loadu_ps(first4(count), x.sum + b)));
    if (stepped[type].zero) {
        const __m512i zero = _mm512_set1_epi8((char)stepped[type].zero), none = _mm512_setzero_si512();
        __m512i sum = _mm512_dpbusd_epi32(_mm512_dpbusd_epi32(none, zero, codes.low), zero, codes.high);
        __m512i same[QUAD] = {sum, sum, sum, sum};
        extra = _mm512_sub_epi32(none, add_parts(same));
    }
    return (struct x_scales){_mm512_broadcast_f32x4(_mm_maskz_loadu_ps(first4(count), x.d + b)), extra};
}

static ALWAYS_INLINE void arrange(enum quant_type type, struct x_step *to, struct cpu_q8_rows x, size_t rows,
                                  size_t blocks)
{
    for (size_t b = 0; b < blocks; b += STEP, to++) {
        size_t count = blocks - b < STEP ? blocks - b : STEP;
        for (size_t m = 0; m < rows; m++) {
            struct x_scales *scales = &to->scales[m / QUAD];
            __mmask16 part = (__mmask16)(0xF << 4 * (m % QUAD));
            if (m % QUAD == 0) *scales = (struct x_scales){_mm512_setzero_ps(), _mm512_setzero_si512()};
            to->x[m] = load_codes(row_of(x, m), b, count);
            struct x_scales own = load_scales(type, row_of(x, m), to->x[m], b, count);
            scales->d = _mm512_mask_mov_ps(scales->d, part, own.d);
            scales->extra = _mm512_mask_mov_epi32(scales->extra, part, own.extra);
        }
    }
}

/* ---- products ------------------------------------------------------------------------------------------------- */

/* y[m · ldy + r] = row r of the weights, times row m of the activations: one as it was quantised, or several that are
 * arranged. Four rows of weights; of fewer the last one stands for those missing, and they are not stored. */
struct piece {
    float *y;
    size_t ldy;
    const uint8_t *w;
    size_t row_bytes, rows, blocks;
    struct cpu_q8 one;
    const struct x_step *several;
};

static ALWAYS_INLINE const uint8_t *row_at(const struct piece *p, size_t r)
{
    return p->w + (r < p->rows ? r : p->rows - 1) * p->row_bytes;
}

static ALWAYS_INLINE __m512i dot(struct w_step w, const struct x_codes *x)
{
    return _mm512_dpbusd_epi32(_mm512_dpbusd_epi32(_mm512_setzero_si512(), w.low, x->low), w.high, x->high);
}

/* Four results' sums, four lanes each, and their dots, scales and minima of a step. */
static ALWAYS_INLINE __m512 add_step(enum quant_type type, __m512 sum, const __m512i dots[QUAD], __m256i d,
                                     __m256i second, const struct x_scales *x)
{
    __m512i dot = add_parts(dots);
    if (stepped[type].zero) dot = _mm512_add_epi32(dot, x->extra);
    sum = _mm512_fmadd_ps(_mm512_cvtepi32_ps(dot), _mm512_mul_ps(scales_of(type, d, second), x->d), sum);
    return stepped[type].minimum ? _mm512_fmadd_ps(_mm512_cvtph_ps(second), _mm512_castsi512_ps(x->extra), sum) : sum;
}

/* Four rows of weights, one of activations. */
static ALWAYS_INLINE __m512 step_one(enum quant_type type, __m512 sum, const struct piece *p, size_t b, size_t count)
{
    const struct x_codes codes = load_codes(p->one, b, count);
    const struct x_scales scales = load_scales(type, p->one, codes, b, count);
    __m512i dots[QUAD];
    __m256i d = _mm256_setzero_si256(), second = d;
#pragma GCC unroll 4
    for (size_t r = 0; r < QUAD; r++) {
        struct w_step w = unpack_step(type, row_at(p, r), b, count);
        __mmask16 part = (__mmask16)(0xF << 4 * r);
        dots[r] = dot(w, &codes);
        d = _mm256_mask_mov_epi16(d, part, w.d);
        if (has_second(type)) second = _mm256_mask_mov_epi16(second, part, w.second);
    }
    return add_step(type, sum, dots, d, second, &scales);
}

/* Four rows of weights, xs of activations; sum[r][m / QUAD]. */
static ALWAYS_INLINE void step_several(enum quant_type type, const size_t xs, __m512 (*sum)[MOST_XS / QUAD],
                                       const struct piece *p, size_t b, size_t count)
{
    const struct x_step *x = p->several + b / STEP;
#pragma GCC unroll 4
    for (size_t r = 0; r < QUAD; r++) {
        struct w_step w = unpack_step(type, row_at(p, r), b, count);
#pragma GCC unroll 2
        for (size_t g = 0; g < (xs + QUAD - 1) / QUAD; g++) {
            __m512i dots[QUAD];
#pragma GCC unroll 4
            for (size_t m = 0; m < QUAD; m++)
                dots[m] = QUAD * g + m < xs ? dot(w, &x->x[QUAD * g + m]) : _mm512_setzero_si512();
            sum[r][g] = add_step(type, sum[r][g], dots, w.d, w.second, &x->scales[g]);
        }
    }
}

/* The sum of the four lanes of each 128 bits, (0 + 2) + (1 + 3): of v[r] in lane r. */
static ALWAYS_INLINE __m512 add_lanes(const __m512 v[QUAD])
{
    __m512d a = _mm512_castps_pd(_mm512_add_ps(_mm512_unpacklo_ps(v[0], v[1]), _mm512_unpackhi_ps(v[0], v[1])));
    __m512d b = _mm512_castps_pd(_mm512_add_ps(_mm512_unpacklo_ps(v[2], v[3]), _mm512_unpackhi_ps(v[2], v[3])));
    return _mm512_add_ps(_mm512_castpd_ps(_mm512_unpacklo_pd(a, b)), _mm512_castpd_ps(_mm512_unpackhi_pd(a, b)));
}

static ALWAYS_INLINE void prefetch_step(const struct piece *p, size_t bytes, size_t b)
{
    enum { AHEAD = 12288 }; /* bytes, or the four rows if they are longer: between what short and long rows like best */
    size_t ahead = QUAD * p->row_bytes > AHEAD ? QUAD * p->row_bytes : AHEAD;
    prefetch_near((uintptr_t)p->w + ahead + QUAD * b * bytes, QUAD * STEP * bytes);
}

static ALWAYS_INLINE void one_row(enum quant_type type, const struct piece *p)
{
    __m512 sum = _mm512_setzero_ps();
    size_t b = 0;
    for (; b + STEP <= p->blocks; b += STEP) {
        prefetch_step(p, stepped[type].block_bytes, b);
        sum = step_one(type, sum, p, b, STEP);
    }
    if (p->blocks - b == 2)
        sum = step_one(type, sum, p, b, 2);
    else if (b < p->blocks)
        sum = step_one(type, sum, p, b, p->blocks - b);
    const __m512 same[QUAD] = {sum, sum, sum, sum};
    const __m512i first = _mm512_setr_epi32(0, 4, 8, 12, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0);
    _mm512_mask_storeu_ps(p->y, first16(p->rows), _mm512_permutexvar_ps(first, add_lanes(same)));
}

static ALWAYS_INLINE void several_rows(enum quant_type type, const size_t xs, const struct piece *p)
{
    __m512 sum[QUAD][MOST_XS / QUAD];
#pragma GCC unroll 8
    for (size_t i = 0; i < QUAD * MOST_XS / QUAD; i++) sum[i / 2][i % 2] = _mm512_setzero_ps();
    size_t b = 0;
    for (; b + STEP <= p->blocks; b += STEP) {
        prefetch_step(p, stepped[type].block_bytes, b);
        step_several(type, xs, sum, p, b, STEP);
    }
    if (p->blocks - b == 2)
        step_several(type, xs, sum, p, b, 2);
    else if (b < p->blocks)
        step_several(type, xs, sum, p, b, p->blocks - b);
#pragma GCC unroll 2
    for (size_t g = 0; g < (xs + QUAD - 1) / QUAD; g++) {
        float lanes[QUAD * QUAD];
        const __m512 four[QUAD] = {sum[0][g], sum[1][g], sum[2][g], sum[3][g]};
        _mm512_storeu_ps(lanes, add_lanes(four));
        for (size_t m = QUAD * g; m < xs && m < QUAD * g + QUAD; m++)
            memcpy(p->y + m * p->ldy, lanes + QUAD * (m % QUAD), p->rows * sizeof *lanes);
    }
}

/* ---- all rows of weights -------------------------------------------------------------------------------------- */

typedef void (*piece_kernel)(const struct piece *p);

static void all_rows(struct piece p, piece_kernel kernel, size_t rows)
{
    for (p.rows = QUAD; rows; rows -= p.rows, p.w += p.rows * p.row_bytes, p.y += p.rows) {
        if (rows < QUAD) p.rows = rows;
        kernel(&p);
    }
}

static ALWAYS_INLINE void gemv(piece_kernel kernel, float *y, const struct quant_matrix *w, size_t row, size_t rows,
                               struct cpu_q8 x)
{
    struct piece p = {
        .y = y, .w = w->data + row * w->row_bytes, .row_bytes = w->row_bytes, .blocks = w->cols / BLOCK, .one = x};
    all_rows(p, kernel, rows);
}

static ALWAYS_INLINE void gemv_rows(enum quant_type type, const piece_kernel *kernels, float *y, size_t ldy,
                                    const struct quant_matrix *w, size_t row, size_t rows, struct cpu_q8_rows x,
                                    size_t count, void *scratch)
{
    for (size_t xs; count; count -= xs, y += xs * ldy, x = cpu_q8_rows_at(x, xs, 0)) {
        xs = count < MOST_XS ? count : MOST_XS;
        if (xs == 1) {
            gemv(kernels[0], y, w, row, rows, row_of(x, 0));
            continue;
        }
        struct piece p = {.y = y,
                          .ldy = ldy,
                          .w = w->data + row * w->row_bytes,
                          .row_bytes = w->row_bytes,
                          .blocks = w->cols / BLOCK,
                          .several = scratch};
        arrange(type, scratch, x, xs, p.blocks);
        all_rows(p, kernels[xs - 1], rows);
    }
}

#define GEMV(type)                                                                                                     \
    static void piece_##type##_1(const struct piece *p)                                                                \
    {                                                                                                                  \
        one_row(QUANT_##type, p);                                                                                      \
    }                                                                                                                  \
    static void gemv_##type(float *y, const struct quant_matrix *w, size_t row, size_t rows, struct cpu_q8 x)          \
    {                                                                                                                  \
        gemv(piece_##type##_1, y, w, row, rows, x);                                                                    \
    }
#define SEVERAL(type, xs)                                                                                              \
    static void piece_##type##_##xs(const struct piece *p)                                                             \
    {                                                                                                                  \
        several_rows(QUANT_##type, xs, p);                                                                             \
    }
#define GEMV_ROWS(type)                                                                                                \
    SEVERAL(type, 2)                                                                                                   \
    SEVERAL(type, 3)                                                                                                   \
    SEVERAL(type, 4)                                                                                                   \
    SEVERAL(type, 5)                                                                                                   \
    SEVERAL(type, 6)                                                                                                   \
    SEVERAL(type, 7)                                                                                                   \
    SEVERAL(type, 8)                                                                                                   \
    static const piece_kernel pieces_##type[MOST_XS] = {piece_##type##_1, piece_##type##_2, piece_##type##_3,          \
                                                        piece_##type##_4, piece_##type##_5, piece_##type##_6,          \
                                                        piece_##type##_7, piece_##type##_8};                           \
    static void gemv_rows_##type(float *y, size_t ldy, const struct quant_matrix *w, size_t row, size_t rows,          \
                                 struct cpu_q8_rows x, size_t count, void *scratch)                                    \
    {                                                                                                                  \
        gemv_rows(QUANT_##type, pieces_##type, y, ldy, w, row, rows, x, count, scratch);                               \
    }

#define EACH(f)         f(Q4_0) f(Q4_1) f(Q5_0) f(Q5_1) f(Q8_0) f(IQ4_NL) f(IQ4_XS) f(GGML_MXFP4)
#define EACH_OF_ROWS(f) f(Q4_0) f(Q4_1) f(Q8_0)
EACH(GEMV)
EACH_OF_ROWS(GEMV_ROWS)

void gemv_q8_avx512(struct cpu_kernels *t)
{
#define ENTRY(type)      t->gemv_q8[QUANT_##type] = gemv_##type;
#define ENTRY_ROWS(type) t->gemv_q8_rows[QUANT_##type] = gemv_rows_##type;
    EACH(ENTRY)
    EACH_OF_ROWS(ENTRY_ROWS)
}
