/* quantize_k_put.c — how the k-quants and IQ4_XS lay a super-block out: what k_quants.h and ggml_quants.c read. */
#include "quant/k_quants.h"
#include "quant/quantize_k.h"
#include "quant/quantize_fit.h"

#include <string.h>

static void put_q2_k(const struct super *b, uint8_t *out)
{
    for (size_t j = 0; j < 16; j++) out[j] = (uint8_t)(b->s[j] | b->m[j] << 4);
    for (size_t i = 0; i < K_SUPER; i++) out[16 + i / 128 * 32 + i % 32] |= (uint8_t)(b->codes[i] << i / 32 % 4 * 2);
    put_half(out + 80, b->d);
    put_half(out + 82, b->dmin);
}

static void put_q3_k(const struct super *b, uint8_t *out)
{
    for (size_t i = 0; i < K_SUPER; i++) {
        int code = b->codes[i];
        out[i % 32] |= (uint8_t)(code >> 2 << i / 32);
        out[32 + i / 128 * 32 + i % 32] |= (uint8_t)((code & 3) << i / 32 % 4 * 2);
    }
    for (size_t j = 0; j < 16; j++) {
        int s = b->s[j] + 32;
        out[96 + j % 8] |= (uint8_t)((s & 15) << j / 8 * 4);
        out[104 + j % 4] |= (uint8_t)(s >> 4 << j / 4 * 2);
    }
    put_half(out + 108, b->d);
}

/* As k_scale_min reads them. */
static void put_scales(const struct super *b, uint8_t *scales)
{
    for (size_t j = 0; j < 4; j++) {
        scales[j] = (uint8_t)(b->s[j] | b->s[j + 4] >> 4 << 6);
        scales[j + 4] = (uint8_t)(b->m[j] | b->m[j + 4] >> 4 << 6);
        scales[j + 8] = (uint8_t)((b->s[j + 4] & 15) | (b->m[j + 4] & 15) << 4);
    }
}

static void put_q4_q5_k(const struct super *b, bool five, uint8_t *out)
{
    uint8_t *nibbles = out + (five ? Q5_K_NIBBLES : Q4_K_NIBBLES);
    put_half(out, b->d);
    put_half(out + 2, b->dmin);
    put_scales(b, out + K_SCALES);
    for (size_t i = 0; i < K_SUPER; i++) {
        int code = b->codes[i];
        nibbles[i / 64 * 32 + i % 32] |= (uint8_t)((code & 15) << i / 32 % 2 * 4);
        if (five) out[Q5_K_HIGH + i % 32] |= (uint8_t)(code >> 4 << i / 32);
    }
}

static void put_q4_k(const struct super *b, uint8_t *out)
{
    put_q4_q5_k(b, false, out);
}

static void put_q5_k(const struct super *b, uint8_t *out)
{
    put_q4_q5_k(b, true, out);
}

static void put_q6_k(const struct super *b, uint8_t *out)
{
    for (size_t i = 0; i < K_SUPER; i++) {
        int code = b->codes[i];
        size_t j = i / 32;
        out[j / 4 * 64 + j % 2 * 32 + i % 32] |= (uint8_t)((code & 15) << j % 4 / 2 * 4);
        out[Q6_K_HIGH + j / 4 * 32 + i % 32] |= (uint8_t)(code >> 4 << j % 4 * 2);
    }
    for (size_t j = 0; j < 16; j++) out[Q6_K_SCALES + j] = (uint8_t)(int8_t)b->s[j];
    put_half(out + Q6_K_D, b->d);
}

static void put_iq4_xs(const struct super *b, uint8_t *out)
{
    unsigned high = 0;
    for (size_t j = 0; j < 8; j++) {
        unsigned s = (unsigned)(b->s[j] + 32);
        out[4 + j / 2] |= (uint8_t)((s & 15) << j % 2 * 4);
        high |= s >> 4 << 2 * j;
        put_nibbles(out + 8 + 16 * j, b->codes + 32 * j);
    }
    put_half(out, b->d);
    put_u16(out + 2, (uint16_t)high);
}

void put_super(enum quant_type type, const struct super *b, uint8_t *out)
{
    static void (*const put[QUANT_TYPES])(const struct super *b, uint8_t *out) = {
        [QUANT_Q2_K] = put_q2_k, [QUANT_Q3_K] = put_q3_k, [QUANT_Q4_K] = put_q4_k,
        [QUANT_Q5_K] = put_q5_k, [QUANT_Q6_K] = put_q6_k, [QUANT_IQ4_XS] = put_iq4_xs,
    };
    memset(out, 0, quant_formats[type].block_bytes);
    put[type](b, out);
}
