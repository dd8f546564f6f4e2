/* gemv_avx2.c — a matrix times one activation row with AVX2.
 *
 * Owns: int8 activations; rows of 8-bit codes, four at a time so that they share the activations: bytes times bytes by
 * vpmaddubsw (no pair saturates: 2 · 128 · 127 fits in 16 bits), each block's sum scaled into f32 lanes; unquantised
 * rows in f32; whole rows as f32. Rows of 4-bit codes are those of gemv_q4_avx2.h.
 * A row's lanes do not know its neighbours, so its bits do not depend on how rows are grouped. */
#include "backend/cpu/gemv_q4_avx2.h"
#include "backend/cpu/unpack_k_avx2.h"
#include "backend/cpu/prefetch.h"

#include <float.h>

enum { ROWS = 4 };

/* ---- int8 activations ------------------------------------------------------------------------------------- */

static ALWAYS_INLINE int sum_epi32(__m256i v)
{
    __m128i h = _mm_add_epi32(_mm256_castsi256_si128(v), _mm256_extracti128_si256(v, 1));
    h = _mm_add_epi32(h, _mm_shuffle_epi32(h, 0x4E));
    return _mm_cvtsi128_si32(_mm_add_epi32(h, _mm_shuffle_epi32(h, 0xB1)));
}

/* max |x| of a block: the bits of positive floats are ordered as they are, infinity and NaN on top. */
static ALWAYS_INLINE float largest(const __m256 v[4])
{
    const __m256i magnitude = _mm256_set1_epi32(0x7FFFFFFF);
    __m256i max = _mm256_setzero_si256();
    for (int i = 0; i < 4; i++) max = _mm256_max_epi32(max, _mm256_and_si256(_mm256_castps_si256(v[i]), magnitude));
    __m128i h = _mm_max_epi32(_mm256_castsi256_si128(max), _mm256_extracti128_si256(max, 1));
    h = _mm_max_epi32(h, _mm_shuffle_epi32(h, 0x4E));
    h = _mm_max_epi32(h, _mm_shuffle_epi32(h, 0xB1));
    return _mm_cvtss_f32(_mm_castsi128_ps(h));
}

/* One block of 32; sums: Σ q of its halves. */
static ALWAYS_INLINE float quantize_block(int8_t *to, const float *x, int sums[2])
{
    __m256 v[4];
    __m256i q[4];
    for (int i = 0; i < 4; i++) v[i] = _mm256_loadu_ps(x + 8 * i);
    float d = largest(v) / 127;
    bool usable = d >= FLT_MIN && d <= FLT_MAX;
    if (d < FLT_MIN) d = 0;
    for (int i = 0; i < 4; i++) {
        q[i] = _mm256_cvtps_epi32(_mm256_div_ps(v[i], _mm256_set1_ps(d)));
        q[i] = _mm256_and_si256(q[i], _mm256_set1_epi32(usable ? -1 : 0));
    }
    sums[0] = sum_epi32(_mm256_add_epi32(q[0], q[1])), sums[1] = sum_epi32(_mm256_add_epi32(q[2], q[3]));
    __m256i bytes = _mm256_packs_epi16(_mm256_packs_epi32(q[0], q[1]), _mm256_packs_epi32(q[2], q[3]));
    bytes = _mm256_permutevar8x32_epi32(bytes, _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7));
    _mm256_storeu_si256((__m256i *)to, bytes);
    return d;
}

#include "backend/cpu/quantize_q8.h"

/* ---- 8-bit rows -------------------------------------------------------------------------------------------- */

/* Σ code · q of one block in 8 lanes: |code| times q with the code's sign. */
static ALWAYS_INLINE __m256 dot_q8_0(const uint8_t *block, __m256i q)
{
    __m256i codes = _mm256_loadu_si256((const __m256i *)(block + 2));
    __m256i pairs = _mm256_maddubs_epi16(_mm256_abs_epi8(codes), _mm256_sign_epi8(q, codes));
    return _mm256_cvtepi32_ps(_mm256_madd_epi16(pairs, _mm256_set1_epi16(1)));
}

