/* gemv_avx512.c — a matrix times one activation row with AVX-512 VNNI.
 *
 * Owns: int8 activations; quantised rows, four at a time so that they share the activations: unsigned codes times int8
 * by vpdpbusd, each block's sum scaled into f32 lanes; unquantised rows in f32; whole rows as f32.
 * A row's lanes do not know its neighbours, so its bits do not depend on how rows are grouped.
 * Reads nothing past a row or an activation: the last blocks are loaded under masks. */
#include "backend/cpu/unpack_k_avx512.h"
#include "backend/cpu/prefetch.h"
#include "backend/cpu/sums_avx512.h"

#include <float.h>

enum { XS = 2 }; /* rows of activations that share the unpacked weights */

/* ---- int8 activations ------------------------------------------------------------------------------------- */

/* One block of 32; sums: Σ q of its halves. */
static ALWAYS_INLINE float quantize_block(int8_t *to, const float *x, int sums[2])
{
    const __m512i magnitude = _mm512_set1_epi32(0x7FFFFFFF);
    __m512 v[2] = {_mm512_loadu_ps(x), _mm512_loadu_ps(x + 16)};
    __m512i a = _mm512_and_si512(_mm512_castps_si512(v[0]), magnitude);
    a = _mm512_max_epu32(a, _mm512_and_si512(_mm512_castps_si512(v[1]), magnitude));
    uint32_t largest = _mm512_reduce_max_epu32(a); /* ordered as the floats are, infinity and NaN on top */
    float d;
    memcpy(&d, &largest, sizeof d);
    d /= 127;
    bool usable = d >= FLT_MIN && d <= FLT_MAX;
    if (d < FLT_MIN) d = 0;
    for (int i = 0; i < 2; i++) {
        __m512i q = _mm512_maskz_cvtps_epi32(usable ? 0xFFFF : 0, _mm512_div_ps(v[i], _mm512_set1_ps(d)));
        sums[i] = _mm512_reduce_add_epi32(q);
        _mm_store_si128((__m128i *)(to + 16 * i), _mm512_cvtepi32_epi8(q));
    }
    return d;
}

#include "backend/cpu/quantize_q8.h"

/* ---- 4-bit rows: four blocks a step ------------------------------------------------------------------------ */

/* Four blocks of activations: 16 bytes a block meet the low nibbles, 16 the high ones; a scale for each of 16 lanes. */
struct q8x4 {
    __m512i low, high;
    __m512i offset; /* Q4_0: minus eight times the sum of the activations that a lane adds up */
    __m512 d;       /* Q4_0: d of the lane's block */
    __m256 dsum;    /* Q4_1: d and sum of block 0, d and sum of block 1 ... */
};

static ALWAYS_INLINE __m512i spread4(void) /* lane l takes what belongs to block l / 4 */
{
    return _mm512_setr_epi32(0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3);
}

static ALWAYS_INLINE struct q8x4 load_q8x4(enum quant_type type, struct cpu_q8 x, size_t b, size_t count)
{
    struct q8x4 a;
    __m512i q0 = _mm512_maskz_loadu_epi32(first16(8 * count), x.q + b * BLOCK);
    __m512i q1 = _mm512_maskz_loadu_epi32(first16(count < 2 ? 0 : 8 * (count - 2)), x.q + b * BLOCK + 64);
    __m128 d = _mm_maskz_loadu_ps((__mmask8)((1u << count) - 1), x.d + b);
    a.low = _mm512_shuffle_i32x4(q0, q1, 0x88);
    a.high = _mm512_shuffle_i32x4(q0, q1, 0xDD);
    if (type == QUANT_Q4_0) {
        const __m512i eight = _mm512_set1_epi8(8);
        __m512i eights = _mm512_dpbusd_epi32(_mm512_setzero_si512(), eight, a.low);
        a.offset = _mm512_sub_epi32(_mm512_setzero_si512(), _mm512_dpbusd_epi32(eights, eight, a.high));
        a.d = _mm512_permutexvar_ps(spread4(), _mm512_castps128_ps512(d));
    } else {
        __m128 sum = _mm_maskz_loadu_ps((__mmask8)((1u << count) - 1), x.sum + b);
        a.dsum = _mm256_set_m128(_mm_unpackhi_ps(d, sum), _mm_unpacklo_ps(d, sum));
    }
    return a;
}

