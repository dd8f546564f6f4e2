/* gemm_q8_k_avx512.c — k-quantised weights times many rows of int8 activations with AVX-512 VNNI.
 *
 * Owns: panels of Q4_K, Q5_K and Q6_K; the tile of Q6_K, which has a scale for 16 weights.
 * 16 columns of a super-block are turned from rows to words at a time: word k of the result holds four neighbouring
 * codes of each column. A super-block's scales are decoded once. */
#include "backend/cpu/k_scales.h"
#include "backend/cpu/prefetch.h"
#include "backend/cpu/tile_codes.h"

enum { PARTS = 2, HALF_MINS = 0 };
#include "backend/cpu/tile_q8_avx512.h"

enum { BLOCKS = K_SUPER / BLOCK };

/* ---- codes ------------------------------------------------------------------------------------------------- */

/* 64 bytes of each of 16 columns (zero past `rows`), turned to words. */
static ALWAYS_INLINE void load_words(__m512i words[16], const uint8_t *data, size_t row_bytes, size_t rows)
{
#pragma GCC unroll 16
    for (size_t i = 0; i < 16; i++)
        words[i] = i < rows ? _mm512_loadu_si512(data + i * row_bytes) : _mm512_setzero_si512();
    transpose16(words);
}

/* Four bits of each byte of `nibbles`, and above them what `mask` (bits 4 and 5) keeps of the bits of `high` from bit
 * `from` on. */
static ALWAYS_INLINE __m512i join(__m512i nibbles, __m512i high, const unsigned from, const char mask)
{
    nibbles = _mm512_and_si512(nibbles, _mm512_set1_epi8(15));
    if (!mask) return nibbles;
    high = from < 4 ? _mm512_slli_epi16(high, 4 - from) : _mm512_srli_epi16(high, from - 4);
    return _mm512_ternarylogic_epi32(nibbles, high, _mm512_set1_epi8(mask), 0xF8); /* nibbles | (high & mask) */
}

/* 64 bytes of nibbles are four blocks: words 0 .. 7 two of them, words 8 .. 15 the others. */
static ALWAYS_INLINE void pack_codes(enum quant_type type, uint8_t *panel, const uint8_t *data, size_t row_bytes,
                                     size_t rows)
{
    const size_t nibbles = type == QUANT_Q4_K ? Q4_K_NIBBLES : type == QUANT_Q5_K ? Q5_K_NIBBLES : 0;
    const char mask = type == QUANT_Q4_K ? 0 : type == QUANT_Q5_K ? 0x10 : 0x30;
    __m512i high[16] = {_mm512_setzero_si512()};
    if (mask) load_words(high, data + (type == QUANT_Q5_K ? Q5_K_HIGH : Q6_K_HIGH), row_bytes, rows);
#pragma GCC unroll 2
    for (size_t half = 0; half < 2; half++) {
        __m512i words[16];
        load_words(words, data + nibbles + 64 * half, row_bytes, rows);
#pragma GCC unroll 16
        for (size_t k = 0; k < 16; k++) {
            const bool q6 = type == QUANT_Q6_K;
            const size_t first = q6 ? k / 8 : k / 8 * 2, second = first + (q6 ? 2 : 1); /* of the four blocks */
            const unsigned first_bit = (unsigned)(q6 ? 2 * first : 4 * half + first);
            const unsigned second_bit = (unsigned)(q6 ? 2 * second : 4 * half + second);
            __m512i bits = mask ? high[(q6 ? 8 * half : 0) + k % 8] : high[0];
            uint8_t *to = panel + 4 * half * RECORD + k % 8 * 4 * COLS;
            _mm512_store_si512(to + first * RECORD, join(words[k], bits, first_bit, mask));
            _mm512_store_si512(to + second * RECORD, join(_mm512_srli_epi16(words[k], 4), bits, second_bit, mask));
        }
    }
}

/* ---- scales ------------------------------------------------------------------------------------------------ */

