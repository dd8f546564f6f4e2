/* gemm_q8_k_avx2.h — k-quantised weights times many rows of int8 activations in 256 bits; the body of gemm_q8_k_avx2.c
 * and gemm_q8_k_avxvnni.c, which define STEPS (tile_q8_avx2.h).
 *
 * Owns: panels of Q4_K, Q5_K and Q6_K; the tile of Q6_K, which has a scale for 16 weights.
 * 8 columns of a super-block are turned from rows to words at a time: word k of the result holds four neighbouring
 * codes of each column. A super-block's scales are decoded once. */
#include "backend/cpu/k_scales.h"
#include "backend/cpu/prefetch.h"

enum { PARTS = 2 };
#include "backend/cpu/tile_q8_avx2.h"

enum { BLOCKS = K_SUPER / BLOCK };

/* ---- codes ------------------------------------------------------------------------------------------------- */

/* 32 bytes of each of 8 columns (zero past `rows`), turned to words. */
static ALWAYS_INLINE void turn_words(__m256 words[8], const uint8_t *data, size_t row_bytes, size_t rows)
{
#pragma GCC unroll 8
    for (size_t i = 0; i < 8; i++)
        words[i] =
            i < rows ? _mm256_loadu_ps((const float *)(const void *)(data + i * row_bytes)) : _mm256_setzero_ps();
    transpose8(words);
}

/* Four bits of each byte of `nibbles`, and above them what `mask` (bits 4 and 5) keeps of the bits of `high` from bit
 * `from` on. */
static ALWAYS_INLINE __m256i join(__m256i nibbles, __m256 high, const int from, const char mask)
{
    __m256i bits = _mm256_castps_si256(high);
    nibbles = _mm256_and_si256(nibbles, _mm256_set1_epi8(15));
    if (!mask) return nibbles;
    bits = from < 4 ? _mm256_slli_epi16(bits, 4 - from) : _mm256_srli_epi16(bits, from - 4);
    return _mm256_or_si256(nibbles, _mm256_and_si256(bits, _mm256_set1_epi8(mask)));
}

/* 32 bytes of nibbles are two blocks. */
static ALWAYS_INLINE void pack_codes(enum quant_type type, uint8_t *panel, const uint8_t *data, size_t row_bytes,
                                     size_t rows)
{
    const bool q6 = type == QUANT_Q6_K;
    const size_t nibbles = type == QUANT_Q4_K ? Q4_K_NIBBLES : type == QUANT_Q5_K ? Q5_K_NIBBLES : 0;
    const char mask = type == QUANT_Q4_K ? 0 : type == QUANT_Q5_K ? 0x10 : 0x30;
    __m256 words[8], high[8] = {_mm256_setzero_ps()};
    if (type == QUANT_Q5_K) turn_words(high, data + Q5_K_HIGH, row_bytes, rows);
#pragma GCC unroll 4
    for (size_t i = 0; i < 4; i++) {
        const size_t first = q6 ? i / 2 * 4 + i % 2 : 2 * i, second = first + (q6 ? 2 : 1);
        const int first_bit = (int)(q6 ? first % 4 * 2 : first), second_bit = (int)(q6 ? second % 4 * 2 : second);
        if (q6 && i % 2 == 0) turn_words(high, data + Q6_K_HIGH + 16 * i, row_bytes, rows);
        turn_words(words, data + nibbles + 32 * i, row_bytes, rows);
#pragma GCC unroll 8
        for (size_t k = 0; k < 8; k++) {
            __m256i word = _mm256_castps_si256(words[k]);
            __m256 bits = high[mask ? k : 0];
            uint8_t *to = panel + 4 * k * COLS;
            _mm256_store_si256((__m256i *)(to + first * RECORD), join(word, bits, first_bit, mask));
            _mm256_store_si256((__m256i *)(to + second * RECORD),
                               join(_mm256_srli_epi16(word, 4), bits, second_bit, mask));
        }
    }
}