/* Σ code · activation of four blocks of nibbles, block by block in groups of four lanes. */
static ALWAYS_INLINE __m512 dot_q4(__m512i start, __m512i nibbles, const struct q8x4 *a)
{
    const __m512i mask = _mm512_set1_epi8(15);
    __m512i dot = _mm512_dpbusd_epi32(start, _mm512_and_si512(nibbles, mask), a->low);
    dot = _mm512_dpbusd_epi32(dot, _mm512_and_si512(_mm512_srli_epi16(nibbles, 4), mask), a->high);
    return _mm512_cvtepi32_ps(dot);
}

/* Blocks of 9 words: d, 8 words of nibbles. The second load starts at word 4. */
static ALWAYS_INLINE __m512 add_q4_0(__m512 sum, const uint8_t *w, const struct q8x4 *a, size_t count)
{
#define NIBBLES(b, last) 9 * b + 1, 9 * b + 2, 9 * b + 3, 9 * b + 4, 9 * b + 5, 9 * b + 6, 9 * b + 7, last
    static const uint16_t nibble_words[32] = {
        NIBBLES(0, 8), NIBBLES(1, 17), NIBBLES(2, 26), 28, 29, 30, 31, 60, 61, 62, 63};
#undef NIBBLES
    static const uint16_t scale_words[16] = {0, 0, 0, 0, 9, 9, 9, 9, 18, 18, 18, 18, 27, 27, 27, 27};
    __m512i w0, w1;
    if (count == 4)
        w0 = _mm512_loadu_si512(w), w1 = _mm512_loadu_si512(w + 8);
    else {
        w0 = _mm512_maskz_loadu_epi16(first32(9 * count), w);
        w1 = _mm512_setzero_si512(); /* used by the fourth block only */
    }
    __m512i nibbles = _mm512_permutex2var_epi16(w0, _mm512_loadu_si512(nibble_words), w1);
    __m512i halves =
        _mm512_permutexvar_epi16(_mm512_castsi256_si512(_mm256_loadu_si256((const __m256i *)scale_words)), w0);
    __m512 d = _mm512_cvtph_ps(_mm512_castsi512_si256(halves));
    return _mm512_fmadd_ps(dot_q4(a->offset, nibbles, a), _mm512_mul_ps(d, a->d), sum);
}

/* Blocks of 5 words of 32 bits: d and m, 4 words of nibbles. The second load starts at word 4. mins: see reduce. */
static ALWAYS_INLINE __m512 add_q4_1(__m512 sum, __m256 *mins, const uint8_t *w, const struct q8x4 *a, size_t count)
{
    const __m512i nibble_words = _mm512_setr_epi32(1, 2, 3, 4, 6, 7, 8, 9, 11, 12, 13, 14, 28, 29, 30, 31);
    const __m512i scale_words = _mm512_setr_epi32(0, 5, 10, 15, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0);
    __m512i w0, w1;
    if (count == 4)
        w0 = _mm512_loadu_si512(w), w1 = _mm512_loadu_si512(w + 16);
    else {
        w0 = _mm512_maskz_loadu_epi32(first16(5 * count), w);
        w1 = _mm512_setzero_si512(); /* used by the fourth block only */
    }
    __m512i nibbles = _mm512_permutex2var_epi32(w0, nibble_words, w1);
    __m256 dm = _mm256_cvtph_ps(_mm512_castsi512_si128(_mm512_permutexvar_epi32(scale_words, w0)));
    *mins = _mm256_fmadd_ps(dm, a->dsum, *mins);
    dm = _mm256_mul_ps(dm, a->dsum); /* scale and minimum of block 0, of block 1 ... */
    __m512i spread = _mm512_add_epi32(spread4(), spread4());
    __m512 d = _mm512_permutexvar_ps(spread, _mm512_castps256_ps512(dm));
    return _mm512_fmadd_ps(dot_q4(_mm512_setzero_si512(), nibbles, a), d, sum);
}