static ALWAYS_INLINE void rows_q8_0(const size_t rows, float *y, const uint8_t *w, size_t row_bytes, struct cpu_q8 x,
                                    size_t blocks)
{
    __m256 sum[ROWS];
    for (size_t r = 0; r < rows; r++) sum[r] = _mm256_setzero_ps();
    for (size_t b = 0; b < blocks; b++) {
        const uint8_t *block = w + b * 34;
        prefetch(prefetch_from(w, rows, row_bytes, rows * b * 34), rows * 34);
        __m256i q = _mm256_loadu_si256((const __m256i *)(x.q + b * BLOCK));
        for (size_t r = 0; r < rows; r++, block += row_bytes)
            sum[r] = _mm256_fmadd_ps(dot_q8_0(block, q), _mm256_set1_ps(load_half(block) * x.d[b]), sum[r]);
    }
    for (size_t r = 0; r < rows; r++) y[r] = sum8(sum[r]);
}

static void gemv_q8_0(float *y, const struct quant_matrix *w, size_t row, size_t rows, struct cpu_q8 x)
{
    const uint8_t *data = w->data + row * w->row_bytes;
    size_t i = 0, bytes = w->row_bytes, blocks = w->cols / BLOCK;
    for (; i + ROWS <= rows; i += ROWS) rows_q8_0(ROWS, y + i, data + i * bytes, bytes, x, blocks);
    for (; i < rows; i++) rows_q8_0(1, y + i, data + i * bytes, bytes, x, blocks);
}

/* ---- unquantised rows -------------------------------------------------------------------------------------- */

/* Product d goes to lane d mod 8. */
static ALWAYS_INLINE void rows_f32(enum quant_type type, const size_t rows, float *y, const uint8_t *w,
                                   size_t row_bytes, const float *x, size_t cols)
{
    __m256 sum[ROWS];
    for (size_t r = 0; r < rows; r++) sum[r] = _mm256_setzero_ps();
    size_t d = 0;
    for (; d + 8 <= cols; d += 8) {
        const size_t size = type == QUANT_F32 ? 4 : 2;
        prefetch(prefetch_from(w, rows, row_bytes, rows * d * size), rows * 8 * size);
        __m256 a = _mm256_loadu_ps(x + d);
        for (size_t r = 0; r < rows; r++) sum[r] = _mm256_fmadd_ps(unpack8(type, w + r * row_bytes, d, 8), a, sum[r]);
    }
    if (d < cols) {
        __m256 a = _mm256_maskload_ps(x + d, first8(cols - d));
        for (size_t r = 0; r < rows; r++)
            sum[r] = _mm256_fmadd_ps(unpack8(type, w + r * row_bytes, d, cols - d), a, sum[r]);
    }
    for (size_t r = 0; r < rows; r++) y[r] = sum8(sum[r]);
}

#define GEMV_F32(name, type)                                                                                           \
    static void name(float *y, const struct quant_matrix *w, size_t row, size_t rows, const float *x)                  \
    {                                                                                                                  \
        const uint8_t *data = w->data + row * w->row_bytes;                                                            \
        size_t i = 0, bytes = w->row_bytes;                                                                            \
        for (; i + ROWS <= rows; i += ROWS) rows_f32(type, ROWS, y + i, data + i * bytes, bytes, x, w->cols);          \
        for (; i < rows; i++) rows_f32(type, 1, y + i, data + i * bytes, bytes, x, w->cols);                           \
    }
GEMV_F32(gemv_f32, QUANT_F32)
GEMV_F32(gemv_f16, QUANT_F16)
GEMV_F32(gemv_bf16, QUANT_BF16)

static ALWAYS_INLINE void unpack_row(enum quant_type type, float *y, const struct quant_matrix *w, size_t row)
{
    for (size_t d = 0; d < w->cols; d += 8) {
        size_t n = w->cols - d < 8 ? w->cols - d : 8;
        _mm256_maskstore_ps(y + d, first8(n), unpack8_at(type, w->data + row * w->row_bytes, d, n));
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

void gemv_avx2(struct cpu_kernels *t)
{
    t->quantize_q8 = quantize_q8;
    t->quantize_q8_rows = quantize_q8_rows;
    t->gemv_q8[QUANT_Q4_0] = gemv_q4_0;
    t->gemv_q8[QUANT_Q4_1] = gemv_q4_1;
    t->gemv_q8[QUANT_Q8_0] = gemv_q8_0;
    t->gemv_f32[QUANT_F32] = gemv_f32;
    t->gemv_f32[QUANT_F16] = gemv_f16;
    t->gemv_f32[QUANT_BF16] = gemv_bf16;
    t->dequantize = dequantize;
}
