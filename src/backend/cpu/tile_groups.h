/* tile_groups.h — the rows of a tile in groups that keep enough chains in flight, for the gemm files.
 *
 * A file defines struct tile and tile_rows(rows, vectors, t, m), which does `rows` rows from row m against `vectors`
 * vectors of columns (every loop over them is unrolled: one that stays a loop keeps the sums in memory),
 * then TILES_3(v), TILES_6(v) or TILES_12(v): one function for each number of rows and a table of them. */
#ifndef CPU_TILE_GROUPS_H
#define CPU_TILE_GROUPS_H

#include <stddef.h>

struct tile;
typedef void (*tile_group)(const struct tile *t, size_t m);

#define TILE_GROUP(rows, v)                                                                                            \
    static void tile_##rows##x##v(const struct tile *t, size_t m)                                                      \
    {                                                                                                                  \
        tile_rows(rows, v, t, m);                                                                                      \
    }
#define TILES_3(v)                                                                                                     \
    TILE_GROUP(1, v)                                                                                                   \
    TILE_GROUP(2, v) TILE_GROUP(3, v) static const tile_group tiles_##v[] = {tile_1x##v, tile_2x##v, tile_3x##v};
#define TILES_6(v)                                                                                                     \
    TILE_GROUP(1, v)                                                                                                   \
    TILE_GROUP(2, v)                                                                                                   \
    TILE_GROUP(3, v)                                                                                                   \
    TILE_GROUP(4, v)                                                                                                   \
    TILE_GROUP(5, v)                                                                                                   \
    TILE_GROUP(6, v)                                                                                                   \
    static const tile_group tiles_##v[] = {tile_1x##v, tile_2x##v, tile_3x##v, tile_4x##v, tile_5x##v, tile_6x##v};
#define TILES_12(v)                                                                                                    \
    TILE_GROUP(1, v)                                                                                                   \
    TILE_GROUP(2, v)                                                                                                   \
    TILE_GROUP(3, v)                                                                                                   \
    TILE_GROUP(4, v)                                                                                                   \
    TILE_GROUP(5, v)                                                                                                   \
    TILE_GROUP(6, v)                                                                                                   \
    TILE_GROUP(7, v)                                                                                                   \
    TILE_GROUP(8, v)                                                                                                   \
    TILE_GROUP(9, v)                                                                                                   \
    TILE_GROUP(10, v)                                                                                                  \
    TILE_GROUP(11, v)                                                                                                  \
    TILE_GROUP(12, v)                                                                                                  \
    static const tile_group tiles_##v[] = {tile_1x##v, tile_2x##v, tile_3x##v, tile_4x##v,  tile_5x##v,  tile_6x##v,   \
                                           tile_7x##v, tile_8x##v, tile_9x##v, tile_10x##v, tile_11x##v, tile_12x##v};

/* groups[r - 1] does r <= most rows. What is too much for one group and too little for two is halved. */
static inline void tile_all_rows(const struct tile *t, size_t rows, const tile_group *groups, size_t most)
{
    for (size_t m = 0, take; m < rows; m += take) {
        size_t left = rows - m;
        take = left <= most ? left : left < 2 * most ? (left + 1) / 2 : most;
        groups[take - 1](t, m);
    }
}

#endif
