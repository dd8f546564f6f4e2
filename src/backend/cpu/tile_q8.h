/* tile_q8.h — what the tiles of int8 panels share whatever their vectors; a part of tile_q8_avx2.h and
 * tile_q8_avx512.h, which define RECORD (bytes of 32 depths of a panel) and CHUNK (records whose panel stays in the
 * first-level cache). */
#ifndef CPU_TILE_Q8_H
#define CPU_TILE_Q8_H

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

/* All rows against t->blocks records: the file's own. */
static void tile_chunk(const struct tile *t, size_t rows);

static void tile(struct tile *t, size_t rows, size_t blocks)
{
    for (size_t b = 0; b < blocks; b += CHUNK) {
        t->blocks = blocks - b < CHUNK ? blocks - b : CHUNK;
        tile_chunk(t, rows);
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

#endif