/* `rows` rows of weights against `xs` rows of activations: what a row of weights is unpacked to serves all of them. */
static ALWAYS_INLINE void step_q4(enum quant_type type, const size_t rows, const size_t xs, __m512 (*sum)[XS],
                                  __m256 (*mins)[XS], const uint8_t *w, size_t row_bytes, const struct cpu_q8 *x,
                                  size_t b, const size_t count)
{
    struct q8x4 a[XS];
    for (size_t m = 0; m < xs; m++) a[m] = load_q8x4(type, x[m], b, count);
#pragma GCC unroll 4
    for (size_t r = 0; r < rows; r++, w += row_bytes)
#pragma GCC unroll 4
        for (size_t m = 0; m < xs; m++)
            if (type == QUANT_Q4_0)
                sum[r][m] = add_q4_0(sum[r][m], w, &a[m], count);
            else
                sum[r][m] = add_q4_1(sum[r][m], &mins[r][m], w, &a[m], count);
}

/* y[m·ldy + r], for row m of activations */
static ALWAYS_INLINE void rows_q4(enum quant_type type, const size_t rows, const size_t xs, float *y, size_t ldy,
                                  const uint8_t *w, size_t row_bytes, const struct cpu_q8 *x, size_t blocks)
{
    const size_t bytes = type == QUANT_Q4_0 ? 18 : 20;
    __m512 sum[ROWS][XS];
    __m256 mins[ROWS][XS]; /* the odd lanes count: minimum times sum of activations */
#pragma GCC unroll 4
    for (size_t r = 0; r < rows; r++)
#pragma GCC unroll 4
        for (size_t m = 0; m < xs; m++) sum[r][m] = _mm512_setzero_ps(), mins[r][m] = _mm256_setzero_ps();
    size_t b = 0;
    for (; b + 4 <= blocks; b += 4) {
        prefetch(prefetch_from(w, rows, row_bytes, rows * b * bytes), rows * 4 * bytes);
        step_q4(type, rows, xs, sum, mins, w + b * bytes, row_bytes, x, b, 4);
    }
    if (b < blocks) prefetch(prefetch_from(w, rows, row_bytes, rows * b * bytes), rows * 3 * bytes);
    switch (blocks - b) {
    case 3:
        step_q4(type, rows, xs, sum, mins, w + b * bytes, row_bytes, x, b, 3);
        break;
    case 2:
        step_q4(type, rows, xs, sum, mins, w + b * bytes, row_bytes, x, b, 2);
        break;
    case 1:
        step_q4(type, rows, xs, sum, mins, w + b * bytes, row_bytes, x, b, 1);
        break;
    }
#pragma GCC unroll 4
    for (size_t m = 0; m < xs; m++) {
        __m256 v[ROWS];
#pragma GCC unroll 4
        for (size_t r = 0; r < rows; r++) {
            v[r] = fold(sum[r][m]);
            if (type == QUANT_Q4_1) v[r] = _mm256_mask_add_ps(v[r], 0xAA, v[r], mins[r][m]);
        }
        store_sums(y + m * ldy, rows, v);
    }
}

/* ---- 8-bit rows: two blocks a step -------------------------------------------------------------------------- */

/* Σ (code + 128) · q − Σ 128 · q: integers, exact. */
static ALWAYS_INLINE void step_q8_0(const size_t rows, const size_t xs, __m512 (*sum)[XS], const uint8_t *w,
                                    size_t row_bytes, const struct cpu_q8 *x, size_t b, const size_t count)
{
    const __m512i top = _mm512_set1_epi8((char)0x80);
    __m512i q[XS], offset[XS]; /* offset: the second sum, negative, for all rows */
    __m512 d[XS];
#pragma GCC unroll 4
    for (size_t m = 0; m < xs; m++) {
        const int8_t *from = x[m].q + b * BLOCK;
        q[m] =
            count == 2 ? _mm512_loadu_si512(from) : _mm512_zextsi256_si512(_mm256_loadu_si256((const __m256i *)from));
        offset[m] = _mm512_sub_epi32(_mm512_setzero_si512(), _mm512_dpbusd_epi32(_mm512_setzero_si512(), top, q[m]));
        d[m] = _mm512_insertf32x8(_mm512_set1_ps(x[m].d[b]), _mm256_set1_ps(count == 2 ? x[m].d[b + 1] : 0), 1);
    }
#pragma GCC unroll 4
    for (size_t r = 0; r < rows; r++, w += row_bytes) {
        __m512i codes = _mm512_zextsi256_si512(_mm256_loadu_si256((const __m256i *)(w + 2)));
        __m256i halves = _mm256_set1_epi16((short)load_u16(w));
        if (count == 2) {
            codes = _mm512_inserti64x4(codes, _mm256_loadu_si256((const __m256i *)(w + 36)), 1);
            halves = _mm256_inserti128_si256(halves, _mm_set1_epi16((short)load_u16(w + 34)), 1);
        }
#pragma GCC unroll 4
        for (size_t m = 0; m < xs; m++) {
            __m512 dot = _mm512_cvtepi32_ps(_mm512_dpbusd_epi32(offset[m], _mm512_xor_si512(codes, top), q[m]));
            sum[r][m] = _mm512_fmadd_ps(dot, _mm512_mul_ps(_mm512_cvtph_ps(halves), d[m]), sum[r][m]);
        }
    }
}

