/* gemm_q8_avx512.c — quantised weights times many rows of int8 activations with AVX-512 VNNI.
 *
 * Owns: panels of Q4_0, Q4_1 and Q8_0; the tile of the formats that have a scale for 32 weights. */
#include "backend/cpu/prefetch.h"
#include "backend/cpu/tile_codes.h"

enum { PARTS = 1, HALF_MINS = 0 };
#include "backend/cpu/tile_q8_avx512.h"

/* ---- panels ------------------------------------------------------------------------------------------------ */

/* Blocks are taken in steps: 64 bytes of codes a row. */
static ALWAYS_INLINE size_t step_of(enum quant_type type)
{
    return type == QUANT_Q8_0 ? 2 : 4;
}

/* d and min of the blocks of a step for 16 columns, as the file has them. */
struct halves {
    uint16_t d[16][4], min[16][4];
};

/* Where the 16 bytes of nibbles of four blocks are, in words: the second load ends where the fourth block does. */
#define NIBBLES(b, last) W(b) + 1, W(b) + 2, W(b) + 3, W(b) + 4, W(b) + 5, W(b) + 6, W(b) + 7, last
static ALWAYS_INLINE __m512i nibble_words(enum quant_type type)
{
#define W(b) 9 * b
    static const uint16_t q4_0[32] = {NIBBLES(0, 8), NIBBLES(1, 17), NIBBLES(2, 26), 28, 29, 30, 31, 60, 61, 62, 63};
#undef W
#define W(b) 10 * b + 1
    static const uint16_t q4_1[32] = {NIBBLES(0, 9), NIBBLES(1, 19), NIBBLES(2, 29), 56, 57, 58, 59, 60, 61, 62, 63};
#undef W
    return _mm512_loadu_si512(type == QUANT_Q4_0 ? q4_0 : q4_1);
}
#undef NIBBLES

/* d of four blocks, then min: words of the first load. */
static ALWAYS_INLINE __m512i half_words(enum quant_type type)
{
    const __m128i q4_0 = _mm_setr_epi16(0, 9, 18, 27, 0, 0, 0, 0), q4_1 = _mm_setr_epi16(0, 10, 20, 30, 1, 11, 21, 31);
    return _mm512_castsi128_si512(type == QUANT_Q4_0 ? q4_0 : q4_1);
}

/* The codes of `count` <= 4 blocks of nibbles as the file has them; their halves go to d, min. */
static ALWAYS_INLINE __m512i load_nibbles(enum quant_type type, const uint8_t *p, const size_t count, uint16_t d[4],
                                          uint16_t min[4])
{
    const size_t bytes = type == QUANT_Q4_0 ? 18 : 20;
    __m512i first, last = _mm512_setzero_si512(); /* the fourth block's */
    if (count == 4)
        first = _mm512_loadu_si512(p), last = _mm512_loadu_si512(p + 4 * bytes - 64);
    else
        first = _mm512_maskz_loadu_epi16(first32(count * bytes / 2), p);
    __m128i halves = _mm512_castsi512_si128(_mm512_permutexvar_epi16(half_words(type), first));
    _mm_storel_epi64((__m128i *)d, halves);
    if (type == QUANT_Q4_1) _mm_storeh_pd((double *)(void *)min, _mm_castsi128_pd(halves));
    return _mm512_permutex2var_epi16(first, nibble_words(type), last);
}

static ALWAYS_INLINE __m512i load_bytes(const uint8_t *p, const size_t count, uint16_t d[4])
{
    __m512i v = _mm512_zextsi256_si512(_mm256_loadu_si256((const __m256i *)(p + 2)));
    d[0] = load_u16(p);
    if (count < 2) return v;
    d[1] = load_u16(p + 34);
    return _mm512_inserti64x4(v, _mm256_loadu_si256((const __m256i *)(p + 36)), 1);
}

/* Words of 16 columns → records: word k of a column's codes holds depths 4k .., or, as nibbles, 4k .. and 4k + 16 ...
 */
static ALWAYS_INLINE void store_codes(enum quant_type type, uint8_t *record, const __m512i *words, const size_t count)
{
    const size_t per_block = 16 / step_of(type);
    const __m512i low = _mm512_set1_epi8(15), top = _mm512_set1_epi8((char)0x80);
#pragma GCC unroll 16
    for (size_t k = 0; k < per_block * count; k++) {
        uint8_t *to = record + k / per_block * RECORD + k % per_block * 4 * COLS;
        if (type == QUANT_Q8_0) {
            _mm512_store_si512(to, _mm512_xor_si512(words[k], top));
        } else {
            _mm512_store_si512(to, _mm512_and_si512(words[k], low));
            _mm512_store_si512(to + 16 * COLS, _mm512_and_si512(_mm512_srli_epi16(words[k], 4), low));
        }
    }
}

