/* codebook_quants.c — parts of ggml's IQ1, IQ2 and IQ3 formats: super-blocks of 256 values, whose codes are vectors of
 * 8 or 4 small numbers from a codebook (codebook_grids.h), times a scale.
 *
 * IQ2_XXS {f16 d; 8 × {4 bytes of indices; 4 × 7 bits of signs, 4 of scale}}: d (½ + s)/4 · grid.
 * IQ2_XS  {f16 d; 32 × {9 bits of index, 7 of signs}; 8 × 2 scales of 4 bits}.
 * IQ2_S   {f16 d; 32 low bytes of indices; 32 bytes of signs; 8 bytes of high bits; 8 × 2 scales}.
 * IQ3_XXS {f16 d; 64 bytes of indices of 4 values; 8 × {4 × 7 bits of signs, 4 of scale}}: d (½ + s)/2 · grid.
 * IQ3_S   {f16 d; 64 indices; 8 bytes of high bits; 32 of signs; 4 × 2 scales}: d (1 + 2 s) · grid.
 * IQ1_S   {f16 d; 32 low bytes of indices; 8 × {4 × 3 high bits, 3 of scale, sign of δ}}: d (2 s + 1)(grid ± ⅛).
 * IQ1_M   {32 low bytes; 16 × {2 × {3 high bits, sign of δ}}; 8 bytes: 16 scales of 3 bits and d's f16}.
 * Seven bits of signs leave the eighth to make their number even. */
#include "quant/codebook_grids.h"
#include "quant/codebook.h"
#include "quant/parts.h"

static const int8_t values_iq2[3] = {8, 25, 43}, values_iq1[3] = {-1, 0, 1};
static const int8_t values_iq3_xxs[8] = {4, 12, 20, 28, 36, 44, 52, 62}, values_iq3_s[8] = {1, 3, 5, 7, 9, 11, 13, 15};

static uint8_t eight_signs(uint32_t seven)
{
    uint32_t parity = seven ^ seven >> 4;
    parity ^= parity >> 2;
    parity ^= parity >> 1;
    return (uint8_t)(seven | (parity & 1) << 7);
}

/* n values of a vector, negative where their sign bit is set. */
static void put(int8_t *codes, const int8_t *values, uint16_t vector, int bits, size_t n, uint32_t signs)
{
    for (size_t i = 0; i < n; i++) {
        int8_t v = values[vector >> bits * (int)i & ((1 << bits) - 1)];
        codes[i] = signs >> i & 1 ? (int8_t)-v : v;
    }
}

static inline void part_iq2_xxs(struct quant_part *p, const uint8_t *block, size_t j)
{
    const uint8_t *at = block + 2 + j / 2 * 8;
    uint32_t more = part_u32(at + 4);
    p->d = part_half(block) * (0.5f + (float)(more >> 28)) * 0.25f;
    p->m = NO_MINIMUM;
    for (size_t l = 0; l < 2; l++) {
        size_t k = j % 2 * 2 + l;
        put(p->codes + 8 * l, values_iq2, grid_iq2_xxs[at[k]], 2, 8, eight_signs(more >> 7 * k & 127));
    }
}

static inline void part_iq2_xs(struct quant_part *p, const uint8_t *block, size_t j)
{
    enum { SCALES = 66 };
    p->d = part_half(block) * (0.5f + (float)(block[SCALES + j / 2] >> j % 2 * 4 & 15)) * 0.25f;
    p->m = NO_MINIMUM;
    for (size_t l = 0; l < 2; l++) {
        uint16_t q = part_u16(block + 2 + 2 * (2 * j + l));
        put(p->codes + 8 * l, values_iq2, grid_iq2_xs[q & 511], 2, 8, eight_signs(q >> 9));
    }
}

static inline void part_iq2_s(struct quant_part *p, const uint8_t *block, size_t j)
{
    enum { LOW = 2, SIGNS = 34, HIGH = 66, SCALES = 74 };
    p->d = part_half(block) * (0.5f + (float)(block[SCALES + j / 2] >> j % 2 * 4 & 15)) * 0.25f;
    p->m = NO_MINIMUM;
    for (size_t l = 0; l < 2; l++) {
        size_t k = 2 * j + l, high = block[HIGH + j / 2] >> 2 * (k % 4) & 3;
        put(p->codes + 8 * l, values_iq2, grid_iq2_s[block[LOW + k] | high << 8], 2, 8, block[SIGNS + k]);
    }
}

static inline void part_iq3_xxs(struct quant_part *p, const uint8_t *block, size_t j)
{
    enum { MORE = 66 };
    uint32_t more = part_u32(block + MORE + j / 2 * 4);
    p->d = part_half(block) * (0.5f + (float)(more >> 28)) * 0.5f;
    p->m = NO_MINIMUM;
    for (size_t l = 0; l < 4; l++) {
        uint32_t signs = eight_signs(more >> 7 * (j % 2 * 2 + l / 2) & 127);
        put(p->codes + 4 * l, values_iq3_xxs, grid_iq3_xxs[block[2 + 4 * j + l]], 3, 4, signs >> l % 2 * 4);
    }
}