static ALWAYS_INLINE void rows_q8_0(enum quant_type type, const size_t rows, const size_t xs, float *y, size_t ldy,
                                    const uint8_t *w, size_t row_bytes, const struct cpu_q8 *x, size_t blocks)
{
    __m512 sum[ROWS][XS];
#pragma GCC unroll 4
    for (size_t r = 0; r < rows; r++)
#pragma GCC unroll 4
        for (size_t m = 0; m < xs; m++) sum[r][m] = _mm512_setzero_ps();
    size_t b = 0;
    for (; b + 2 <= blocks; b += 2) {
        prefetch(prefetch_from(w, rows, row_bytes, rows * b * 34), rows * 68);
        step_q8_0(rows, xs, sum, w + b * 34, row_bytes, x, b, 2);
    }
    if (b < blocks) step_q8_0(rows, xs, sum, w + b * 34, row_bytes, x, b, 1);
#pragma GCC unroll 4
    for (size_t m = 0; m < xs; m++) {
        __m256 v[ROWS];
#pragma GCC unroll 4
        for (size_t r = 0; r < rows; r++) v[r] = fold(sum[r][m]);
        store_sums(y + m * ldy, rows, v);
    }
}

/* ---- one row of activations, or several by pairs ------------------------------------------------------------ */

static ALWAYS_INLINE struct cpu_q8 q8_row(struct cpu_q8_rows x, size_t m)
{
    return (struct cpu_q8){x.q + m * x.ldq, x.d + m * x.ldd, x.sum + m * x.ldd};
}

/* `rows` rows of weights against all of x: in the first-level cache after the first pair. */
#define ROWS_AGAINST(name, body, type)                                                                                 \
    static ALWAYS_INLINE void name##_against(const size_t rows, float *y, size_t ldy, const uint8_t *w,                \
                                             size_t row_bytes, size_t blocks, struct cpu_q8_rows x, size_t count)      \
    {                                                                                                                  \
        size_t m = 0;                                                                                                  \
        for (; m + XS <= count; m += XS) {                                                                             \
            const struct cpu_q8 two[XS] = {q8_row(x, m), q8_row(x, m + 1)};                                            \
            body(type, rows, XS, y + m * ldy, ldy, w, row_bytes, two, blocks);                                         \
        }                                                                                                              \
        if (m == count) return;                                                                                        \
        const struct cpu_q8 last = q8_row(x, m);                                                                       \
        body(type, rows, 1, y + m * ldy, ldy, w, row_bytes, &last, blocks);                                            \
    }
#define GEMV_Q8(name, body, type)                                                                                      \
    ROWS_AGAINST(name, body, type)                                                                                     \
    static void name##_rows(float *y, size_t ldy, const struct cpu_matrix *w, size_t row, size_t rows,                 \
                            struct cpu_q8_rows x, size_t count)                                                        \
    {                                                                                                                  \
        const uint8_t *data = w->data + row * w->row_bytes;                                                            \
        size_t i = 0, bytes = w->row_bytes, blocks = w->cols / BLOCK;                                                  \
        for (; i + ROWS <= rows; i += ROWS)                                                                            \
            name##_against(ROWS, y + i, ldy, data + i * bytes, bytes, blocks, x, count);                               \
        for (; i < rows; i++) name##_against(1, y + i, ldy, data + i * bytes, bytes, blocks, x, count);                \
    }                                                                                                                  \
    static void name(float *y, const struct cpu_matrix *w, size_t row, size_t rows, struct cpu_q8 x)                   \
    {                                                                                                                  \
        name##_rows(y, 0, w, row, rows, (struct cpu_q8_rows){.q = x.q, .d = x.d, .sum = x.sum}, 1);                    \
    }
