/* format.h — how numbers are stored: one row per format. A matrix is rows of blocks, each row contiguous.
 *
 * Values are exact: dequantising gives the float that the format's definition gives, in the one rounding
 * order of its reference (ggml: q·d, or q·d + m, in f32). */
#ifndef QUANT_FORMAT_H
#define QUANT_FORMAT_H

#include "base/error.h"

enum quant_type {
    QUANT_F32,
    QUANT_F16,
    QUANT_BF16,
    QUANT_Q4_0,
    QUANT_Q4_1,
    QUANT_Q8_0,
    QUANT_Q4_K,
    QUANT_Q5_K,
    QUANT_Q6_K,
    QUANT_TYPES
};

struct quant_format {
    const char *name;                                             /* as GGUF and people write it: "Q4_1" */
    size_t block;                                                 /* elements per block */
    size_t block_bytes;                                           /* bytes per block */
    uint32_t ggml_type;                                           /* the number in GGUF files */
    void (*dequantize)(float *y, const void *x, size_t elements); /* elements: a multiple of block */
};
extern const struct quant_format quant_formats[QUANT_TYPES];

/* The format of a ggml type number; NULL for one that lorac does not compute with. */
const struct quant_format *quant_from_ggml(uint32_t ggml_type);
static inline enum quant_type quant_type_of(const struct quant_format *f)
{
    return (enum quant_type)(f - quant_formats);
}

/* bytes of a row of `elements`; false if they are no multiple of the block or overflow. */
bool quant_row_bytes(enum quant_type type, size_t elements, size_t *bytes);

/* How activations and their gradients are stored: f32, or bf16 where `fast` precision narrows them. */
enum number { NUMBER_F32, NUMBER_BF16 };
static inline size_t number_bytes(enum number n)
{
    return n == NUMBER_BF16 ? 2 : 4;
}

/* How a cache stores a head's vector of keys or of values. KV_Q8: an f16 scale per 32 values (the last block may be
 * shorter), then a byte per value: x = scale · code, code in −127 .. 127. */
enum kv_type { KV_F32, KV_BF16, KV_Q8 };
enum { KV_BLOCK = 32 };
static inline size_t kv_blocks(size_t values)
{
    return (values + KV_BLOCK - 1) / KV_BLOCK;
}
static inline size_t kv_bytes(enum kv_type type, size_t values)
{
    return type == KV_Q8 ? values + 2 * kv_blocks(values) : type == KV_BF16 ? 2 * values : 4 * values;
}
static inline enum kv_type kv_of_number(enum number n)
{
    return n == NUMBER_BF16 ? KV_BF16 : KV_F32;
}

float half_to_float(uint16_t h); /* IEEE binary16, exact */
uint16_t float_to_half(float f); /* round to nearest even */
float bf16_to_float(uint16_t h); /* exact */
uint16_t float_to_bf16(float f); /* round to nearest even; NaN stays NaN */

#endif