static inline void part_iq3_s(struct quant_part *p, const uint8_t *block, size_t j)
{
    enum { LOW = 2, HIGH = 66, SIGNS = 74, SCALES = 106 };
    p->d = part_half(block) * (float)(1 + 2 * (block[SCALES + j / 4] >> j / 2 % 2 * 4 & 15));
    p->m = NO_MINIMUM;
    for (size_t l = 0; l < 4; l++) {
        size_t k = 4 * j + l, high = block[HIGH + j / 2] >> k % 8 & 1;
        put(p->codes + 4 * l, values_iq3_s, grid_iq3_s[block[LOW + k] | high << 8], 3, 4,
            block[SIGNS + k / 2] >> k % 2 * 4);
    }
}

/* Vectors are in eighths: 8 · (grid ± 1/8). */
static void put_iq1(int8_t *codes, size_t index, bool below)
{
    put(codes, values_iq1, grid_iq1[index], 2, 8, 0);
    for (size_t i = 0; i < 8; i++) codes[i] = (int8_t)(8 * codes[i] + (below ? -1 : 1));
}

static inline void part_iq1_s(struct quant_part *p, const uint8_t *block, size_t j)
{
    enum { LOW = 2, HIGH = 34 };
    uint16_t high = part_u16(block + HIGH + j / 2 * 2);
    p->d = part_half(block) * (float)(2 * (high >> 12 & 7) + 1) * 0.125f;
    p->m = NO_MINIMUM;
    for (size_t l = 0; l < 2; l++) {
        size_t k = j % 2 * 2 + l;
        put_iq1(p->codes + 8 * l, block[LOW + 2 * j + l] | (size_t)(high >> 3 * k & 7) << 8, high >> 15);
    }
}

static inline void part_iq1_m(struct quant_part *p, const uint8_t *block, size_t j)
{
    enum { HIGH = 32, SCALES = 48 };
    const uint8_t *s = block + SCALES;
    uint16_t d = (uint16_t)(s[1] >> 4 | (s[3] & 0xF0) | (s[5] & 0xF0) << 4 | (s[7] & 0xF0) << 8);
    p->d = half_to_float(d) * (float)(2 * (part_u16(s + j / 4 * 2) >> j % 4 * 3 & 7) + 1) * 0.125f;
    p->m = NO_MINIMUM;
    for (size_t l = 0; l < 2; l++) {
        uint8_t high = (uint8_t)(block[HIGH + j] >> 4 * l);
        put_iq1(p->codes + 8 * l, block[2 * j + l] | (size_t)(high & 7) << 8, high >> 3 & 1);
    }
}

PARTS(iq1_s, 256, 50)
PARTS(iq1_m, 256, 56)
PARTS(iq2_xxs, 256, 66)
PARTS(iq2_xs, 256, 74)
PARTS(iq2_s, 256, 82)
PARTS(iq3_xxs, 256, 98)
PARTS(iq3_s, 256, 110)

/* ---- as nibbles ----------------------------------------------------------------------------- */

/* The code c of a part becomes (c + add) >> shift, its place among the grid's numbers (planes.c). */
static inline __attribute__((always_inline)) void parts_expand(quant_part_fn *part, size_t block_bytes, size_t group,
                                                               int add, int shift, uint8_t *codes, float *scales,
                                                               const uint8_t *x, size_t n)
{
    struct quant_part p;
    for (; n; n -= QUANT_BLOCK, x += block_bytes)
        for (size_t j = 0; j < QUANT_BLOCK / PART; j++, codes += PART / 2) {
            uint8_t place[PART];
            part(&p, x, j);
            if (j * PART % group == 0) *scales++ = p.d;
            for (size_t i = 0; i < PART; i++) place[i] = (uint8_t)((p.codes[i] + add) >> shift);
            for (size_t i = 0; i < PART / 2; i++) codes[i] = (uint8_t)(place[2 * i] | place[2 * i + 1] << 4);
        }
}
#define EXPAND(name, bytes, group, add, shift)                                                                         \
    FOR_EVERY_CPU static void expand_##name(uint8_t *codes, float *scales, const uint8_t *x, size_t n)                 \
    {                                                                                                                  \
        parts_expand(part_##name, bytes, group, add, shift, codes, scales, x, n);                                      \
    }
EXPAND(iq1_s, 50, 16, 9, 1)
EXPAND(iq1_m, 56, 16, 9, 1)
EXPAND(iq2_xxs, 66, 16, 48, 4)
EXPAND(iq2_xs, 74, 16, 48, 4)
EXPAND(iq2_s, 82, 16, 48, 4)
EXPAND(iq3_xxs, 98, 32, 64, 3)
EXPAND(iq3_s, 110, 32, 15, 1)

const struct quant_expansion *quant_expansion_of(enum quant_type type)
{
    static const struct quant_expansion expansions[QUANT_TYPES] = {
        [QUANT_IQ1_S] = {QUANT_GRID1, 16, expand_iq1_s},     [QUANT_IQ1_M] = {QUANT_GRID1, 16, expand_iq1_m},
        [QUANT_IQ2_XXS] = {QUANT_GRID2, 16, expand_iq2_xxs}, [QUANT_IQ2_XS] = {QUANT_GRID2, 16, expand_iq2_xs},
        [QUANT_IQ2_S] = {QUANT_GRID2, 16, expand_iq2_s},     [QUANT_IQ3_XXS] = {QUANT_GRID3, 32, expand_iq3_xxs},
        [QUANT_IQ3_S] = {QUANT_GRID3_S, 32, expand_iq3_s},   [QUANT_TQ1_0] = {QUANT_TQ2_0, 0, expand_tq1_0},
    };
    return expansions[type].expand ? &expansions[type] : NULL;
}