GEMV_Q8(gemv_q4_0, rows_q4, QUANT_Q4_0)
GEMV_Q8(gemv_q4_1, rows_q4, QUANT_Q4_1)
GEMV_Q8(gemv_q8_0, rows_q8_0, QUANT_Q8_0)

/* ---- unquantised rows ---------------------------------------------------------------------------------------- */

/* Product d goes to lane d mod 16. */
static ALWAYS_INLINE void rows_f32(enum quant_type type, const size_t rows, float *y, const uint8_t *w,
                                   size_t row_bytes, const float *x, size_t cols)
{
    const size_t size = type == QUANT_F32 ? 4 : 2;
    __m512 sum[ROWS];
    for (size_t r = 0; r < rows; r++) sum[r] = _mm512_setzero_ps();
    for (size_t d = 0; d < cols; d += BLOCK) {
        size_t n = cols - d < BLOCK ? cols - d : BLOCK;
        prefetch(prefetch_from(w, rows, row_bytes, rows * d * size), rows * BLOCK * size);
        __m512 v[2], x0 = _mm512_maskz_loadu_ps(first16(n), x + d);
        __m512 x1 = _mm512_maskz_loadu_ps(first16(n < 16 ? 0 : n - 16), x + d + 16);
        for (size_t r = 0; r < rows; r++) {
            unpack32(type, w + r * row_bytes + d * size, n, v);
            sum[r] = _mm512_fmadd_ps(v[1], x1, _mm512_fmadd_ps(v[0], x0, sum[r]));
        }
    }
    store_folded(y, rows, sum);
}

/* Sixteen vectors to their sums, lane i that of v[i]; always in this order. */
static ALWAYS_INLINE __m512 sums16(const __m512 v[16])
{
    __m512 t[8], q[4];
    for (int i = 0; i < 8; i++)
        t[i] = _mm512_add_ps(_mm512_unpacklo_ps(v[2 * i], v[2 * i + 1]), _mm512_unpackhi_ps(v[2 * i], v[2 * i + 1]));
    for (int i = 0; i < 4; i++) { /* rows 4i .. 4i + 3, a sum for each 128 bits */
        __m512d a = _mm512_castps_pd(t[2 * i]), b = _mm512_castps_pd(t[2 * i + 1]);
        q[i] = _mm512_add_ps(_mm512_castpd_ps(_mm512_unpacklo_pd(a, b)), _mm512_castpd_ps(_mm512_unpackhi_pd(a, b)));
    }
    for (int i = 0; i < 2; i++)
        t[i] = _mm512_add_ps(_mm512_shuffle_f32x4(q[2 * i], q[2 * i + 1], 0x88),
                             _mm512_shuffle_f32x4(q[2 * i], q[2 * i + 1], 0xDD));
    return _mm512_add_ps(_mm512_shuffle_f32x4(t[0], t[1], 0x88), _mm512_shuffle_f32x4(t[0], t[1], 0xDD));
}

/* Narrow matrices, a term's B: sixteen rows (or fewer) at a time, since what costs is summing each row's lanes. */
enum { NARROW = 64 };
static ALWAYS_INLINE void narrow_f32(enum quant_type type, float *y, const uint8_t *w, size_t row_bytes, size_t rows,
                                     const float *x, size_t cols)
{
    const size_t size = type == QUANT_F32 ? 4 : 2;
    __m512 sum[16];
    for (size_t r = 0; r < 16; r++) sum[r] = _mm512_setzero_ps();
    for (size_t d = 0; d < cols; d += 16) {
        __mmask16 keep = first16(cols - d);
        __m512 v = _mm512_maskz_loadu_ps(keep, x + d);
        for (size_t r = 0; r < 16; r++)
            if (r < rows) sum[r] = _mm512_fmadd_ps(unpack16(type, w + r * row_bytes + d * size, keep), v, sum[r]);
    }
    _mm512_mask_storeu_ps(y, first16(rows), sums16(sum));
}

