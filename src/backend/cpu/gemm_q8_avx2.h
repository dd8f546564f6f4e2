/* gemm_q8_avx2.h — quantised weights times many rows of int8 activations in 256 bits; the body of gemm_q8_avx2.c and
 * gemm_q8_avxvnni.c.
 *
 * Owns: panels of Q4_0, Q4_1 and Q8_0; the tile of the formats that have a scale for 32 weights. Codes of 8 bits only
 * by vpdpbusd. */
#include "backend/cpu/prefetch.h"

enum { PARTS = 1, STEPS = 8 };
#include "backend/cpu/tile_q8_avx2.h"

/* ---- panels ------------------------------------------------------------------------------------------------ */

static ALWAYS_INLINE size_t block_bytes(enum quant_type type)
{
    return type == QUANT_Q4_0 ? 18 : type == QUANT_Q4_1 ? 20 : 34;
}
/* Blocks are taken in steps: 32 bytes of codes a row. */
static ALWAYS_INLINE size_t step_of(enum quant_type type)
{
    return type == QUANT_Q8_0 ? 1 : 2;
}

/* The codes of `count` blocks as the file has them. */
static ALWAYS_INLINE __m256i load_codes(enum quant_type type, const uint8_t *p, const size_t count)
{
    if (type == QUANT_Q8_0) return _mm256_loadu_si256((const __m256i *)(p + 2));
    p += type == QUANT_Q4_0 ? 2 : 4;
    __m128i first = _mm_loadu_si128((const __m128i *)p), second = _mm_setzero_si128();
    if (count > 1) second = _mm_loadu_si128((const __m128i *)(p + block_bytes(type)));
    return _mm256_set_m128i(second, first);
}

/* Words of 8 columns → records: word k of a column's codes holds depths 4k .., or, as nibbles, 4k .. and 4k + 16 ... */
static ALWAYS_INLINE void store_codes(enum quant_type type, uint8_t *record, const __m256 *words, const size_t count)
{
    const size_t per_block = 8 / step_of(type);
    const __m256i low = _mm256_set1_epi8(15), top = _mm256_set1_epi8((char)0x80);
#pragma GCC unroll 16
    for (size_t k = 0; k < per_block * count; k++) {
        uint8_t *to = record + k / per_block * RECORD + k % per_block * 4 * COLS;
        __m256i word = _mm256_castps_si256(words[k]);
        if (type == QUANT_Q8_0) {
            _mm256_store_si256((__m256i *)to, _mm256_xor_si256(word, top));
        } else {
            _mm256_store_si256((__m256i *)to, _mm256_and_si256(word, low));
            _mm256_store_si256((__m256i *)(to + 16 * COLS), _mm256_and_si256(_mm256_srli_epi16(word, 4), low));
        }
    }
}

static ALWAYS_INLINE void store_halves(uint8_t *to, const uint16_t h[8])
{
    _mm256_store_ps((float *)(void *)to, _mm256_cvtph_ps(_mm_load_si128((const __m128i *)(const void *)h)));
}

/* 8 columns (those past `rows` are zero) of `count` blocks at data. */
static ALWAYS_INLINE void pack_step(enum quant_type type, uint8_t *panel, size_t n, const uint8_t *data,
                                    size_t row_bytes, size_t rows, const size_t count)
{
    _Alignas(16) uint16_t d[2][8] = {0}, min[2][8] = {0};
    __m256 r[8];
#pragma GCC unroll 16
    for (size_t i = 0; i < 8; i++) {
        r[i] = _mm256_castsi256_ps(_mm256_set1_epi8(type == QUANT_Q8_0 ? (char)0x80 : 0));
        if (i >= rows) continue;
        const uint8_t *p = data + i * row_bytes;
        r[i] = _mm256_castsi256_ps(load_codes(type, p, count));
        for (size_t b = 0; b < count; b++, p += block_bytes(type)) {
            memcpy(d[b] + i, p, 2);
            if (type == QUANT_Q4_1) memcpy(min[b] + i, p + 2, 2);
        }
    }
    transpose8(r);
    store_codes(type, panel + 4 * n, r, count);
    for (size_t b = 0; b < count; b++) {
        uint8_t *to = panel + b * RECORD + COLS * BLOCK + 4 * n;
        store_halves(to, d[b]);
        if (type == QUANT_Q4_1) store_halves(to + 4 * COLS, min[b]);
    }
}

/* All columns of `count` blocks. As many bytes at `next` are asked for. */
static ALWAYS_INLINE void pack_blocks(enum quant_type type, uint8_t *panel, const uint8_t *data, size_t row_bytes,
                                      size_t rows, const size_t count, uintptr_t next)
{
    prefetch(next, COLS * count * block_bytes(type));
    for (size_t n = 0; n < COLS; n += 8)
        pack_step(type, panel, n, data + n * row_bytes, row_bytes, rows > n ? rows - n : 0, count);
}

/* What comes a few panels on is asked for in the order of memory. */
static ALWAYS_INLINE void pack(enum quant_type type, uint8_t *panel, const struct quant_matrix *w, size_t row,
                               size_t rows, size_t col, size_t cols)
{
    const size_t step = step_of(type), bytes = step * block_bytes(type), first = col / BLOCK * block_bytes(type);
    const uint8_t *data = w->data + row * w->row_bytes + first;
    uintptr_t next = prefetch_from(w->data + row * w->row_bytes, COLS, w->row_bytes, COLS * first);
    size_t left = cols / BLOCK;
    for (; left >= step; left -= step, data += bytes, panel += step * RECORD, next += COLS * bytes)
        pack_blocks(type, panel, data, w->row_bytes, rows, step, next);
    if (left) pack_blocks(type, panel, data, w->row_bytes, rows, 1, next);
}

#define PACKER(name, type)                                                                                             \
    static void name(uint8_t *panel, const struct quant_matrix *w, size_t row, size_t rows, size_t col, size_t cols)   \
    {                                                                                                                  \
        pack(type, panel, w, row, rows, col, cols);                                                                    \
    }
PACKER(pack_q4_0, QUANT_Q4_0)
PACKER(pack_q4_1, QUANT_Q4_1)

/* ---- the table ------------------------------------------------------------------------------------------------ */

TILE(tile_q4_0, 8, false)
TILE(tile_q4_1, 0, true)

static void offer_4_bits(struct cpu_kernels *t)
{
    memset(t->pack_q8, 0, sizeof t->pack_q8); /* made for panels of another width */
    memset(t->tile_q8, 0, sizeof t->tile_q8);
    t->q8_record = RECORD;
    t->pack_q8[QUANT_Q4_0] = pack_q4_0;
    t->pack_q8[QUANT_Q4_1] = pack_q4_1;
    t->tile_q8[QUANT_Q4_0] = tile_q4_0;
    t->tile_q8[QUANT_Q4_1] = tile_q4_1;
}
