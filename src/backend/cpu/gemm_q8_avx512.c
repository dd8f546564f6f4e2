/* gemm_q8_avx512.c — quantised weights times many rows of int8 activations with AVX-512 VNNI.
 *
 * Owns: panels of unsigned codes, 64 columns wide, with their scales and minima; the tile of 3 rows × 4 vectors of
 * columns (12 integer sums of a block, 12 sums in f32), or 6 × 2.
 * A vpdpbusd takes four depths of 16 columns and four activations of one row. Depth is taken in chunks whose panel
 * stays in the first-level cache. */
#include "backend/cpu/tile_groups.h"
#include "backend/cpu/unpack_avx512.h"

enum { COLS = 64, RECORD = COLS * (BLOCK + 4 + 4), CHUNK = 8 };

/* ---- panels ------------------------------------------------------------------------------------------------ */

/* Where block b of a row starts, and the 16 or 32 bytes of its codes. */
static ALWAYS_INLINE const uint8_t *block_at(enum quant_type type, const uint8_t *row, size_t b)
{
    return row + b * (type == QUANT_Q4_0 ? 18 : type == QUANT_Q4_1 ? 20 : 34);
}
static ALWAYS_INLINE __m128i nibbles_at(enum quant_type type, const uint8_t *row, size_t b)
{
    return _mm_loadu_si128((const __m128i *)codes_q4(type, block_at(type, row, b)));
}
static ALWAYS_INLINE __m256i bytes_at(enum quant_type type, const uint8_t *row, size_t b)
{
    return _mm256_loadu_si256((const __m256i *)(block_at(type, row, b) + 2));
}

/* The codes of blocks b .. b + count as the file has them: count <= 4 of nibbles, <= 2 of bytes. */
static ALWAYS_INLINE __m512i load_codes(enum quant_type type, const uint8_t *row, size_t b, size_t count)
{
    __m512i v;
    if (type == QUANT_Q8_0) {
        v = _mm512_zextsi256_si512(bytes_at(type, row, b));
        return count > 1 ? _mm512_inserti64x4(v, bytes_at(type, row, b + 1), 1) : v;
    }
    v = _mm512_zextsi128_si512(nibbles_at(type, row, b));
    if (count > 1) v = _mm512_inserti32x4(v, nibbles_at(type, row, b + 1), 1);
    if (count > 2) v = _mm512_inserti32x4(v, nibbles_at(type, row, b + 2), 2);
    if (count > 3) v = _mm512_inserti32x4(v, nibbles_at(type, row, b + 3), 3);
    return v;
}

/* Words of 16 columns → records: word k of a column's codes holds depths 4k .., or, as nibbles, 4k .. and 4k + 16 ... */
static ALWAYS_INLINE void store_codes(enum quant_type type, uint8_t *record, const __m512i *words, size_t count)
{
    const size_t per_block = type == QUANT_Q8_0 ? 8 : 4;
    const __m512i low = _mm512_set1_epi8(15), top = _mm512_set1_epi8((char)0x80);
    for (size_t k = 0; k < 16; k++) {
        if (k >= per_block * count) break;
        uint8_t *to = record + k / per_block * RECORD + k % per_block * 4 * COLS;
        if (type == QUANT_Q8_0) {
            _mm512_store_si512(to, _mm512_xor_si512(words[k], top));
        } else {
            _mm512_store_si512(to, _mm512_and_si512(words[k], low));
            _mm512_store_si512(to + 16 * COLS, _mm512_and_si512(_mm512_srli_epi16(words[k], 4), low));
        }
    }
}

/* 16 columns of `count` records; those past `rows` are zero. */
static ALWAYS_INLINE void pack_codes(enum quant_type type, uint8_t *record, const uint8_t *data, size_t row_bytes,
                                     size_t rows, size_t b, const size_t count)
{
    __m512i r[16];
    for (size_t i = 0; i < 16; i++) {
        r[i] = type == QUANT_Q8_0 ? _mm512_set1_epi8((char)0x80) : _mm512_setzero_si512();
        if (i < rows) r[i] = load_codes(type, data + i * row_bytes, b, count);
    }
    transpose16(r);
    store_codes(type, record, r, count);
}

