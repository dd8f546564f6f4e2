/* gemv_e4m3.h — rows of FP8 and mxfp8, whose codes are numbers, times one row of activations in f32; the body of
 * gemv_e4m3_avx2.c and gemv_e4m3_avx512.c.
 *
 * E4M3's bits, shifted, are an f16 of a 256th of the number. A step of 32 columns is added up, then scaled. Four rows
 * share the activations; a row's chain does not know its neighbours. */
#include "backend/cpu/code_scales.h"
#include "backend/cpu/prefetch.h"

enum { ROWS = 4, LANES = sizeof(vecf) / sizeof(float), VECS = BLOCK / LANES };

/* The numbers of a step, in 256ths. */
static ALWAYS_INLINE void numbers(vecf n[VECS], const uint8_t *codes)
{
    const vec keep = V(set1_epi16)((short)0xBF80); /* a sign-extended byte's sign and size, seven bits up */
#pragma GCC unroll 2
    for (size_t i = 0; i < VECS; i += 2) {
#ifdef __AVX512VL__
        vec x = _mm512_cvtepi8_epi16(load32(codes));
        x = _mm512_and_si512(_mm512_slli_epi16(x, 7), keep);
        n[i] = _mm512_cvtph_ps(_mm512_castsi512_si256(x)), n[i + 1] = _mm512_cvtph_ps(_mm512_extracti64x4_epi64(x, 1));
#else
        vec x = _mm256_cvtepi8_epi16(load16(codes + LANES * i));
        x = _mm256_and_si256(_mm256_slli_epi16(x, 7), keep);
        n[i] = _mm256_cvtph_ps(_mm256_castsi256_si128(x)), n[i + 1] = _mm256_cvtph_ps(_mm256_extracti128_si256(x, 1));
#endif
    }
}

/* The largest of the codes with their signs set: 0xFF if one of them, 0x7F or 0xFF, is NaN. */
static ALWAYS_INLINE __m256i most_of(__m256i most, const uint8_t *codes, size_t steps)
{
    const __m256i sign = _mm256_set1_epi8((char)0x80);
    for (size_t j = 0; j < steps; j++) most = _mm256_max_epu8(most, _mm256_or_si256(load32(codes + BLOCK * j), sign));
    return most;
}
static ALWAYS_INLINE bool has_nan(__m256i most)
{
    return _mm256_movemask_epi8(_mm256_cmpeq_epi8(most, _mm256_set1_epi8((char)0xFF)));
}

static ALWAYS_INLINE void add_step(vecf sum[ROWS], const uint8_t *const *codes, const float (*d)[STEPS], size_t j,
                                   const float *x)
{
#pragma GCC unroll 4
    for (size_t r = 0; r < ROWS; r++) {
        vecf n[VECS];
        numbers(n, codes[r] + BLOCK * j);
        vecf step = V(mul_ps)(n[0], V(loadu_ps)(x));
#pragma GCC unroll 4
        for (size_t i = 1; i < VECS; i++) step = V(fmadd_ps)(n[i], V(loadu_ps)(x + LANES * i), step);
        sum[r] = V(fmadd_ps)(step, V(set1_ps)(d[r][j]), sum[r]);
    }
}

static ALWAYS_INLINE float add_lanes(vecf x)
{
#ifdef __AVX512VL__
    return _mm512_reduce_add_ps(x);
#else
    return sum8(x);
#endif
}

/* ROWS rows; of fewer the last one stands for those missing, and they are not stored. */
static ALWAYS_INLINE void few_rows(enum quant_type type, float *y, const struct quant_matrix *w, struct coded_rows *all,
                                   size_t rows, const float *x)
{
    const size_t blocks = w->cols / BLOCK;
    const uint8_t *data = all->next.chunk;
    struct coded_row row[ROWS];
    vecf sum[ROWS];
    __m256i most[ROWS];
    for (size_t r = 0; r < ROWS; r++) {
        row[r] = r < rows ? next_row(type, all) : row[r - 1];
        sum[r] = V(setzero_ps)(), most[r] = _mm256_setzero_si256();
    }
    for (size_t b = 0; b < blocks; b += STEPS, x += CHUNK) {
        const size_t steps = blocks - b < STEPS ? blocks - b : STEPS;
        const uint8_t *codes[ROWS];
        float d[ROWS][STEPS];
        prefetch(prefetch_from(data, ROWS, w->row_bytes, ROWS * b * BLOCK), ROWS * CHUNK);
        for (size_t r = 0; r < ROWS; r++) {
            codes[r] = row[r].chunk;
            _mm256_storeu_ps(d[r], next_scales(type, w, row + r, steps).d[0]);
            most[r] = most_of(most[r], codes[r], steps);
        }
        for (size_t j = 0; j < steps; j++) add_step(sum, codes, d, j, x + BLOCK * j);
    }
    for (size_t r = 0; r < rows; r++) y[r] = has_nan(most[r]) ? __builtin_nanf("") : add_lanes(sum[r]) * 256;
}

/* Only of quant_in_blocks. */
#define GEMV(type)                                                                                                     \
    static void gemv_##type(float *y, const struct quant_matrix *w, size_t row, size_t rows, const float *x)           \
    {                                                                                                                  \
        struct coded_rows all = coded_rows_from(QUANT_##type, w, row, 0);                                              \
        for (size_t i = 0; i < rows; i += ROWS)                                                                        \
            few_rows(QUANT_##type, y + i, w, &all, rows - i < ROWS ? rows - i : ROWS, x);                              \
    }
GEMV(MXFP8)
GEMV(FP8)

static void fill_gemv_e4m3(struct cpu_kernels *t)
{
    t->gemv_f32[QUANT_MXFP8] = gemv_MXFP8, t->gemv_f32[QUANT_FP8] = gemv_FP8;
}