/* h (16 columns, 4 blocks) as floats: 16 of block b go to b records further. */
static ALWAYS_INLINE void store_halves(uint8_t *to, uint16_t (*h)[4], const size_t count)
{
    const __m512i columns = _mm512_set_epi16(61, 57, 53, 49, 45, 41, 37, 33, 29, 25, 21, 17, 13, 9, 5, 1, 60, 56, 52,
                                             48, 44, 40, 36, 32, 28, 24, 20, 16, 12, 8, 4, 0);
    __m512i first = _mm512_load_si512(h), last = _mm512_load_si512(h + 8);
#pragma GCC unroll 16
    for (size_t b = 0; b < count; b += 2) {
        __m512i two = _mm512_add_epi16(columns, _mm512_set1_epi16((short)b)); /* blocks b and b + 1 */
        two = _mm512_permutex2var_epi16(first, two, last);
        _mm512_store_ps(to + b * RECORD, _mm512_cvtph_ps(_mm512_castsi512_si256(two)));
        if (b + 1 < count) _mm512_store_ps(to + (b + 1) * RECORD, _mm512_cvtph_ps(_mm512_extracti64x4_epi64(two, 1)));
    }
}

/* 16 columns (those past `rows` are zero) of `count` blocks at data. */
static ALWAYS_INLINE void pack_step(enum quant_type type, uint8_t *panel, size_t n, const uint8_t *data,
                                    size_t row_bytes, size_t rows, const size_t count)
{
    _Alignas(64) struct halves h;
    __m512i r[16];
    if (rows < 16) memset(&h, 0, sizeof h);
#pragma GCC unroll 16
    for (size_t i = 0; i < 16; i++) {
        r[i] = type == QUANT_Q8_0 ? _mm512_set1_epi8((char)0x80) : _mm512_setzero_si512();
        if (i >= rows) continue;
        const uint8_t *p = data + i * row_bytes;
        r[i] = type == QUANT_Q8_0 ? load_bytes(p, count, h.d[i]) : load_nibbles(type, p, count, h.d[i], h.min[i]);
    }
    transpose16(r);
    store_codes(type, panel + 4 * n, r, count);
    store_halves(panel + COLS * BLOCK + 4 * n, h.d, count);
    if (type == QUANT_Q4_1) store_halves(panel + COLS * (BLOCK + 4) + 4 * n, h.min, count);
}

static ALWAYS_INLINE size_t block_bytes(enum quant_type type)
{
    return type == QUANT_Q4_0 ? 18 : type == QUANT_Q4_1 ? 20 : 34;
}

/* All columns of `count` blocks. As many bytes at `next` are asked for. */
static ALWAYS_INLINE void pack_blocks(enum quant_type type, uint8_t *panel, const uint8_t *data, size_t row_bytes,
                                      size_t rows, const size_t count, uintptr_t next)
{
    const size_t bytes = 16 * count * block_bytes(type);
    for (size_t n = 0; n < COLS; n += 16, next += bytes) {
        prefetch(next, bytes);
        pack_step(type, panel, n, data + n * row_bytes, row_bytes, rows > n ? rows - n : 0, count);
    }
}

/* The panel after this one begins where this one's rows end: it is asked for in the order of memory. */
static ALWAYS_INLINE void pack(enum quant_type type, uint8_t *panel, const struct quant_matrix *w, size_t row,
                               size_t rows, size_t col, size_t cols)
{
    const size_t step = step_of(type), bytes = step * block_bytes(type);
    const uint8_t *data = weight_at(type, w, row, col);
    uintptr_t next =
        (uintptr_t)(w->data + row * w->row_bytes) + COLS * (w->row_bytes + col / BLOCK * block_bytes(type));
    size_t left = cols / BLOCK;
    for (; left >= step; left -= step, data += bytes, panel += step * RECORD, next += COLS * bytes)
        pack_blocks(type, panel, data, w->row_bytes, rows, step, next);
    if (left == 3) pack_blocks(type, panel, data, w->row_bytes, rows, 3, next);
    if (left == 2) pack_blocks(type, panel, data, w->row_bytes, rows, 2, next);
    if (left == 1) pack_blocks(type, panel, data, w->row_bytes, rows, 1, next);
}

#define PACKER(name, type)                                                                                             \
    static void name(uint8_t *panel, const struct quant_matrix *w, size_t row, size_t rows, size_t col, size_t cols)   \
    {                                                                                                                  \
        pack(type, panel, w, row, rows, col, cols);                                                                    \
    }
PACKER(pack_q4_0, QUANT_Q4_0)
PACKER(pack_q4_1, QUANT_Q4_1)
PACKER(pack_q8_0, QUANT_Q8_0)

/* ---- the table ------------------------------------------------------------------------------------------------ */

TILE(tile_q4_0, 8, false)
TILE(tile_q4_1, 0, true)
TILES_OF_BLOCKS

void gemm_q8_avx512(struct cpu_kernels *t)
{
    memset(t->pack_q8, 0, sizeof t->pack_q8); /* made for panels of another width */
    memset(t->tile_q8, 0, sizeof t->tile_q8);
    t->q8_record = RECORD;
    t->pack_q8[QUANT_Q4_0] = pack_q4_0;
    t->pack_q8[QUANT_Q4_1] = pack_q4_1;
    t->pack_q8[QUANT_Q8_0] = pack_q8_0;
    t->tile_q8[QUANT_Q4_0] = tile_q4_0;
    t->tile_q8[QUANT_Q4_1] = tile_q4_1;
    t->tile_q8[QUANT_Q8_0] = tile_128;
    offer_tiles_of_blocks(t);
    t->q8_panel_rows[QUANT_Q4_0] = 9;
    t->q8_panel_rows[QUANT_Q4_1] = 9;
    t->q8_panel_rows[QUANT_Q8_0] = 9;
}