/* ---- scales ------------------------------------------------------------------------------------------------ */

/* Of four blocks of a super-block with minimums d·s, then −dmin·m; of Q6_K d·s of four times two. half: the first four
 * or the last. */
static ALWAYS_INLINE __m256 load_scales(enum quant_type type, const uint8_t *super, size_t half)
{
    if (type == QUANT_Q6_K)
        return _mm256_mul_ps(_mm256_cvtepi32_ps(load_i8(super + Q6_K_SCALES + 8 * half)),
                             _mm256_set1_ps(load_half(super + Q6_K_D)));
    struct k_scales s = k_scales(super);
    __m128i bytes = _mm_set_epi64x(0, (long long)(half ? s.last : s.first));
    __m256 d = _mm256_set_m128(_mm_set1_ps(-load_half(super + 2)), _mm_set1_ps(load_half(super)));
    return _mm256_mul_ps(_mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(bytes)), d);
}

static ALWAYS_INLINE void pack_scales(enum quant_type type, uint8_t *panel, const uint8_t *data, size_t row_bytes,
                                      size_t rows)
{
    for (size_t half = 0; half < 2; half++) {
        __m256 s[8];
#pragma GCC unroll 8
        for (size_t i = 0; i < 8; i++)
            s[i] = i < rows ? load_scales(type, data + i * row_bytes, half) : _mm256_setzero_ps();
        transpose8(s);
#pragma GCC unroll 4
        for (size_t j = 0; j < 4; j++) {
            const size_t first = type == QUANT_Q6_K ? 2 * j : j, step = type == QUANT_Q6_K ? 1 : 4;
            float *to = (float *)(void *)(panel + (4 * half + j) * RECORD + COLS * BLOCK);
            _mm256_store_ps(to, s[first]);
            _mm256_store_ps(to + COLS, s[first + step]);
        }
    }
}

/* ---- panels ------------------------------------------------------------------------------------------------ */

/* What comes a few panels on is asked for in the order of memory. */
static ALWAYS_INLINE void pack(enum quant_type type, uint8_t *panel, const struct quant_matrix *w, size_t row,
                               size_t rows, size_t col, size_t cols)
{
    const size_t bytes = k_super_bytes(type), first = col / K_SUPER * bytes;
    const uint8_t *data = w->data + row * w->row_bytes + first;
    uintptr_t next = prefetch_from(w->data + row * w->row_bytes, COLS, w->row_bytes, COLS * first);
    for (size_t left = cols / K_SUPER; left; left--, data += bytes, panel += BLOCKS * RECORD)
        for (size_t n = 0; n < COLS; n += 8, next += 8 * bytes) {
            const uint8_t *from = data + n * w->row_bytes;
            size_t some = rows > n ? rows - n : 0;
            prefetch(next, 8 * bytes);
            pack_codes(type, panel + 4 * n, from, w->row_bytes, some);
            pack_scales(type, panel + 4 * n, from, w->row_bytes, some);
        }
}

#define PACKER(name, type)                                                                                             \
    static void name(uint8_t *panel, const struct quant_matrix *w, size_t row, size_t rows, size_t col, size_t cols)   \
    {                                                                                                                  \
        pack(type, panel, w, row, rows, col, cols);                                                                    \
    }
PACKER(pack_q4_k, QUANT_Q4_K)
PACKER(pack_q6_k, QUANT_Q6_K)

TILE(tile_q6_k, 32, false)

static void offer_k(struct cpu_kernels *t)
{
    t->pack_q8[QUANT_Q4_K] = pack_q4_k;
    t->pack_q8[QUANT_Q6_K] = pack_q6_k;
    t->tile_q8[QUANT_Q4_K] = t->tile_q8[QUANT_Q4_1];
    t->tile_q8[QUANT_Q6_K] = tile_q6_k;
}
