/* ggml_quants.c — parts of ggml's formats that are neither of the first (format.c), nor Q4_K to Q6_K (k_quants.h), nor
 * codebooks (codebook_quants.c).
 *
 * Q5_0 {f16 d; 32 fifth bits; 16 bytes of nibbles}: d (q − 16). Q5_1 {f16 d, f16 m; ...}: d q + m. In both byte i holds
 *   element i in its low and i + 16 in its high nibble. Q8_1 {f16 d, f16 sum; 32 i8}: d q.
 * Q2_K {16 bytes of scale and minimum, 4 bits each; 64 bytes of codes; f16 d, f16 dmin}: d s q − dmin m. Each half of
 *   128 values has four bit planes of 2 bits over 32 bytes.
 * Q3_K {32 bytes of high bits; 64 of low 2 bits as in Q2_K; 16 scales of 6 bits; f16 d}: d (s − 32)(q − 4).
 * Q8_K {f32 d; 256 i8; 16 sums i16}: d q.
 * IQ4_NL {f16 d; nibbles}, IQ4_XS {f16 d; 8 scales of 6 bits; nibbles}: d (s − 32) table[q].
 * TQ1_0: ternary digits, five to a byte; TQ2_0: 2 bits each: d (q − 1).
 * Q1_0 {f16 d; 128 bits}: d or −d. Q2_0 {f16 d; 64 × 2 bits}: d (q − 1). In both the low bits come first.
 * MXFP4 {e8m0; nibbles} and NVFP4 {4 × e4m3; 4 × 8 bytes of nibbles}: E2M1 numbers, doubled, times half the scale. */
#include "quant/codebook.h"
#include "quant/parts.h"

#include <string.h>

/* Nibbles of 16 bytes: part 0 the low ones. */
static uint8_t nibble(const uint8_t *bytes, size_t j, size_t i)
{
    return j ? bytes[i] >> 4 : bytes[i] & 15;
}

static void five_bits(struct quant_part *p, const uint8_t *high, size_t j, int zero)
{
    uint32_t fifth = part_u32(high) >> 16 * j;
    for (size_t i = 0; i < PART; i++)
        p->codes[i] = (int8_t)((nibble(high + 4, j, i) | (int)(fifth >> i & 1) << 4) - zero);
}

static inline void part_q5_0(struct quant_part *p, const uint8_t *block, size_t j)
{
    p->d = part_half(block);
    p->m = NO_MINIMUM;
    five_bits(p, block + 2, j, 16);
}

static inline void part_q5_1(struct quant_part *p, const uint8_t *block, size_t j)
{
    p->d = part_half(block);
    p->m = part_half(block + 2);
    five_bits(p, block + 4, j, 0);
}

static float float_at(const uint8_t *p)
{
    uint32_t bits = part_u32(p);
    float f;
    memcpy(&f, &bits, sizeof f);
    return f;
}

static inline void part_q8_1(struct quant_part *p, const uint8_t *block, size_t j)
{
    p->d = part_half(block);
    p->m = NO_MINIMUM;
    memcpy(p->codes, block + 4 + PART * j, PART);
}

static inline void part_q8_k(struct quant_part *p, const uint8_t *block, size_t j)
{
    p->d = float_at(block);
    p->m = NO_MINIMUM;
    memcpy(p->codes, block + 4 + PART * j, PART);
}

/* ---- two-bit planes: part j of 16 lies in half j / 8, plane j / 2 mod 4, bytes 16 (j mod 2) on ------- */

static const uint8_t *plane(const uint8_t *codes, size_t j, int *shift)
{
    *shift = (int)(j / 2 % 4 * 2);
    return codes + j / 8 * 32 + j % 2 * PART;
}

static inline void part_q2_k(struct quant_part *p, const uint8_t *block, size_t j)
{
    enum { CODES = 16, D = 80 };
    int shift;
    const uint8_t *q = plane(block + CODES, j, &shift);
    p->d = part_half(block + D) * (float)(block[j] & 15);
    p->m = -(part_half(block + D + 2) * (float)(block[j] >> 4));
    for (size_t i = 0; i < PART; i++) p->codes[i] = (int8_t)(q[i] >> shift & 3);
}

/* The low four bits of scale j are those of byte j mod 8, the high two lie in the last four bytes. */
static int scale_q3(const uint8_t *scales, size_t j)
{
    int low = j < 8 ? scales[j] & 15 : scales[j - 8] >> 4;
    return (low | (scales[8 + j % 4] >> j / 4 * 2 & 3) << 4) - 32;
}

static inline void part_q3_k(struct quant_part *p, const uint8_t *block, size_t j)
{
    enum { CODES = 32, SCALES = 96, D = 108 };
    int shift;
    const uint8_t *q = plane(block + CODES, j, &shift), *high = block + j % 2 * PART;
    p->d = part_half(block + D) * (float)scale_q3(block + SCALES, j);
    p->m = NO_MINIMUM;
    for (size_t i = 0; i < PART; i++) p->codes[i] = (int8_t)((q[i] >> shift & 3) - (high[i] >> j / 2 & 1 ? 0 : 4));
}

static inline void part_tq2_0(struct quant_part *p, const uint8_t *block, size_t j)
{
    enum { D = 64 };
    int shift;
    const uint8_t *q = plane(block, j, &shift);
    p->d = part_half(block + D);
    p->m = NO_MINIMUM;
    for (size_t i = 0; i < PART; i++) p->codes[i] = (int8_t)((q[i] >> shift & 3) - 1);
}

