/* gemv_q4_avx2.h — rows of 4-bit weights times one row of int8 activations in 256 bits; a part of gemv_avx2.c and of
 * gemv_avxvnni.c, with the same results.
 *
 * Two blocks a step: lanes 0 .. 3 belong to the first, 4 .. 7 to the second. Four rows share the activations. A row's
 * lanes do not know its neighbours, so its bits do not depend on how rows are grouped. */
#include "backend/cpu/dot_avx2.h"
#include "backend/cpu/prefetch.h"

enum { Q4_ROWS = 4 };

/* Two blocks of activations: 16 bytes a block meet the low nibbles, 16 the high ones. */
struct q8x2 {
    __m256i low, high;
    __m256i start; /* Q4_0: minus eight times the sum of the activations that a lane adds up; else 0 */
    __m256 d, sum; /* of the lane's block */
};

static ALWAYS_INLINE __m256 spread2(const float *v, const size_t count)
{
    return _mm256_set_m128(count > 1 ? _mm_broadcast_ss(v + 1) : _mm_setzero_ps(), _mm_broadcast_ss(v));
}

static ALWAYS_INLINE __m256i dot_two(__m256i low, __m256i high, __m256i start, const struct q8x2 *a)
{
    return dot_finish(dot_add(dot_add(_mm256_setzero_si256(), low, a->low), high, a->high), start);
}

static ALWAYS_INLINE struct q8x2 load_q8x2(enum quant_type type, struct cpu_q8 x, size_t b, const size_t count)
{
    __m256i first = _mm256_loadu_si256((const __m256i *)(x.q + b * BLOCK)), second = _mm256_setzero_si256();
    if (count > 1) second = _mm256_loadu_si256((const __m256i *)(x.q + (b + 1) * BLOCK));
    struct q8x2 a = {.low = _mm256_permute2x128_si256(first, second, 0x20),
                     .high = _mm256_permute2x128_si256(first, second, 0x31),
                     .start = _mm256_setzero_si256(),
                     .d = spread2(x.d + b, count),
                     .sum = spread2(x.sum + b, count)};
    if (type == QUANT_Q4_0) {
        const __m256i eight = _mm256_set1_epi8(8);
        a.start = _mm256_sub_epi32(a.start, dot_two(eight, eight, a.start, &a));
    }
    return a;
}

/* What two blocks of up to four rows start with: lane r the first block's f16 of row r, lane 4 + r the second's. */
struct q4_halves {
    __m256 d, min;
};

static ALWAYS_INLINE uint32_t word_at(const uint8_t *p)
{
    uint32_t word;
    memcpy(&word, p, sizeof word);
    return word;
}

static ALWAYS_INLINE __m128i words_of_rows(const size_t rows, const uint8_t *w, size_t row_bytes)
{
    if (rows == 1) return _mm_cvtsi32_si128((int)word_at(w));
    return _mm_setr_epi32((int)word_at(w), (int)word_at(w + row_bytes), (int)word_at(w + 2 * row_bytes),
                          (int)word_at(w + 3 * row_bytes));
}

static ALWAYS_INLINE struct q4_halves load_halves(enum quant_type type, const size_t rows, const uint8_t *w,
                                                  size_t row_bytes, const size_t count)
{
    const size_t bytes = type == QUANT_Q4_0 ? 18 : 20;
    const __m128i low = _mm_set1_epi32(0xFFFF);
    __m128i first = words_of_rows(rows, w, row_bytes), second = _mm_setzero_si128();
    if (count > 1) second = words_of_rows(rows, w + bytes, row_bytes);
    __m128i d = _mm_packus_epi32(_mm_and_si128(first, low), _mm_and_si128(second, low));
    struct q4_halves h = {_mm256_cvtph_ps(d), _mm256_setzero_ps()};
    if (type == QUANT_Q4_1)
        h.min = _mm256_cvtph_ps(_mm_packus_epi32(_mm_srli_epi32(first, 16), _mm_srli_epi32(second, 16)));
    return h;
}

