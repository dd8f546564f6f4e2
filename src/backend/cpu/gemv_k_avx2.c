/* gemv_k_avx2.c — a k-quantised matrix times one row of int8 activations with AVX2.
 *
 * Owns: rows of Q4_K, Q5_K and Q6_K, four at a time so that they share the activations, a super-block of 256 weights a
 * step: bytes times bytes by vpmaddubsw (no pair saturates: 2 · 63 · 127, less 2 · 32 · 127, fits in 16 bits), each
 * block's sum scaled into f32 lanes.
 * A row's lanes do not know its neighbours, so its bits do not depend on how rows are grouped. */
#include "backend/cpu/prefetch.h"
#include "backend/cpu/unpack_k_avx2.h"

enum { ROWS = 4, BLOCKS = K_SUPER / BLOCK };

static ALWAYS_INLINE __m256i load32(const void *p)
{
    return _mm256_loadu_si256((const __m256i *)p);
}

static ALWAYS_INLINE __m256 sum_pairs(__m256i pairs)
{
    return _mm256_cvtepi32_ps(_mm256_madd_epi16(pairs, _mm256_set1_epi16(1)));
}

/* ---- Q4_K, Q5_K: blocks of 32 with scale and minimum ---------------------------------------------------------- */

/* d·s of the eight blocks, dmin·m of the eight blocks. */
static ALWAYS_INLINE void load_scales(const uint8_t *super, __m256 *d, __m256 *min)
{
    struct k_scales k = k_scales(super);
    __m128i bytes = _mm_set_epi64x((long long)k.last, (long long)k.first);
    __m128i s = _mm_shuffle_epi32(bytes, 0x08), m = _mm_shuffle_epi32(bytes, 0x0D);
    *d = _mm256_mul_ps(_mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(s)), _mm256_set1_ps(load_half(super)));
    *min = _mm256_mul_ps(_mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(m)), _mm256_set1_ps(load_half(super + 2)));
}

static ALWAYS_INLINE void step_min(enum quant_type type, __m256 *sum, const uint8_t *super, struct cpu_q8 x)
{
    const uint8_t *nibbles = super + (type == QUANT_Q4_K ? Q4_K_NIBBLES : Q5_K_NIBBLES);
    const __m256i low = _mm256_set1_epi8(15);
    __m256 d, min;
    __m256i fifths = type == QUANT_Q5_K ? load32(super + Q5_K_HIGH) : _mm256_setzero_si256();
    load_scales(super, &d, &min);
    d = _mm256_mul_ps(d, _mm256_loadu_ps(x.d));
    *sum = _mm256_fnmadd_ps(min, _mm256_loadu_ps(x.sum), *sum);
    for (int j = 0; j < BLOCKS; j++) {
        __m256i codes = load32(nibbles + j / 2 * 32);
        codes = _mm256_and_si256(j % 2 ? _mm256_srli_epi16(codes, 4) : codes, low);
        if (type == QUANT_Q5_K) {
            const __m256i bit = _mm256_set1_epi8((char)(1 << j));
            __m256i set = _mm256_cmpeq_epi8(_mm256_and_si256(fifths, bit), bit);
            codes = _mm256_or_si256(codes, _mm256_and_si256(set, _mm256_set1_epi8(16)));
        }
        __m256 dot = sum_pairs(_mm256_maddubs_epi16(codes, load32(x.q + j * BLOCK)));
        *sum = _mm256_fmadd_ps(dot, _mm256_permutevar8x32_ps(d, _mm256_set1_epi32(j)), *sum);
    }
}

/* ---- Q6_K: blocks of 16 with a scale --------------------------------------------------------------------------- */

/* The 32 codes of quarter j. */
static ALWAYS_INLINE __m256i codes_q6(const uint8_t *super, int j)
{
    __m256i nibbles = load32(super + j / 4 * 64 + j % 2 * 32), high = load32(super + Q6_K_HIGH + j / 4 * 32);
    if (j % 4 > 1) nibbles = _mm256_srli_epi16(nibbles, 4);
    high = j % 4 < 2 ? _mm256_slli_epi16(high, 4 - j % 4 * 2) : _mm256_srli_epi16(high, j % 4 * 2 - 4);
    return _mm256_or_si256(_mm256_and_si256(nibbles, _mm256_set1_epi8(15)),
                           _mm256_and_si256(high, _mm256_set1_epi8(48)));
}