/* 32 bytes hold 5 × 32 values, 16 bytes 5 × 16, 4 bytes 4 × 4: digit k of a byte is the top of 3 · (byte · 3ᵏ mod
 * 256). */
static inline void part_tq1_0(struct quant_part *p, const uint8_t *block, size_t j)
{
    enum { FIRST = 160, SECOND = 240, HIGH = 48, D = 52 };
    static const uint8_t powers[] = {1, 3, 9, 27, 81};
    p->d = part_half(block + D);
    p->m = NO_MINIMUM;
    for (size_t i = 0; i < PART; i++) {
        size_t at = PART * j + i, rest = at - (at < FIRST ? 0 : at < SECOND ? FIRST : SECOND);
        size_t width = at < FIRST ? 32 : at < SECOND ? 16 : 4, from = at < FIRST ? 0 : at < SECOND ? 32 : HIGH;
        uint8_t digits = (uint8_t)(block[from + rest % width] * powers[rest / width]);
        p->codes[i] = (int8_t)((digits * 3 >> 8) - 1);
    }
}

/* As TQ2_0 has them. */
void expand_tq1_0(uint8_t *codes, float *scales, const uint8_t *x, size_t n)
{
    enum { FROM = 54, FROM_D = 52, TO = 66, TO_D = 64 };
    (void)scales;
    for (; n; n -= QUANT_BLOCK, x += FROM, codes += TO) {
        memset(codes, 0, TO_D);
        memcpy(codes + TO_D, x + FROM_D, 2);
        for (size_t j = 0; j < QUANT_BLOCK / PART; j++) {
            struct quant_part p;
            int shift;
            size_t at = (size_t)(plane(codes, j, &shift) - codes);
            part_tq1_0(&p, x, j);
            for (size_t i = 0; i < PART; i++) codes[at + i] |= (uint8_t)((p.codes[i] + 1) << shift);
        }
    }
}

/* ---- tables of 16 --------------------------------------------------------------------------- */

static const int8_t nonlinear[16] = {-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113};
static const int8_t e2m1_doubled[16] = {0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12};

static void look_up(struct quant_part *p, const int8_t table[16], const uint8_t *bytes, size_t j)
{
    for (size_t i = 0; i < PART; i++) p->codes[i] = table[nibble(bytes, j, i)];
}

static inline void part_iq4_nl(struct quant_part *p, const uint8_t *block, size_t j)
{
    p->d = part_half(block);
    p->m = NO_MINIMUM;
    look_up(p, nonlinear, block + 2, j);
}

static inline void part_iq4_xs(struct quant_part *p, const uint8_t *block, size_t j)
{
    enum { HIGH = 2, LOW = 4, CODES = 8 };
    size_t b = j / 2;
    int s = (block[LOW + b / 2] >> b % 2 * 4 & 15) | (part_u16(block + HIGH) >> 2 * b & 3) << 4;
    p->d = part_half(block) * (float)(s - 32);
    p->m = NO_MINIMUM;
    look_up(p, nonlinear, block + CODES + PART * b, j % 2);
}

static inline void part_mxfp4(struct quant_part *p, const uint8_t *block, size_t j)
{
    /* 2^(e − 128), subnormal for e < 2 */
    uint32_t bits = block[0] < 2 ? (uint32_t)0x00200000 << block[0] : (uint32_t)(block[0] - 1) << 23;
    memcpy(&p->d, &bits, sizeof p->d);
    p->m = NO_MINIMUM;
    look_up(p, e2m1_doubled, block + 1, j);
}

static inline void part_nvfp4(struct quant_part *p, const uint8_t *block, size_t j)
{
    /* Unsigned: the top bit counts for nothing but that 0x7F is 0 and 0xFF 480. */
    uint8_t scale = block[j];
    p->d = scale == 0x7F ? 0 : scale == 0xFF ? 240 : e4m3_to_float(scale & 0x7F) * 0.5f;
    p->m = NO_MINIMUM;
    for (size_t i = 0; i < PART; i++) {
        uint8_t byte = block[4 + 8 * j + i % 8];
        p->codes[i] = e2m1_doubled[i < 8 ? byte & 15 : byte >> 4];
    }
}

/* ---- one bit, two bits -------------------------------------------------------------------- */

static inline void part_q1_0(struct quant_part *p, const uint8_t *block, size_t j)
{
    uint16_t bits = part_u16(block + 2 + 2 * j);
    p->d = part_half(block);
    p->m = NO_MINIMUM;
    for (size_t i = 0; i < PART; i++) p->codes[i] = bits >> i & 1 ? 1 : -1;
}

static inline void part_q2_0(struct quant_part *p, const uint8_t *block, size_t j)
{
    uint32_t codes = part_u32(block + 2 + 4 * j);
    p->d = part_half(block);
    p->m = NO_MINIMUM;
    for (size_t i = 0; i < PART; i++) p->codes[i] = (int8_t)((int)(codes >> 2 * i & 3) - 1);
}

PARTS(q5_0, 32, 22)
PARTS(q5_1, 32, 24)
PARTS(q8_1, 32, 36)
PARTS(q2_k, 256, 84)
PARTS(q3_k, 256, 110)
PARTS(q8_k, 256, 292)
PARTS(iq4_nl, 32, 18)
PARTS(iq4_xs, 256, 136)
PARTS(tq1_0, 256, 54)
PARTS(tq2_0, 256, 66)
PARTS(mxfp4, 32, 17)
PARTS(nvfp4, 64, 36)
PARTS(q1_0, 128, 18)
PARTS(q2_0, 64, 18)
