/* format.c — the table of formats and their scalar dequantisation, the specification of every faster unpacker.
 *
 * Block layouts (ggml): Q4_0 {f16 d; 16 bytes}, Q4_1 {f16 d, f16 m; 16 bytes}, Q8_0 {f16 d; 32 i8}. In the 4-bit
 * formats byte i holds element i in its low and element i + 16 in its high nibble. Q4_K, Q5_K, Q6_K: k_quants.h. */
#include "quant/k_quants.h"
#include "base/memory.h"

#include <string.h>

float bf16_to_float(uint16_t h)
{
    uint32_t bits = (uint32_t)h << 16;
    float f;
    memcpy(&f, &bits, sizeof f);
    return f;
}

uint16_t float_to_bf16(float f)
{
    uint32_t bits;
    memcpy(&bits, &f, sizeof bits);
    if ((bits & 0x7FFFFFFF) > 0x7F800000) return (uint16_t)(bits >> 16 | 0x40); /* NaN, quiet */
    return (uint16_t)((bits + 0x7FFF + (bits >> 16 & 1)) >> 16);
}

float half_to_float(uint16_t h)
{
    uint32_t sign = (uint32_t)(h & 0x8000) << 16, exponent = h >> 10 & 31, mantissa = h & 1023, bits;
    if (exponent == 31)
        bits = sign | 0x7F800000 | mantissa << 13;
    else if (exponent)
        bits = sign | (exponent + 112) << 23 | mantissa << 13;
    else {
        float f = (float)mantissa * 0x1p-24f; /* zero and subnormals */
        return sign ? -f : f;
    }
    float f;
    memcpy(&f, &bits, sizeof f);
    return f;
}

uint16_t float_to_half(float f)
{
    uint32_t bits;
    memcpy(&bits, &f, sizeof bits);
    uint16_t sign = (uint16_t)(bits >> 16 & 0x8000);
    bits &= 0x7FFFFFFF;
    if (bits > 0x7F800000) return sign | 0x7E00;
    if (bits >= 0x47800000) return sign | 0x7C00; /* 65536 and more: infinity */
    if (bits < 0x38800000) {                      /* subnormal result: let the adder round */
        float magic = 0.5f, value;
        memcpy(&value, &bits, sizeof value);
        value += magic;
        memcpy(&bits, &value, sizeof bits);
        return sign | (uint16_t)(bits - 0x3F000000);
    }
    bits += 0xC8000FFF + (bits >> 13 & 1);
    return sign | (uint16_t)(bits >> 13);
}

static uint16_t u16_at(const uint8_t *p)
{
    return (uint16_t)(p[0] | p[1] << 8);
}

static void dequantize_f32(float *y, const void *x, size_t n)
{
    memcpy(y, x, n * sizeof *y);
}

static void dequantize_f16(float *y, const void *x, size_t n)
{
    for (size_t i = 0; i < n; i++) y[i] = half_to_float(u16_at((const uint8_t *)x + 2 * i));
}

static void dequantize_bf16(float *y, const void *x, size_t n)
{
    for (size_t i = 0; i < n; i++) y[i] = bf16_to_float(u16_at((const uint8_t *)x + 2 * i));
}

static void dequantize_q4_0(float *y, const void *x, size_t n)
{
    const uint8_t *block = x;
    for (size_t b = 0; b < n / 32; b++, block += 18, y += 32) {
        float d = half_to_float(u16_at(block));
        for (int i = 0; i < 16; i++) {
            y[i] = (float)((block[2 + i] & 15) - 8) * d;
            y[i + 16] = (float)((block[2 + i] >> 4) - 8) * d;
        }
    }
}

static void dequantize_q4_1(float *y, const void *x, size_t n)
{
    const uint8_t *block = x;
    for (size_t b = 0; b < n / 32; b++, block += 20, y += 32) {
        float d = half_to_float(u16_at(block)), m = half_to_float(u16_at(block + 2));
        for (int i = 0; i < 16; i++) {
            y[i] = (float)(block[4 + i] & 15) * d + m;
            y[i + 16] = (float)(block[4 + i] >> 4) * d + m;
        }
    }
}

static void dequantize_q8_0(float *y, const void *x, size_t n)
{
    const uint8_t *block = x;
    for (size_t b = 0; b < n / 32; b++, block += 34, y += 32) {
        float d = half_to_float(u16_at(block));
        for (int i = 0; i < 32; i++) y[i] = (float)(int8_t)block[2 + i] * d;
    }
}

const struct quant_format quant_formats[QUANT_TYPES] = {
    [QUANT_F32] = {"F32", 1, 4, 0, dequantize_f32},
    [QUANT_F16] = {"F16", 1, 2, 1, dequantize_f16},
    [QUANT_BF16] = {"BF16", 1, 2, 30, dequantize_bf16},
    [QUANT_Q4_0] = {"Q4_0", 32, 18, 2, dequantize_q4_0},
    [QUANT_Q4_1] = {"Q4_1", 32, 20, 3, dequantize_q4_1},
    [QUANT_Q8_0] = {"Q8_0", 32, 34, 8, dequantize_q8_0},
    [QUANT_Q4_K] = {"Q4_K", K_SUPER, Q4_K_BYTES, 12, dequantize_q4_k},
    [QUANT_Q5_K] = {"Q5_K", K_SUPER, Q5_K_BYTES, 13, dequantize_q5_k},
    [QUANT_Q6_K] = {"Q6_K", K_SUPER, Q6_K_BYTES, 14, dequantize_q6_k},
};

const struct quant_format *quant_from_ggml(uint32_t ggml_type)
{
    for (size_t i = 0; i < QUANT_TYPES; i++)
        if (quant_formats[i].ggml_type == ggml_type) return &quant_formats[i];
    return NULL;
}

bool quant_row_bytes(enum quant_type type, size_t elements, size_t *bytes)
{
    const struct quant_format *f = &quant_formats[type];
    return elements % f->block == 0 && size_mul(elements / f->block, f->block_bytes, bytes);
}