/* offset: 32 · q of the super-block, added in pairs. */
static ALWAYS_INLINE void step_q6(__m256 *sum, const uint8_t *super, struct cpu_q8 x, const __m256i offset[BLOCKS])
{
    const __m256i halves = _mm256_setr_epi32(0, 0, 0, 0, 1, 1, 1, 1);
    __m128i bytes = _mm_loadu_si128((const __m128i *)(super + Q6_K_SCALES));
    __m256 d = _mm256_set1_ps(load_half(super + Q6_K_D)), dx = _mm256_loadu_ps(x.d);
    __m256 scales[2]; /* d·s·dx of blocks 0 .. 7 and 8 .. 15 */
    for (int h = 0; h < 2; h++) {
        __m256 s = _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(h ? _mm_srli_si128(bytes, 8) : bytes));
        const __m256i twice =
            _mm256_setr_epi32(4 * h, 4 * h, 4 * h + 1, 4 * h + 1, 4 * h + 2, 4 * h + 2, 4 * h + 3, 4 * h + 3);
        scales[h] = _mm256_mul_ps(_mm256_mul_ps(s, d), _mm256_permutevar8x32_ps(dx, twice));
    }
    for (int j = 0; j < BLOCKS; j++) {
        __m256i pairs = _mm256_maddubs_epi16(codes_q6(super, j), load32(x.q + j * BLOCK));
        __m256i spread = _mm256_add_epi32(halves, _mm256_set1_epi32(j % 4 * 2));
        __m256 dot = sum_pairs(_mm256_sub_epi16(pairs, offset[j]));
        *sum = _mm256_fmadd_ps(dot, _mm256_permutevar8x32_ps(scales[j / 4], spread), *sum);
    }
}

static ALWAYS_INLINE void rows_k(enum quant_type type, const size_t rows, float *y, const uint8_t *w, size_t row_bytes,
                                 struct cpu_q8 x, size_t supers)
{
    const size_t bytes = type == QUANT_Q4_K ? Q4_K_BYTES : type == QUANT_Q5_K ? Q5_K_BYTES : Q6_K_BYTES;
    __m256 sum[ROWS];
    for (size_t r = 0; r < rows; r++) sum[r] = _mm256_setzero_ps();
    for (size_t s = 0; s < supers; s++) {
        const struct cpu_q8 at = {x.q + s * K_SUPER, x.d + s * BLOCKS, x.sum + s * BLOCKS};
        __m256i offset[BLOCKS];
        prefetch(prefetch_from(w, rows, row_bytes, rows * s * bytes), rows * bytes);
        for (int j = 0; type == QUANT_Q6_K && j < BLOCKS; j++)
            offset[j] = _mm256_maddubs_epi16(_mm256_set1_epi8(32), load32(at.q + j * BLOCK));
        for (size_t r = 0; r < rows; r++)
            if (type == QUANT_Q6_K)
                step_q6(sum + r, w + r * row_bytes + s * bytes, at, offset);
            else
                step_min(type, sum + r, w + r * row_bytes + s * bytes, at);
    }
    for (size_t r = 0; r < rows; r++) y[r] = sum8(sum[r]);
}

#define GEMV_K(name, type)                                                                                             \
    static void name(float *y, const struct quant_matrix *w, size_t row, size_t rows, struct cpu_q8 x)                 \
    {                                                                                                                  \
        const uint8_t *data = w->data + row * w->row_bytes;                                                            \
        size_t i = 0, bytes = w->row_bytes, supers = w->cols / K_SUPER;                                                \
        for (; i + ROWS <= rows; i += ROWS) rows_k(type, ROWS, y + i, data + i * bytes, bytes, x, supers);             \
        for (; i < rows; i++) rows_k(type, 1, y + i, data + i * bytes, bytes, x, supers);                              \
    }
GEMV_K(gemv_q4_k, QUANT_Q4_K)
GEMV_K(gemv_q5_k, QUANT_Q5_K)
GEMV_K(gemv_q6_k, QUANT_Q6_K)

void gemv_k_avx2(struct cpu_kernels *t)
{
    t->gemv_q8[QUANT_Q4_K] = gemv_q4_k;
    t->gemv_q8[QUANT_Q5_K] = gemv_q5_k;
    t->gemv_q8[QUANT_Q6_K] = gemv_q6_k;
}
