/* gemv_e4m3.h — rows of FP8 and mxfp8, whose codes are numbers, times one row of activations in f32; the body of
 * gemv_e4m3_avx2.c and gemv_e4m3_avx512.c.
 *
 * E4M3's bits, shifted, are an f16 of a 256th of the number. A group is added up, then scaled. */
#include "backend/cpu/unpack_avx2.h"
#include "quant/planes.h"

#ifdef __AVX512F__
enum { LANES = 16 };
typedef __m512 vecf;
#define V(op) _mm512_##op
static ALWAYS_INLINE vecf numbers(const uint8_t *p)
{
    const __m256i sign = _mm256_set1_epi16((short)0x8000), size = _mm256_set1_epi16(0x3F80);
    __m256i x = _mm256_cvtepu8_epi16(_mm_loadu_si128((const __m128i *)p));
    x = _mm256_or_si256(_mm256_and_si256(_mm256_slli_epi16(x, 8), sign),
                        _mm256_and_si256(_mm256_slli_epi16(x, 7), size));
    return _mm512_cvtph_ps(x);
}
#define add_lanes _mm512_reduce_add_ps
#else
enum { LANES = 8 };
typedef __m256 vecf;
#define V(op)     _mm256_##op
static ALWAYS_INLINE vecf numbers(const uint8_t *p)
{
    const __m128i sign = _mm_set1_epi16((short)0x8000), size = _mm_set1_epi16(0x3F80);
    __m128i x = _mm_cvtepu8_epi16(_mm_loadl_epi64((const __m128i *)p));
    x = _mm_or_si128(_mm_and_si128(_mm_slli_epi16(x, 8), sign), _mm_and_si128(_mm_slli_epi16(x, 7), size));
    return _mm256_cvtph_ps(x);
}
#define add_lanes sum8
#endif

/* Whether 0x7F or 0xFF, which are NaN, is among n bytes, a multiple of 32. */
static ALWAYS_INLINE bool has_nan(const uint8_t *p, size_t n)
{
    const __m256i nan = _mm256_set1_epi8(0x7F);
    __m256i found = _mm256_setzero_si256();
    for (size_t i = 0; i < n; i += 32) {
        __m256i x = _mm256_and_si256(_mm256_loadu_si256((const __m256i *)(p + i)), nan);
        found = _mm256_or_si256(found, _mm256_cmpeq_epi8(x, nan));
    }
    return !_mm256_testz_si256(found, found);
}

/* Σ of 32 columns, in 256ths. */
static ALWAYS_INLINE vecf block(const uint8_t *p, const float *x)
{
    vecf sum = V(mul_ps)(numbers(p), V(loadu_ps)(x));
#pragma GCC unroll 4
    for (size_t k = 1; k < 32 / LANES; k++) sum = V(fmadd_ps)(numbers(p + LANES * k), V(loadu_ps)(x + LANES * k), sum);
    return sum;
}

/* Σ of n columns, a multiple of 32. */
static ALWAYS_INLINE vecf products(const uint8_t *p, const float *x, size_t n)
{
    vecf sum = block(p, x);
    for (size_t i = 32; i < n; i += 32) sum = V(add_ps)(sum, block(p + i, x + i));
    return sum;
}

static float dot(const struct quant_matrix *w, size_t row, const float *x)
{
    const struct quant_planes *p = &w->planes;
    const uint8_t *codes = w->data + row * w->row_bytes;
    size_t flat = row * w->cols, group = flat / p->group, left = p->group - flat % p->group;
    vecf sum = V(setzero_ps)();
    if (has_nan(codes, w->cols)) return __builtin_nanf("");
    for (size_t col = 0, n; col < w->cols; col += n, group++, left = p->group) {
        n = left < w->cols - col ? left : w->cols - col;
        sum =
            V(fmadd_ps)(products(codes + col, x + col, n), V(set1_ps)(scale_at(p->scale_type, p->scales, group)), sum);
    }
    return add_lanes(sum) * 256 * p->factor;
}

/* Only of quant_in_blocks. */
static void gemv(float *y, const struct quant_matrix *w, size_t row, size_t rows, const float *x)
{
    for (size_t i = 0; i < rows; i++) y[i] = dot(w, row + i, x);
}