/* Σ code · q of two blocks of one row, exact. */
static ALWAYS_INLINE __m256 dot_q4(enum quant_type type, const uint8_t *w, const struct q8x2 *a, const size_t count)
{
    const uint8_t *codes = w + (type == QUANT_Q4_0 ? 2 : 4);
    const __m256i mask = _mm256_set1_epi8(15);
    __m128i first = _mm_loadu_si128((const __m128i *)codes), second = _mm_setzero_si128();
    if (count > 1) second = _mm_loadu_si128((const __m128i *)(codes + (type == QUANT_Q4_0 ? 18 : 20)));
    __m256i nibbles = _mm256_set_m128i(second, first);
    __m256i low = _mm256_and_si256(nibbles, mask), high = _mm256_and_si256(_mm256_srli_epi16(nibbles, 4), mask);
    return _mm256_cvtepi32_ps(dot_two(low, high, a->start, a));
}

/* Lane r of either half in all lanes of that half. */
static ALWAYS_INLINE __m256 lane_of_row(__m256 v, const size_t r)
{
    return r == 0   ? _mm256_permute_ps(v, 0x00)
           : r == 1 ? _mm256_permute_ps(v, 0x55)
           : r == 2 ? _mm256_permute_ps(v, 0xAA)
                    : _mm256_permute_ps(v, 0xFF);
}

static ALWAYS_INLINE void step_q4(enum quant_type type, const size_t rows, __m256 *sum, __m256 *mins, const uint8_t *w,
                                  size_t row_bytes, struct cpu_q8 x, size_t b, const size_t count)
{
    const struct q8x2 a = load_q8x2(type, x, b, count);
    const struct q4_halves h = load_halves(type, rows, w, row_bytes, count);
    const __m256 scales = _mm256_mul_ps(h.d, a.d);
    if (type == QUANT_Q4_1) *mins = _mm256_fmadd_ps(h.min, a.sum, *mins);
#pragma GCC unroll 4
    for (size_t r = 0; r < rows; r++)
        sum[r] = _mm256_fmadd_ps(dot_q4(type, w + r * row_bytes, &a, count), lane_of_row(scales, r), sum[r]);
}

/* y[r] = Σ of the lanes of sum[r], in pairs, plus lanes r and 4 + r of mins; the same for one row as for four. */
static ALWAYS_INLINE void store_q4(float *y, const size_t rows, const __m256 *sum, __m256 mins)
{
    __m256 low = _mm256_hadd_ps(sum[0], sum[rows > 1 ? 1 : 0]);
    __m256 high = rows > 1 ? _mm256_hadd_ps(sum[2], sum[3]) : low;
    __m256 all = _mm256_add_ps(_mm256_hadd_ps(low, high), mins);
    __m128 total = _mm_add_ps(_mm256_castps256_ps128(all), _mm256_extractf128_ps(all, 1));
    if (rows > 1)
        _mm_storeu_ps(y, total);
    else
        _mm_store_ss(y, total);
}

static ALWAYS_INLINE void rows_q4(enum quant_type type, const size_t rows, float *y, const uint8_t *w, size_t row_bytes,
                                  struct cpu_q8 x, size_t blocks)
{
    const size_t bytes = type == QUANT_Q4_0 ? 18 : 20;
    __m256 sum[Q4_ROWS], mins = _mm256_setzero_ps();
#pragma GCC unroll 4
    for (size_t r = 0; r < rows; r++) sum[r] = _mm256_setzero_ps();
    size_t b = 0;
    for (; b + 2 <= blocks; b += 2) {
        prefetch(prefetch_from(w, rows, row_bytes, rows * b * bytes), rows * 2 * bytes);
        step_q4(type, rows, sum, &mins, w + b * bytes, row_bytes, x, b, 2);
    }
    if (b < blocks) step_q4(type, rows, sum, &mins, w + b * bytes, row_bytes, x, b, 1);
    store_q4(y, rows, sum, mins);
}

#define GEMV_Q4(name, type)                                                                                            \
    static void name(float *y, const struct quant_matrix *w, size_t row, size_t rows, struct cpu_q8 x)                 \
    {                                                                                                                  \
        const uint8_t *data = w->data + row * w->row_bytes;                                                            \
        size_t i = 0, bytes = w->row_bytes, blocks = w->cols / BLOCK;                                                  \
        for (; i + Q4_ROWS <= rows; i += Q4_ROWS) rows_q4(type, Q4_ROWS, y + i, data + i * bytes, bytes, x, blocks);   \
        for (; i < rows; i++) rows_q4(type, 1, y + i, data + i * bytes, bytes, x, blocks);                             \
    }
GEMV_Q4(gemv_q4_0, QUANT_Q4_0)
GEMV_Q4(gemv_q4_1, QUANT_Q4_1)
