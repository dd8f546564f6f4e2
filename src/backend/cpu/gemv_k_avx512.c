/* gemv_k_avx512.c — a k-quantised matrix times one row of int8 activations with AVX-512 VNNI.
 *
 * Owns: rows of Q4_K, Q5_K and Q6_K, four at a time so that they share the activations, a super-block of 256 weights a
 * step: unsigned codes times int8 by vpdpbusd, each block's sum scaled into f32 lanes.
 * A row's lanes do not know its neighbours, so its bits do not depend on how rows are grouped. */
#include "backend/cpu/prefetch.h"
#include "backend/cpu/sums_avx512.h"
#include "backend/cpu/unpack_k_avx512.h"

/* ---- Q4_K, Q5_K: blocks of 32 with scale and minimum ---------------------------------------------------------- */

/* The activations of a super-block as its codes are dealt out: 128-bit lane k of even[i] holds half i (16 bytes) of
 * block 2k, of odd[i] half i of block 2k + 1. */
struct min_activations {
    __m512i even[2], odd[2];
    __m512 d_sum; /* d and sum of block 0, d and sum of block 1 ... */
};

static ALWAYS_INLINE struct min_activations load_min(struct cpu_q8 x, size_t super)
{
    const __m512i pairs = _mm512_setr_epi32(0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
    struct min_activations a;
    __m512i q[4], t[4];
    for (int i = 0; i < 4; i++) q[i] = _mm512_loadu_si512(x.q + super * K_SUPER + 64 * i);
    for (int i = 0; i < 2; i++) { /* t[2i]: blocks 4i and 4i + 2, t[2i + 1]: 4i + 1 and 4i + 3 */
        t[2 * i] = _mm512_shuffle_i64x2(q[2 * i], q[2 * i + 1], 0x44);
        t[2 * i + 1] = _mm512_shuffle_i64x2(q[2 * i], q[2 * i + 1], 0xEE);
    }
    a.even[0] = _mm512_shuffle_i64x2(t[0], t[2], 0x88), a.even[1] = _mm512_shuffle_i64x2(t[0], t[2], 0xDD);
    a.odd[0] = _mm512_shuffle_i64x2(t[1], t[3], 0x88), a.odd[1] = _mm512_shuffle_i64x2(t[1], t[3], 0xDD);
    __m512 d = _mm512_castps256_ps512(_mm256_loadu_ps(x.d + super * 8));
    __m512 sum = _mm512_castps256_ps512(_mm256_loadu_ps(x.sum + super * 8));
    a.d_sum = _mm512_permutex2var_ps(d, pairs, sum);
    return a;
}

/* d·s of block 0, dmin·m of block 0, d·s of block 1 ... */
static ALWAYS_INLINE __m512 scale_pairs(const uint8_t *super)
{
    const __m128i order = _mm_setr_epi8(0, 4, 1, 5, 2, 6, 3, 7, 8, 12, 9, 13, 10, 14, 11, 15);
    struct k_scales s = k_scales(super);
    __m128i bytes = _mm_shuffle_epi8(_mm_set_epi64x((long long)s.last, (long long)s.first), order);
    int halves;
    memcpy(&halves, super, sizeof halves);
    return _mm512_mul_ps(_mm512_cvtepi32_ps(_mm512_cvtepu8_epi32(bytes)), _mm512_cvtph_ps(_mm256_set1_epi32(halves)));
}

/* The fifth bits of half i: 16 is added to the codes of blocks j, j + 2, j + 4, j + 6. */
static ALWAYS_INLINE __m512i add_fifths(__m512i codes, const uint8_t *super, int i, int j)
{
    const __m512i lane = _mm512_setr_epi32(0, 0, 0, 0, 2, 2, 2, 2, 4, 4, 4, 4, 6, 6, 6, 6);
    const __m512i bits = _mm512_sllv_epi32(_mm512_set1_epi32(0x01010101 << j), lane);
    __m512i fifths = _mm512_broadcast_i32x4(_mm_loadu_si128((const __m128i *)(super + Q5_K_HIGH + 16 * i)));
    return _mm512_mask_add_epi8(codes, _mm512_test_epi8_mask(fifths, bits), codes, _mm512_set1_epi8(16));
}

static ALWAYS_INLINE void step_min(enum quant_type type, __m512 *sum, __m512 *mins, const uint8_t *super,
                                   const struct min_activations *a)
{
    const __m512i mask = _mm512_set1_epi8(15);
    const uint8_t *nibbles = super + (type == QUANT_Q4_K ? Q4_K_NIBBLES : Q5_K_NIBBLES);
    __m512i first = _mm512_loadu_si512(nibbles), last = _mm512_loadu_si512(nibbles + 64);
    const __m512i half[2] = {_mm512_shuffle_i64x2(first, last, 0x88), _mm512_shuffle_i64x2(first, last, 0xDD)};
    __m512i even = _mm512_setzero_si512(), odd = even; /* four lanes a block */
    for (int i = 0; i < 2; i++) {
        __m512i low = _mm512_and_si512(half[i], mask), high = _mm512_and_si512(_mm512_srli_epi16(half[i], 4), mask);
        if (type == QUANT_Q5_K) low = add_fifths(low, super, i, 0), high = add_fifths(high, super, i, 1);
        even = _mm512_dpbusd_epi32(even, low, a->even[i]);
        odd = _mm512_dpbusd_epi32(odd, high, a->odd[i]);
    }
    /* two lanes of block 0, two of block 1 ... */
    __m512i dot = _mm512_add_epi32(_mm512_unpacklo_epi64(even, odd), _mm512_unpackhi_epi64(even, odd));
    __m512 pairs = scale_pairs(super), scales = _mm512_mul_ps(pairs, a->d_sum);
    *mins = _mm512_fmadd_ps(pairs, a->d_sum, *mins);
    *sum = _mm512_fmadd_ps(_mm512_cvtepi32_ps(dot), _mm512_moveldup_ps(scales), *sum);
}

static ALWAYS_INLINE void rows_min(enum quant_type type, const size_t rows, float *y, const uint8_t *w,
                                   size_t row_bytes, struct cpu_q8 x, size_t supers)
{
    const size_t bytes = type == QUANT_Q4_K ? Q4_K_BYTES : Q5_K_BYTES;
    __m512 sum[ROWS], mins[ROWS]; /* the odd lanes of mins count */
    for (size_t r = 0; r < rows; r++) sum[r] = mins[r] = _mm512_setzero_ps();
    for (size_t s = 0; s < supers; s++) {
        const struct min_activations a = load_min(x, s);
        prefetch(prefetch_from(w, rows, row_bytes, rows * s * bytes), rows * bytes);
        for (size_t r = 0; r < rows; r++) step_min(type, sum + r, mins + r, w + r * row_bytes + s * bytes, &a);
    }
    for (size_t r = 0; r < rows; r++) sum[r] = _mm512_mask_sub_ps(sum[r], 0xAAAA, sum[r], mins[r]);
    store_folded(y, rows, sum);
}

/* ---- Q6_K: blocks of 16 with a scale --------------------------------------------------------------------------- */

struct q6_activations {
    __m512i q[4], offset[4]; /* quarters 2i, 2i + 1; −32 times the sum of what a lane adds up */
    __m512 d;                /* of block 0, block 1 ... of 16 */
};

static ALWAYS_INLINE struct q6_activations load_q6(struct cpu_q8 x, size_t super)
{
    const __m512i twice = _mm512_setr_epi32(0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 6, 7, 7);
    const __m512i zero = _mm512_setzero_si512();
    struct q6_activations a;
    for (int i = 0; i < 4; i++) {
        a.q[i] = _mm512_loadu_si512(x.q + super * K_SUPER + 64 * i);
        a.offset[i] = _mm512_sub_epi32(zero, _mm512_dpbusd_epi32(zero, _mm512_set1_epi8(32), a.q[i]));
    }
    a.d = _mm512_permutexvar_ps(twice, _mm512_castps256_ps512(_mm256_loadu_ps(x.d + super * 8)));
    return a;
}

/* Low four bits from `nibbles`, bits 4 and 5 from `high`. */
static ALWAYS_INLINE __m512i join_q6(__m512i nibbles, __m512i high)
{
    const __m512i low = _mm512_set1_epi8(15), all = _mm512_set1_epi8(63);
    return _mm512_and_si512(_mm512_ternarylogic_epi32(low, nibbles, high, 0xCA), all);
}

static ALWAYS_INLINE __m512 step_q6(__m512 sum, const uint8_t *super, const struct q6_activations *a)
{
    const __m512i left = _mm512_setr_epi32(4, 4, 4, 4, 4, 4, 4, 4, 2, 2, 2, 2, 2, 2, 2, 2);
    const __m512i right = _mm512_setr_epi32(0, 0, 0, 0, 0, 0, 0, 0, 2, 2, 2, 2, 2, 2, 2, 2);
    __m128i scales = _mm_loadu_si128((const __m128i *)(super + Q6_K_SCALES));
    __m512 d = _mm512_mul_ps(_mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(scales)), broadcast_half(super + Q6_K_D));
    d = _mm512_mul_ps(d, a->d);
    for (int h = 0; h < 2; h++) {
        __m512i nibbles = _mm512_loadu_si512(super + 64 * h);
        __m256i bits = _mm256_loadu_si256((const __m256i *)(super + Q6_K_HIGH + 32 * h));
        __m512i high = _mm512_broadcast_i64x4(bits);
        __m512i codes[2] = {join_q6(nibbles, _mm512_sllv_epi32(high, left)),
                            join_q6(_mm512_srli_epi16(nibbles, 4), _mm512_srlv_epi32(high, right))};
        for (int i = 0; i < 2; i++) {
            int k = 2 * h + i, b = 4 * k; /* four blocks */
            __m512i spread = _mm512_setr_epi32(b, b, b, b, b + 1, b + 1, b + 1, b + 1, b + 2, b + 2, b + 2, b + 2,
                                               b + 3, b + 3, b + 3, b + 3);
            __m512 dot = _mm512_cvtepi32_ps(_mm512_dpbusd_epi32(a->offset[k], codes[i], a->q[k]));
            sum = _mm512_fmadd_ps(dot, _mm512_permutexvar_ps(spread, d), sum);
        }
    }
    return sum;
}