/* The first 4 bytes of every block, d and min, go to where the scales belong, and are converted there. */
static ALWAYS_INLINE void gather_halves(enum quant_type type, uint8_t *panel, const uint8_t *data, size_t row_bytes,
                                        size_t rows, size_t blocks)
{
    uint8_t *to = panel + COLS * BLOCK;
    for (size_t n = 0; n < COLS; n++, to += 4, data += row_bytes)
        for (size_t b = 0; b < blocks; b++) {
            uint32_t word = 0;
            if (n < rows) memcpy(&word, block_at(type, data, b), sizeof word);
            memcpy(to + b * RECORD, &word, sizeof word);
        }
}
static ALWAYS_INLINE void convert_halves(enum quant_type type, uint8_t *panel, size_t blocks)
{
    for (uint8_t *to = panel + COLS * BLOCK; blocks; blocks--, to += RECORD)
        for (size_t n = 0; n < 4 * COLS; n += 64) {
            __m512i words = _mm512_load_si512(to + n);
            if (type == QUANT_Q4_1)
                _mm512_store_ps(to + 4 * COLS + n, _mm512_cvtph_ps(_mm512_cvtepi32_epi16(_mm512_srli_epi32(words, 16))));
            _mm512_store_ps(to + n, _mm512_cvtph_ps(_mm512_cvtepi32_epi16(words)));
        }
}

static ALWAYS_INLINE void pack(enum quant_type type, uint8_t *panel, const struct cpu_matrix *w, size_t row,
                               size_t rows, size_t col, size_t cols)
{
    const size_t step = type == QUANT_Q8_0 ? 2 : 4;
    const uint8_t *data = weight_at(type, w, row, col);
    size_t blocks = cols / BLOCK;
    gather_halves(type, panel, data, w->row_bytes, rows, blocks);
    for (size_t n = 0; n < COLS; n += 16, data += 16 * w->row_bytes) {
        size_t b = 0, left = rows > n ? rows - n : 0;
        for (; b + step <= blocks; b += step)
            pack_codes(type, panel + b * RECORD + 4 * n, data, w->row_bytes, left, b, step);
        if (b < blocks) pack_codes(type, panel + b * RECORD + 4 * n, data, w->row_bytes, left, b, blocks - b);
    }
    convert_halves(type, panel, blocks);
}

#define PACKER(name, type)                                                                                             \
    static void name(uint8_t *panel, const struct cpu_matrix *w, size_t row, size_t rows, size_t col, size_t cols)     \
    {                                                                                                                  \
        pack(type, panel, w, row, rows, col, cols);                                                                    \
    }
PACKER(pack_q4_0, QUANT_Q4_0)
PACKER(pack_q4_1, QUANT_Q4_1)
PACKER(pack_q8_0, QUANT_Q8_0)

/* ---- tile -------------------------------------------------------------------------------------------------- */

struct tile {
    float *y; /* (rows, cols) */
    size_t ldy;
    struct cpu_q8_rows x;
    const uint8_t *panel;
    size_t blocks, cols;
    int zero; /* of the codes */
    bool min;
    float scale;
    bool accumulate;
};

static ALWAYS_INLINE void store(float *y, __m512 sum, __mmask16 keep, const struct tile *t)
{
    __m512 scale = _mm512_set1_ps(t->scale);
    sum = t->accumulate ? _mm512_fmadd_ps(scale, sum, _mm512_maskz_loadu_ps(keep, y)) : _mm512_mul_ps(scale, sum);
    _mm512_mask_storeu_ps(y, keep, sum);
}

static ALWAYS_INLINE __m512i broadcast_word(const void *p)
{
    int word;
    memcpy(&word, p, sizeof word);
    return _mm512_set1_epi32(word);
}

