/* gemv_avx512.c — a matrix times one activation row with AVX-512.
 *
 * Owns: int8 activations; unquantised rows in f32, four at a time so that they share the activations; whole rows as
 * f32. Quantised rows: gemv_q8_avx512.c.
 * A row's lanes do not know its neighbours, so its bits do not depend on how rows are grouped.
 * Reads nothing past a row or an activation: the last blocks are loaded under masks. */
#include "backend/cpu/unpack_k_avx512.h"
#include "backend/cpu/prefetch.h"
#include "backend/cpu/sums_avx512.h"

#include <float.h>

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

/* Narrow matrices, a term's B: sixteen rows (or fewer) at a time, since what costs is summing each row's lanes. What
 * lies behind B is asked for as well: the next A. */
enum { NARROW = 64, AHEAD = 8192 };
static ALWAYS_INLINE void narrow_f32(enum quant_type type, float *y, const uint8_t *w, size_t row_bytes, size_t rows,
                                     const float *x, size_t cols)
{
    const size_t size = type == QUANT_F32 ? 4 : 2;
    __m512 sum[16];
    prefetch_near((uintptr_t)w + AHEAD, rows * row_bytes);
    for (size_t r = 0; r < 16; r++) sum[r] = _mm512_setzero_ps();
    for (size_t d = 0; d < cols; d += 16) {
        __mmask16 keep = first16(cols - d);
        __m512 v = _mm512_maskz_loadu_ps(keep, x + d);
        for (size_t r = 0; r < 16; r++)
            if (r < rows) sum[r] = _mm512_fmadd_ps(unpack16(type, w + r * row_bytes + d * size, keep), v, sum[r]);
    }
    _mm512_mask_storeu_ps(y, first16(rows), sums_of(sum, 16));
}

#define GEMV_F32(name, type)                                                                                           \
    static void name(float *y, const struct quant_matrix *w, size_t row, size_t rows, const float *x)                  \
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

static ALWAYS_INLINE void unpack_row(enum quant_type type, float *y, const struct quant_matrix *w, size_t row)
{
    for (size_t d = 0; d < w->cols; d += BLOCK) {
        size_t n = w->cols - d < BLOCK ? w->cols - d : BLOCK;
        __m512 v[2];
        unpack_at(type, w, row, d, n, v);
        _mm512_mask_storeu_ps(y + d, first16(n), v[0]);
        _mm512_mask_storeu_ps(y + d + 16, first16(n < 16 ? 0 : n - 16), v[1]);
    }
}

static void dequantize(float *y, const struct quant_matrix *w, size_t row)
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
    t->gemv_f32[QUANT_F32] = gemv_f32;
    t->gemv_f32[QUANT_F16] = gemv_f16;
    t->gemv_f32[QUANT_BF16] = gemv_bf16;
    t->dequantize = dequantize;
}