static ALWAYS_INLINE void rows_q6(enum quant_type type, const size_t rows, float *y, const uint8_t *w, size_t row_bytes,
                                  struct cpu_q8 x, size_t supers)
{
    __m512 sum[ROWS];
    for (size_t r = 0; r < rows; r++) sum[r] = _mm512_setzero_ps();
    for (size_t s = 0; s < supers; s++) {
        const struct q6_activations a = load_q6(x, s);
        prefetch(prefetch_from(w, rows, row_bytes, rows * s * Q6_K_BYTES), rows * Q6_K_BYTES);
        for (size_t r = 0; r < rows; r++) sum[r] = step_q6(sum[r], w + r * row_bytes + s * Q6_K_BYTES, &a);
    }
    store_folded(y, rows, sum);
}

#define GEMV_K(name, body, type)                                                                                       \
    static void name(float *y, const struct quant_matrix *w, size_t row, size_t rows, struct cpu_q8 x)                 \
    {                                                                                                                  \
        const uint8_t *data = w->data + row * w->row_bytes;                                                            \
        size_t i = 0, bytes = w->row_bytes, supers = w->cols / K_SUPER;                                                \
        for (; i + ROWS <= rows; i += ROWS) body(type, ROWS, y + i, data + i * bytes, bytes, x, supers);               \
        for (; i < rows; i++) body(type, 1, y + i, data + i * bytes, bytes, x, supers);                                \
    }
GEMV_K(gemv_q4_k, rows_min, QUANT_Q4_K)
GEMV_K(gemv_q5_k, rows_min, QUANT_Q5_K)
GEMV_K(gemv_q6_k, rows_q6, QUANT_Q6_K)

void gemv_k_avx512(struct cpu_kernels *t)
{
    t->gemv_q8[QUANT_Q4_K] = gemv_q4_k;
    t->gemv_q8[QUANT_Q5_K] = gemv_q5_k;
    t->gemv_q8[QUANT_Q6_K] = gemv_q6_k;
}
