/* peaks_amx.c — AVX-512's loops, and the tile products of bf16 and int8: four chains, as many as the kernels have. */
#include "backend/cpu/peaks.h"
#include "backend/cpu/tiles_amx.h"

/* In one round: 4 products of 16 rows × 16 columns, `depth` deep. */
#define PEAK(name, product, depth)                                                                                     \
    static double name(size_t rounds, float *sink)                                                                     \
    {                                                                                                                  \
        float sum[TILE_COLS];                                                                                          \
        tiles_configure((uint8_t[TILES]){16, 16, 16, 16, 16, 16, 16, 16});                                             \
        for (size_t r = 0; r < rounds; r++) {                                                                          \
            product(0, 4, 5);                                                                                          \
            product(1, 4, 6);                                                                                          \
            product(2, 7, 5);                                                                                          \
            product(3, 7, 6);                                                                                          \
        }                                                                                                              \
        _tile_stored(0, sum, 0);                                                                                       \
        _tile_release();                                                                                               \
        *sink += sum[0];                                                                                               \
        return 2.0 * 4 * 16 * 16 * (depth) * (double)rounds;                                                           \
    }
PEAK(bf16, _tile_dpbf16ps, 32)
PEAK(int8, _tile_dpbusd, 64)

void peaks_amx(struct cpu_peaks *p)
{
    peaks_avx512(p);
    p->bf16 = bf16;
    p->int8 = int8;
}