#define GEMV_F32(name, type)                                                                                           \
    static void name(float *y, const struct cpu_matrix *w, size_t row, size_t rows, const float *x)                    \
    {                                                                                                                  \
        const uint8_t *data = w->data + row * w->row_bytes;                                                            \
        size_t i = 0, bytes = w->row_bytes;                                                                            \
        for (; w->cols <= NARROW && i + 16 <= rows; i += 16)                                                           \
            narrow_f32(type, y + i, data + i * bytes, bytes, 16, x, w->cols);                                          \
        if (w->cols <= NARROW && i < rows)                                                                             \
            narrow_f32(type, y + i, data + i * bytes, bytes, rows - i, x, w->cols), i = rows;                          \
        for (; i + ROWS <= rows; i += ROWS) rows_f32(type, ROWS, y + i, data + i * bytes, bytes, x, w->cols);          \
        for (; i < rows; i++) rows_f32(type, 1, y + i, data + i * bytes, bytes, x, w->cols);                           \
    }
GEMV_F32(gemv_f32, QUANT_F32)
GEMV_F32(gemv_f16, QUANT_F16)
GEMV_F32(gemv_bf16, QUANT_BF16)

static ALWAYS_INLINE void unpack_row(enum quant_type type, float *y, const struct cpu_matrix *w, size_t row)
{
    for (size_t d = 0; d < w->cols; d += BLOCK) {
        size_t n = w->cols - d < BLOCK ? w->cols - d : BLOCK;
        __m512 v[2];
        unpack_at(type, w, row, d, n, v);
        _mm512_mask_storeu_ps(y + d, first16(n), v[0]);
        _mm512_mask_storeu_ps(y + d + 16, first16(n < 16 ? 0 : n - 16), v[1]);
    }
}

static void dequantize(float *y, const struct cpu_matrix *w, size_t row)
{
    switch (w->type) {
    case QUANT_Q4_0:
        unpack_row(QUANT_Q4_0, y, w, row);
        break;
    case QUANT_Q4_1:
        unpack_row(QUANT_Q4_1, y, w, row);
        break;
    case QUANT_Q8_0:
        unpack_row(QUANT_Q8_0, y, w, row);
        break;
    case QUANT_Q4_K:
        unpack_row(QUANT_Q4_K, y, w, row);
        break;
    case QUANT_Q5_K:
        unpack_row(QUANT_Q5_K, y, w, row);
        break;
    case QUANT_Q6_K:
        unpack_row(QUANT_Q6_K, y, w, row);
        break;
    case QUANT_F16:
        unpack_row(QUANT_F16, y, w, row);
        break;
    case QUANT_BF16:
        unpack_row(QUANT_BF16, y, w, row);
        break;
    default:
        memcpy(y, w->data + row * w->row_bytes, w->cols * sizeof *y);
    }
}

void gemv_avx512(struct cpu_kernels *t)
{
    t->quantize_q8 = quantize_q8;
    t->quantize_q8_rows = quantize_q8_rows;
    t->gemv_q8[QUANT_Q4_0] = gemv_q4_0;
    t->gemv_q8[QUANT_Q4_1] = gemv_q4_1;
    t->gemv_q8[QUANT_Q8_0] = gemv_q8_0;
    memset(t->gemv_q8_rows, 0, sizeof t->gemv_q8_rows); /* their bits are those of this set's gemv_q8 */
    t->gemv_q8_rows[QUANT_Q4_0] = gemv_q4_0_rows;
    t->gemv_q8_rows[QUANT_Q4_1] = gemv_q4_1_rows;
    t->gemv_q8_rows[QUANT_Q8_0] = gemv_q8_0_rows;
    t->gemv_f32[QUANT_F32] = gemv_f32;
    t->gemv_f32[QUANT_F16] = gemv_f16;
    t->gemv_f32[QUANT_BF16] = gemv_bf16;
    t->dequantize = dequantize;
}
