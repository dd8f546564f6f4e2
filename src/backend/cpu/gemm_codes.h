/* gemm_codes.h — panels of the formats of codes.h for the tiles of int8 products (kernels.h); the body of
 * gemm_codes_avx2.c and gemm_codes_avx512.c. */
#include "backend/cpu/code_scales.h"

#ifdef __AVX512VL__
enum { COLS = 64 };
#else
enum { COLS = 16 };
#endif
enum { RECORD = COLS * (BLOCK + 4 + 4), EIGHT = 8 };

/* The codes of step j of 8 rows, as words of 4 depths: word k of all rows in words[k]. */
static ALWAYS_INLINE void eight_codes(enum quant_type type, __m256 words[EIGHT], const uint8_t *const *chunk, size_t j)
{
    for (size_t i = 0; i < EIGHT; i += TOGETHER) {
        vec codes = codes_at(type, chunk + i, j);
#ifdef __AVX512VL__
        words[i] = _mm256_castsi256_ps(_mm512_castsi512_si256(codes));
        words[i + 1] = _mm256_castsi256_ps(_mm512_extracti64x4_epi64(codes, 1));
#else
        words[i] = _mm256_castsi256_ps(codes);
#endif
    }
    transpose8(words);
}

/* `rows` <= 8 rows from column `col` on, `steps` steps, into 8 columns of the records at `to`; those missing are 0. */
static ALWAYS_INLINE void pack_eight(enum quant_type type, uint8_t *to, const struct quant_matrix *w, size_t row,
                                     size_t rows, size_t col, size_t steps)
{
    const struct coded f = coded[type];
    const uint8_t *chunk[EIGHT];
    __m256 d[2][EIGHT], m[EIGHT], words[EIGHT];
    for (size_t i = 0; i < EIGHT; i++) {
        struct coded_row r = coded_row_at(type, w, row + (i < rows ? i : 0), col);
        chunk[i] = r.chunk;
        const struct chunk_scales s = next_scales(type, w, &r, steps);
        d[0][i] = i < rows ? s.d[0] : _mm256_setzero_ps();
        if (f.halves) d[1][i] = i < rows ? s.d[1] : _mm256_setzero_ps();
        m[i] = f.minimum && i < rows ? s.m[0] : _mm256_setzero_ps();
    }
    transpose8(d[0]);
    if (f.halves) transpose8(d[1]);
    if (f.minimum) transpose8(m);
    for (size_t j = 0; j < steps; j++, to += RECORD) {
        float *scales = (float *)(void *)(to + COLS * BLOCK);
        eight_codes(type, words, chunk, j);
        for (size_t k = 0; k < EIGHT; k++) _mm256_store_ps((float *)(void *)(to + 4 * COLS * k), words[k]);
        _mm256_store_ps(scales, f.halves ? d[j / 4][j % 4 * 2] : d[0][j]);
        _mm256_store_ps(scales + COLS, f.halves ? d[j / 4][j % 4 * 2 + 1] : m[j]);
    }
}

static ALWAYS_INLINE void pack(enum quant_type type, uint8_t *panel, const struct quant_matrix *w, size_t row,
                               size_t rows, size_t col, size_t cols)
{
    if (rows < COLS) memset(panel, 0, cols / BLOCK * RECORD);
    for (size_t steps; cols; cols -= steps * BLOCK, col += steps * BLOCK, panel += steps * RECORD) {
        steps = cols < CHUNK ? cols / BLOCK : STEPS;
        for (size_t n = 0; n < rows; n += EIGHT)
            pack_eight(type, panel + 4 * n, w, row + n, rows - n < EIGHT ? rows - n : EIGHT, col, steps);
    }
}

#define PACKER(type)                                                                                                   \
    static void pack_##type(uint8_t *panel, const struct quant_matrix *w, size_t row, size_t rows, size_t col,         \
                            size_t cols)                                                                               \
    {                                                                                                                  \
        pack(QUANT_##type, panel, w, row, rows, col, cols);                                                            \
    }
/* A file that offers fewer formats defines EACH itself. */
#ifndef EACH
#define EACH(f)                                                                                                        \
    f(Q5_0) f(Q5_1) f(Q3_K) f(IQ4_NL) f(IQ4_XS) f(TQ2_0) f(GGML_MXFP4) f(GGML_NVFP4) f(Q1_0) f(Q2_0) f(AFFINE2)        \
        f(AFFINE3) f(AFFINE4) f(AFFINE5) f(AFFINE6) f(AFFINE8) f(MXFP4) f(NVFP4) f(INT8) f(GRID1) f(GRID2) f(GRID3)    \
            f(GRID3_S)
#endif
EACH(PACKER)

/* Where there is a tile. */
static void fill_gemm_codes(struct cpu_kernels *t)
{
    enum { PANEL_ROWS = 2 }; /* gemv_q8 would unpack the weights for every row */
#define ENTRY(type)                                                                                                    \
    if (t->tile_q8[QUANT_##type]) {                                                                                    \
        t->pack_q8[QUANT_##type] = pack_##type;                                                                        \
        t->q8_panel_rows[QUANT_##type] = PANEL_ROWS;                                                                   \
    }
    EACH(ENTRY)
}
