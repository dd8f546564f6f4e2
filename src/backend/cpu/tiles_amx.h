/* tiles_amx.h — AMX tile registers: a kernel configures them at its start and releases them at its end, so that
 * nothing of them is left to the program around lorac, which may use them too. */
#ifndef CPU_TILES_AMX_H
#define CPU_TILES_AMX_H

#include <immintrin.h>
#include <stdint.h>

enum {
    TILE_ROWS = 16,  /* of a register */
    TILE_BYTES = 64, /* of its row: 16 f32 or i32, 32 bf16, 64 bytes */
    TILE_COLS = 16,  /* f32 of a row */
    TILE_DEPTH = 32, /* bf16 of a row */
    TILES = 8,
};

/* Memory is as the program says before whatever follows: the compiler does not know what tile instructions read. */
static inline void tiles_see_memory(const void *p)
{
    __asm__ volatile("" : : "r"(p) : "memory");
}

/* Registers with rows[i] rows of 64 bytes; all of them become zero. */
static inline void tiles_configure(const uint8_t rows[TILES])
{
    struct {
        uint8_t palette, start_row, reserved[14];
        uint16_t row_bytes[16];
        uint8_t rows[16];
    } config = {.palette = 1};
    for (int i = 0; i < TILES; i++) {
        config.row_bytes[i] = rows[i] ? TILE_BYTES : 0;
        config.rows[i] = rows[i];
    }
    tiles_see_memory(&config);
    _tile_loadconfig(&config);
}

/* Registers 0 .. 3, in which every kernel keeps its sums. */
static inline __attribute__((always_inline)) void tiles_zero_sums(void)
{
    _tile_zero(0);
    _tile_zero(1);
    _tile_zero(2);
    _tile_zero(3);
}

#endif
