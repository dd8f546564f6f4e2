/* format.c — the table of formats and their scalar dequantisation, the specification of every faster unpacker.
 *
 * Block layouts (ggml): Q4_0 {f16 d; 16 bytes}, Q4_1 {f16 d, f16 m; 16 bytes}, Q8_0 {f16 d; 32 i8}. In the 4-bit
 * formats byte i holds element i in its low and element i + 16 in its high nibble. Q4_K, Q5_K, Q6_K: k_quants.h. */
#include "quant/k_quants.h"
#include "base/memory.h"
#include "quant/parts.h"
#include "quant/planes.h"

#include <math.h>
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

/* Exponent and mantissa as those of a tiny f32, times 2^120. */
float e4m3_to_float(uint8_t e)
{
    uint32_t bits = (uint32_t)(e & 0x7F) << 20;
    float f;
    memcpy(&f, &bits, sizeof f);
    f = bits == 0x7F << 20 ? NAN : f * 0x1p120f;
    return e & 0x80 ? -f : f;
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
    [QUANT_Q5_0] = {"Q5_0", 32, 22, 6, dequantize_q5_0},
    [QUANT_Q5_1] = {"Q5_1", 32, 24, 7, dequantize_q5_1},
    [QUANT_Q8_1] = {"Q8_1", 32, 36, 9, dequantize_q8_1},
    [QUANT_Q2_K] = {"Q2_K", 256, 84, 10, dequantize_q2_k},
    [QUANT_Q3_K] = {"Q3_K", 256, 110, 11, dequantize_q3_k},
    [QUANT_Q8_K] = {"Q8_K", 256, 292, 15, dequantize_q8_k},
    [QUANT_IQ1_S] = {"IQ1_S", 256, 50, 19, dequantize_iq1_s},
    [QUANT_IQ1_M] = {"IQ1_M", 256, 56, 29, dequantize_iq1_m},
    [QUANT_IQ2_XXS] = {"IQ2_XXS", 256, 66, 16, dequantize_iq2_xxs},
    [QUANT_IQ2_XS] = {"IQ2_XS", 256, 74, 17, dequantize_iq2_xs},
    [QUANT_IQ2_S] = {"IQ2_S", 256, 82, 22, dequantize_iq2_s},
    [QUANT_IQ3_XXS] = {"IQ3_XXS", 256, 98, 18, dequantize_iq3_xxs},
    [QUANT_IQ3_S] = {"IQ3_S", 256, 110, 21, dequantize_iq3_s},
    [QUANT_IQ4_NL] = {"IQ4_NL", 32, 18, 20, dequantize_iq4_nl},
    [QUANT_IQ4_XS] = {"IQ4_XS", 256, 136, 23, dequantize_iq4_xs},
    [QUANT_TQ1_0] = {"TQ1_0", 256, 54, 34, dequantize_tq1_0},
    [QUANT_TQ2_0] = {"TQ2_0", 256, 66, 35, dequantize_tq2_0},
    [QUANT_GGML_MXFP4] = {"MXFP4", 32, 17, 39, dequantize_mxfp4},
    [QUANT_GGML_NVFP4] = {"NVFP4", 64, 36, 40, dequantize_nvfp4},
    [QUANT_Q1_0] = {"Q1_0", 128, 18, 41, dequantize_q1_0},
    [QUANT_Q2_0] = {"Q2_0", 64, 18, 42, dequantize_q2_0},
    [QUANT_AFFINE2] = {"affine 2", 4, 1, QUANT_NO_GGML, NULL},
    [QUANT_AFFINE3] = {"affine 3", 8, 3, QUANT_NO_GGML, NULL},
    [QUANT_AFFINE4] = {"affine 4", 2, 1, QUANT_NO_GGML, NULL},
    [QUANT_AFFINE5] = {"affine 5", 8, 5, QUANT_NO_GGML, NULL},
    [QUANT_AFFINE6] = {"affine 6", 4, 3, QUANT_NO_GGML, NULL},
    [QUANT_AFFINE8] = {"affine 8", 1, 1, QUANT_NO_GGML, NULL},
    [QUANT_MXFP4] = {"mxfp4", 2, 1, QUANT_NO_GGML, NULL},
    [QUANT_MXFP8] = {"mxfp8", 1, 1, QUANT_NO_GGML, NULL},
    [QUANT_NVFP4] = {"nvfp4", 2, 1, QUANT_NO_GGML, NULL},
    [QUANT_GRID1] = {"IQ1 grid", 2, 1, QUANT_NO_GGML, NULL},
    [QUANT_GRID2] = {"IQ2 grid", 2, 1, QUANT_NO_GGML, NULL},
    [QUANT_GRID3] = {"IQ3_XXS grid", 2, 1, QUANT_NO_GGML, NULL},
    [QUANT_GRID3_S] = {"IQ3_S grid", 2, 1, QUANT_NO_GGML, NULL},
    [QUANT_NF4] = {"NF4", 2, 1, QUANT_NO_GGML, NULL},
    [QUANT_FP4] = {"FP4", 2, 1, QUANT_NO_GGML, NULL},
    [QUANT_INT8] = {"int8", 1, 1, QUANT_NO_GGML, NULL},
    [QUANT_FP8] = {"FP8", 1, 1, QUANT_NO_GGML, NULL},
};

const struct quant_format *quant_from_ggml(uint32_t ggml_type)
{
    for (size_t i = 0; i < QUANT_TYPES; i++)
        if (quant_formats[i].ggml_type == ggml_type && ggml_type != QUANT_NO_GGML) return &quant_formats[i];
    return NULL;
}

bool quant_row_bytes(enum quant_type type, size_t elements, size_t *bytes)
{
    const struct quant_format *f = &quant_formats[type];
    return elements % f->block == 0 && size_mul(elements / f->block, f->block_bytes, bytes);
}

/* A block that begins or ends outside is dequantised whole. */
static void dequantize_blocks(float *y, const struct quant_matrix *w, size_t row, size_t col, size_t n)
{
    const struct quant_format *f = &quant_formats[w->type];
    const uint8_t *data = w->data + row * w->row_bytes + col / f->block * f->block_bytes;
    size_t skip = col % f->block;
    while (n) {
        float block[QUANT_BLOCK];
        if (!skip && n >= f->block) {
            size_t whole = n / f->block;
            f->dequantize(y, data, whole * f->block);
            y += whole * f->block, n -= whole * f->block, data += whole * f->block_bytes;
            continue;
        }
        size_t take = f->block - skip < n ? f->block - skip : n;
        f->dequantize(block, data, f->block);
        memcpy(y, block + skip, take * sizeof *y);
        y += take, n -= take, skip = 0, data += f->block_bytes;
    }
}

struct quant_matrix quant_rows_from(struct quant_matrix w, size_t row)
{
    struct quant_planes *p = &w.planes;
    w.data += row * w.row_bytes;
    w.rows -= row;
    if (w.type < QUANT_PLANES) return w;
    size_t bytes = row * w.cols / p->group * scale_bytes(p->scale_type);
    p->scales += bytes;
    if (p->mins) p->mins += bytes;
    return w;
}

void quant_dequantize(float *y, const struct quant_matrix *w, size_t row, size_t col, size_t n)
{
    if (w->type >= QUANT_PLANES)
        planes_dequantize(y, w, row, col, n);
    else
        dequantize_blocks(y, w, row, col, n);
}