/* `rows` rows from row m, `vectors` vectors of columns: both constants after inlining. */
static ALWAYS_INLINE void tile_rows(const size_t rows, const size_t vectors, const struct tile *t, size_t m)
{
    const struct cpu_q8_rows x = cpu_q8_rows_at(t->x, m, 0);
    const uint8_t *record = t->panel;
    const __m512i zero = _mm512_set1_epi16((short)-t->zero);
    __m512 sum[6][4];
#pragma GCC unroll 16
    for (size_t r = 0; r < rows; r++)
#pragma GCC unroll 16
        for (size_t c = 0; c < vectors; c++) sum[r][c] = _mm512_setzero_ps();
    for (size_t b = 0; b < t->blocks; b++, record += RECORD) {
        __m512i dot[6][4];
#pragma GCC unroll 16
        for (size_t r = 0; r < rows; r++) {
            __m512i start = _mm512_madd_epi16(broadcast_word(x.halves + 2 * (r * x.ldd + b)), zero);
#pragma GCC unroll 16
            for (size_t c = 0; c < vectors; c++) dot[r][c] = start;
        }
#pragma GCC unroll 16
        for (size_t j = 0; j < BLOCK / 4; j++) {
            __m512i codes[4];
#pragma GCC unroll 16
            for (size_t c = 0; c < vectors; c++) codes[c] = _mm512_load_si512(record + 4 * (j * COLS + 16 * c));
#pragma GCC unroll 16
            for (size_t r = 0; r < rows; r++) {
                __m512i q = broadcast_word(x.q + r * x.ldq + b * BLOCK + 4 * j);
#pragma GCC unroll 16
                for (size_t c = 0; c < vectors; c++) dot[r][c] = _mm512_dpbusd_epi32(dot[r][c], codes[c], q);
            }
        }
        const float *scales = (const float *)(const void *)(record + COLS * BLOCK), *mins = scales + COLS;
#pragma GCC unroll 16
        for (size_t r = 0; r < rows; r++) {
            __m512 d = _mm512_set1_ps(x.d[r * x.ldd + b]);
#pragma GCC unroll 16
            for (size_t c = 0; c < vectors; c++) {
                __m512 product = _mm512_mul_ps(_mm512_cvtepi32_ps(dot[r][c]), _mm512_load_ps(scales + 16 * c));
                sum[r][c] = _mm512_fmadd_ps(product, d, sum[r][c]);
            }
        }
        if (!t->min) continue;
#pragma GCC unroll 16
        for (size_t r = 0; r < rows; r++)
#pragma GCC unroll 16
            for (size_t c = 0; c < vectors; c++)
                sum[r][c] = _mm512_fmadd_ps(_mm512_load_ps(mins + 16 * c), _mm512_set1_ps(x.sum[r * x.ldd + b]),
                                            sum[r][c]);
    }
#pragma GCC unroll 16
    for (size_t r = 0; r < rows; r++)
#pragma GCC unroll 16
        for (size_t c = 0; c < vectors; c++)
            if (16 * c < t->cols)
                store(t->y + (m + r) * t->ldy + 16 * c, sum[r][c], first16(t->cols - 16 * c), t);
}

TILES_3(4)
TILES_6(2)

static void tile(struct tile *t, size_t rows, size_t blocks)
{
    for (size_t b = 0; b < blocks; b += CHUNK) {
        t->blocks = blocks - b < CHUNK ? blocks - b : CHUNK;
        if (t->cols <= 32)
            tile_all_rows(t, rows, tiles_2, 6);
        else
            tile_all_rows(t, rows, tiles_4, 3);
        t->accumulate = true;
        t->panel += CHUNK * RECORD;
        t->x = cpu_q8_rows_at(t->x, 0, CHUNK * BLOCK);
    }
}

#define TILE(name, zero, min)                                                                                          \
    static void name(float *y, size_t ldy, struct cpu_q8_rows x, const uint8_t *panel, size_t depth, size_t rows,      \
                     size_t cols, float scale, bool accumulate)                                                        \
    {                                                                                                                  \
        struct tile t = {y, ldy, x, panel, 0, cols, zero, min, scale, accumulate};                                     \
        tile(&t, rows, depth / BLOCK);                                                                                 \
    }
TILE(tile_q4_0, 8, false)
TILE(tile_q4_1, 0, true)
TILE(tile_q8_0, 128, false)

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
    t->tile_q8[QUANT_Q8_0] = tile_q8_0;
}
