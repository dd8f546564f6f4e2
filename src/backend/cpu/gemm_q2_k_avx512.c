/* gemm_q2_k_avx512.c — Q2_K times many rows of int8 activations with AVX-512 VNNI.
 *
 * The panel's codes are those of the format times their scales, 0 .. 45, so that all of a super-block have one scale.
 * 16 columns of a super-block are turned from rows to words at a time. */
#include "backend/cpu/prefetch.h"

enum { PARTS = 1, HALF_MINS = 1 };
#include "backend/cpu/tile_q8_avx512.h"

enum { SUPER = 256, BYTES = 84, CODES = 16, D = 80, MIN = 82, HIGH = 16 };

/* Nibbles `shift` .. of the 16 scale bytes of each of 16 columns (zero past `rows`): those of a half in a vector, twice
 * in a lane. */
static ALWAYS_INLINE void load_nibbles(__m512i halves[16], const uint8_t *super, size_t row_bytes, size_t rows,
                                       const unsigned shift)
{
#pragma GCC unroll 16
    for (size_t i = 0; i < HIGH; i++) {
        __m512i x = _mm512_setzero_si512();
        if (i < rows) x = _mm512_cvtepu8_epi32(_mm_loadu_si128((const __m128i *)(super + i * row_bytes)));
        x = _mm512_and_si512(_mm512_srli_epi32(x, shift), _mm512_set1_epi32(15));
        halves[i] = _mm512_or_si512(x, _mm512_slli_epi32(x, 16));
    }
    transpose16(halves);
}

/* The f16 at `at` of 16 super-blocks. */
static ALWAYS_INLINE __m512 load_halves(const uint8_t *super, size_t row_bytes, size_t rows, size_t at)
{
    uint16_t h[HIGH] = {0};
    for (size_t i = 0; i < HIGH && i < rows; i++) h[i] = load_u16(super + i * row_bytes + at);
    return _mm512_cvtph_ps(_mm256_loadu_si256((const __m256i *)(const void *)h));
}

/* Word k of the codes' 64 bytes is word k % 8 of blocks k / 8 · 4 + s, two bits each. */
static ALWAYS_INLINE void pack_codes(uint8_t *panel, const uint8_t *super, size_t row_bytes, size_t rows)
{
    __m512i words[16], scales[16];
    for (size_t i = 0; i < HIGH; i++)
        words[i] = i < rows ? _mm512_loadu_si512(super + i * row_bytes + CODES) : _mm512_setzero_si512();
    transpose16(words);
    load_nibbles(scales, super, row_bytes, rows, 0);
    for (size_t k = 0; k < 16; k++)
#pragma GCC unroll 4
        for (size_t s = 0; s < 4; s++) {
            const size_t block = k / 8 * 4 + s, half = 2 * block + k % 8 / 4;
            __m512i codes = _mm512_and_si512(_mm512_srli_epi16(words[k], (unsigned)(2 * s)), _mm512_set1_epi8(3));
            _mm512_store_si512(panel + block * RECORD + k % 8 * 4 * COLS, _mm512_mullo_epi16(codes, scales[half]));
        }
}

static ALWAYS_INLINE void pack_scales(uint8_t *panel, const uint8_t *super, size_t row_bytes, size_t rows)
{
    const __m512 d = load_halves(super, row_bytes, rows, D);
    const __m512 min = _mm512_sub_ps(_mm512_setzero_ps(), load_halves(super, row_bytes, rows, MIN));
    __m512i mins[16];
    load_nibbles(mins, super, row_bytes, rows, 4);
    for (size_t j = 0; j < SUPER / BLOCK; j++) {
        float *to = (float *)(void *)(panel + j * RECORD + COLS * BLOCK);
        _mm512_store_ps(to, d);
        _mm512_store_ps(to + COLS, min);
        _mm512_store_si512(to + 2 * COLS, _mm512_mask_mov_epi16(mins[2 * j], 0xAAAAAAAA, mins[2 * j + 1]));
    }
}

/* What a product takes next, 256 columns on, is asked for. */
static void pack(uint8_t *panel, const struct quant_matrix *w, size_t row, size_t rows, size_t col, size_t cols)
{
    const uint8_t *data = w->data + row * w->row_bytes + col / SUPER * BYTES;
    for (; cols; cols -= SUPER, data += BYTES, panel += SUPER / BLOCK * RECORD)
        for (size_t n = 0; n < COLS; n += HIGH) {
            const uint8_t *super = data + n * w->row_bytes;
            const size_t some = rows > n ? rows - n : 0;
            for (size_t i = 0; i < HIGH && i < some; i++) prefetch((uintptr_t)super + i * w->row_bytes + BYTES, BYTES);
            pack_codes(panel + 4 * n, super, w->row_bytes, some);
            pack_scales(panel + 4 * n, super, w->row_bytes, some);
        }
}

TILE(tile_q2_k, 0, false)

void gemm_q2_k_avx512(struct cpu_kernels *t)
{
    t->pack_q8[QUANT_Q2_K] = pack;
    t->tile_q8[QUANT_Q2_K] = tile_q2_k;
    t->q8_panel_rows[QUANT_Q2_K] = 2;
}
