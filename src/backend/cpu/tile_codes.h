/* tile_codes.h — the tiles of the formats of codes.h, by the zero of their codes: for a file that has TILE, those of
 * blocks of 32 (PARTS 1) or of halves (PARTS 2). */
#ifndef CPU_TILE_CODES_H
#define CPU_TILE_CODES_H

#define TILES_OF_BLOCKS                                                                                                \
    TILE(tile_1, 1, false)                                                                                             \
    TILE(tile_12, 12, false)                                                                                           \
    TILE(tile_15, 15, false)                                                                                           \
    TILE(tile_16, 16, false)                                                                                           \
    TILE(tile_62, 62, false)                                                                                           \
    TILE(tile_128, 128, false)                                                                                         \
    TILE(tile_128_min, 128, true)                                                                                      \
    static void offer_tiles_of_blocks(struct cpu_kernels *t)                                                           \
    {                                                                                                                  \
        t->tile_q8[QUANT_TQ2_0] = t->tile_q8[QUANT_Q1_0] = t->tile_q8[QUANT_Q2_0] = tile_1;                            \
        t->tile_q8[QUANT_GGML_MXFP4] = t->tile_q8[QUANT_MXFP4] = tile_12;                                              \
        t->tile_q8[QUANT_GRID3_S] = tile_15;                                                                           \
        t->tile_q8[QUANT_Q5_0] = tile_16;                                                                              \
        t->tile_q8[QUANT_GRID3] = tile_62;                                                                             \
        t->tile_q8[QUANT_IQ4_NL] = t->tile_q8[QUANT_IQ4_XS] = t->tile_q8[QUANT_INT8] = tile_128;                       \
        t->tile_q8[QUANT_AFFINE8] = tile_128_min;                                                                      \
        t->tile_q8[QUANT_Q5_1] = t->tile_q8[QUANT_Q4_1];                                                               \
        for (enum quant_type i = QUANT_AFFINE2; i < QUANT_AFFINE8; i++) t->tile_q8[i] = t->tile_q8[QUANT_Q4_1];        \
    }
#define TILES_OF_HALVES                                                                                                \
    TILE(tile_4, 4, false)                                                                                             \
    TILE(tile_9, 9, false)                                                                                             \
    TILE(tile_12, 12, false)                                                                                           \
    TILE(tile_43, 43, false)                                                                                           \
    static void offer_tiles_of_halves(struct cpu_kernels *t)                                                           \
    {                                                                                                                  \
        t->tile_q8[QUANT_Q3_K] = tile_4;                                                                               \
        t->tile_q8[QUANT_GRID1] = tile_9;                                                                              \
        t->tile_q8[QUANT_GGML_NVFP4] = t->tile_q8[QUANT_NVFP4] = tile_12;                                              \
        t->tile_q8[QUANT_GRID2] = tile_43;                                                                             \
    }

#endif
