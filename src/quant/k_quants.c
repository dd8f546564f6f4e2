/* k_quants.c — the scalar dequantisation of Q4_K, Q5_K and Q6_K, the specification of every faster unpacker. */
#include "quant/k_quants.h"

enum { BLOCK = 32, BLOCKS = K_SUPER / BLOCK };

static float half_at(const uint8_t *p)
{
    return half_to_float((uint16_t)(p[0] | p[1] << 8));
}

static void codes_q6(uint8_t codes[BLOCK], const uint8_t *super, size_t j)
{
    const uint8_t *low = super + j / 4 * 64 + j % 2 * BLOCK, *high = super + Q6_K_HIGH + j / 4 * BLOCK;
    for (size_t i = 0; i < BLOCK; i++)
        codes[i] = (uint8_t)((low[i] >> j % 4 / 2 * 4 & 15) | (high[i] >> j % 4 * 2 & 3) << 4);
}

void k_codes(enum quant_type type, uint8_t codes[BLOCK], const uint8_t *super, size_t j)
{
    if (type == QUANT_Q6_K) {
        codes_q6(codes, super, j);
        return;
    }
    const uint8_t *low = super + (type == QUANT_Q4_K ? Q4_K_NIBBLES : Q5_K_NIBBLES) + j / 2 * BLOCK;
    for (size_t i = 0; i < BLOCK; i++) {
        uint8_t fifth = type == QUANT_Q5_K ? super[Q5_K_HIGH + i] >> j & 1 : 0;
        codes[i] = (uint8_t)((low[i] >> j % 2 * 4 & 15) | fifth << 4);
    }
}

/* Scales and minimums: Q4_K, Q5_K. */
static void dequantize_min(enum quant_type type, float *y, const uint8_t *super, size_t n, size_t bytes)
{
    for (; n; n -= K_SUPER, super += bytes) {
        float d = half_at(super), dmin = half_at(super + 2);
        for (size_t j = 0; j < BLOCKS; j++, y += BLOCK) {
            uint8_t codes[BLOCK], s, m;
            k_codes(type, codes, super, j);
            k_scale_min(super + K_SCALES, j, &s, &m);
            for (int i = 0; i < BLOCK; i++) y[i] = d * (float)s * (float)codes[i] - dmin * (float)m;
        }
    }
}

void dequantize_q4_k(float *y, const void *x, size_t n)
{
    dequantize_min(QUANT_Q4_K, y, x, n, Q4_K_BYTES);
}

void dequantize_q5_k(float *y, const void *x, size_t n)
{
    dequantize_min(QUANT_Q5_K, y, x, n, Q5_K_BYTES);
}

void dequantize_q6_k(float *y, const void *x, size_t n)
{
    for (const uint8_t *super = x; n; n -= K_SUPER, super += Q6_K_BYTES) {
        float d = half_at(super + Q6_K_D);
        for (size_t j = 0; j < BLOCKS; j++, y += BLOCK) {
            uint8_t codes[BLOCK];
            k_codes(QUANT_Q6_K, codes, super, j);
            for (size_t i = 0; i < BLOCK; i++) {
                int8_t s = (int8_t)super[Q6_K_SCALES + 2 * j + i / 16];
                y[i] = d * (float)s * (float)(codes[i] - 32);
            }
        }
    }
}