/* Of a super-block with minimums d·s of blocks 0 .. 3, −dmin·m of them, the same of blocks 4 .. 7; of Q6_K d·s. */
static ALWAYS_INLINE __m512 load_scales(enum quant_type type, const uint8_t *super)
{
    if (type == QUANT_Q6_K) {
        __m128i s = _mm_loadu_si128((const __m128i *)(super + Q6_K_SCALES));
        return _mm512_mul_ps(_mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(s)), broadcast_half(super + Q6_K_D));
    }
    const __m128i order = _mm_setr_epi8(0, 1, 0, 1, 0, 1, 0, 1, 2, 3, 2, 3, 2, 3, 2, 3);
    const __m128i sign = _mm_set_epi64x((long long)0x8000800080008000u, 0);
    struct k_scales s = k_scales(super);
    __m128i bytes = _mm_set_epi64x((long long)s.last, (long long)s.first);
    __m128i halves = _mm_xor_si128(_mm_shuffle_epi8(_mm_loadu_si32(super), order), sign); /* d, then −dmin */
    return _mm512_mul_ps(_mm512_cvtepi32_ps(_mm512_cvtepu8_epi32(bytes)),
                         _mm512_cvtph_ps(_mm256_broadcastsi128_si256(halves)));
}

static ALWAYS_INLINE void pack_scales(enum quant_type type, uint8_t *panel, const uint8_t *data, size_t row_bytes,
                                      size_t rows)
{
    __m512i s[16];
#pragma GCC unroll 16
    for (size_t i = 0; i < 16; i++)
        s[i] = i < rows ? _mm512_castps_si512(load_scales(type, data + i * row_bytes)) : _mm512_setzero_si512();
    transpose16(s);
#pragma GCC unroll 16
    for (size_t j = 0; j < BLOCKS; j++) {
        const size_t first = type == QUANT_Q6_K ? 2 * j : j + j / 4 * 4, step = type == QUANT_Q6_K ? 1 : 4;
        uint8_t *to = panel + j * RECORD + COLS * BLOCK;
        _mm512_store_si512(to, s[first]);
        _mm512_store_si512(to + 4 * COLS, s[first + step]);
    }
}

/* ---- panels ------------------------------------------------------------------------------------------------ */

/* The panel after this one begins where this one's rows end: it is asked for in the order of memory. */
static ALWAYS_INLINE void pack(enum quant_type type, uint8_t *panel, const struct quant_matrix *w, size_t row,
                               size_t rows, size_t col, size_t cols)
{
    const size_t bytes = k_super_bytes(type);
    const uint8_t *data = w->data + row * w->row_bytes + col / K_SUPER * bytes;
    uintptr_t next = (uintptr_t)(w->data + row * w->row_bytes) + COLS * (w->row_bytes + col / K_SUPER * bytes);
    for (size_t left = cols / K_SUPER; left; left--, data += bytes, panel += BLOCKS * RECORD)
        for (size_t n = 0; n < COLS; n += 16, next += 16 * bytes) {
            const uint8_t *from = data + n * w->row_bytes;
            size_t some = rows > n ? rows - n : 0;
            prefetch(next, 16 * bytes);
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
PACKER(pack_q5_k, QUANT_Q5_K)
PACKER(pack_q6_k, QUANT_Q6_K)

TILE(tile_q6_k, 32, false)
TILES_OF_HALVES

void gemm_q8_k_avx512(struct cpu_kernels *t)
{
    t->pack_q8[QUANT_Q4_K] = pack_q4_k;
    t->pack_q8[QUANT_Q5_K] = pack_q5_k;
    t->pack_q8[QUANT_Q6_K] = pack_q6_k;
    t->tile_q8[QUANT_Q4_K] = t->tile_q8[QUANT_Q5_K] = t->tile_q8[QUANT_Q4_1];
    t->tile_q8[QUANT_Q6_K] = tile_q6_k;
    offer_tiles_of_halves(t);
    t->q8_panel_rows[QUANT_Q4_K] = 4;
    t->q8_panel_rows[QUANT_Q5_K] = 4;
    t->q8_panel_rows[QUANT_Q6_K] = 5;
}
