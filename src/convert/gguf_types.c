/* gguf_types.c — the types of a GGUF's matrices. See conversion.h. */
#include "convert/conversion.h"

#include "quant/pack.h"

#include <math.h>
#include <string.h>

static const struct gguf_kind kinds[] = {
    {"f32", QUANT_F32, 0, QUANT_F32},
    {"f16", QUANT_F16, 1, QUANT_F16},
    {"bf16", QUANT_BF16, 32, QUANT_BF16},
    {"q8_0", QUANT_Q8_0, 7, QUANT_F16},
};

const struct gguf_kind *gguf_kind_named(const char *name)
{
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        if (!strcmp(kinds[i].name, name)) return &kinds[i];
    return NULL;
}

enum quant_type gguf_type_for(const struct gguf_kind *kind, size_t cols)
{
    if (cols % quant_formats[kind->type].block == 0) return kind->type;
    return cols % quant_formats[kind->fallback].block == 0 ? kind->fallback : QUANT_F16;
}

enum quant_type block_type_of(enum st_dtype dtype)
{
    return dtype == ST_F32 ? QUANT_F32 : dtype == ST_F16 ? QUANT_F16 : QUANT_BF16;
}

/* ---- blocks -------------------------------------------------------------------------------- */

/* d = max / 127, codes to the nearest: ggml's own. */
static void encode_q8_0(const float *x, uint8_t *out)
{
    enum { BLOCK = 32 };
    float d = largest(x, BLOCK) / 127, inverse = d > 0 ? 1 / d : 0;
    uint16_t half = float_to_half(d);
    memcpy(out, &half, sizeof half);
    for (size_t i = 0; i < BLOCK; i++) out[2 + i] = (uint8_t)(int8_t)roundf(x[i] * inverse);
}

void encode_blocks(enum quant_type type, const float *x, size_t n, uint8_t *out)
{
    const struct quant_format *f = &quant_formats[type];
    enum scale_type number = type == QUANT_F32 ? SCALE_F32 : type == QUANT_F16 ? SCALE_F16 : SCALE_BF16;
    for (size_t i = 0; f->block == 1 && i < n; i++) number_store(number, out, i, x[i]);
    for (size_t i = 0; f->block > 1 && i < n / f->block; i++) encode_q8_0(x + i * f->block, out + i * f->block_bytes);
}
