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
    QUANT_OWN_KERNELS, /* the ones above have kernels of their own; the others are unpacked first */
    QUANT_Q5_0 = QUANT_OWN_KERNELS,
    QUANT_Q5_1,
    QUANT_Q8_1,
    QUANT_Q2_K,
    QUANT_Q3_K,
    QUANT_Q8_K,
    QUANT_IQ1_S,
    QUANT_IQ1_M,
    QUANT_IQ2_XXS,
    QUANT_IQ2_XS,
    QUANT_IQ2_S,
    QUANT_IQ3_XXS,
    QUANT_IQ3_S,
    QUANT_IQ4_NL,
    QUANT_IQ4_XS,
    QUANT_TQ1_0,
    QUANT_TQ2_0,
    QUANT_GGML_MXFP4,
    QUANT_GGML_NVFP4,
    QUANT_Q1_0,
    QUANT_Q2_0,
    QUANT_PLANES, /* from here on scales lie apart from the codes: planes.h */
    QUANT_AFFINE2 = QUANT_PLANES,
    QUANT_AFFINE3,
    QUANT_AFFINE4,
    QUANT_AFFINE5,
    QUANT_AFFINE6,
    QUANT_AFFINE8,
    QUANT_MXFP4, /* to QUANT_FP4: nibbles, numbers of a table */
    QUANT_NVFP4,
    QUANT_GRID1, /* what IQ1, IQ2 and IQ3 become: codebook.h */
    QUANT_GRID2,
    QUANT_GRID3,
    QUANT_GRID3_S,
    QUANT_NF4,
    QUANT_FP4,
    QUANT_MXFP8,
    QUANT_INT8,
    QUANT_FP8,
    QUANT_TYPES
};

/* How a plane's scales and minimums are stored. */
enum scale_type { SCALE_F32, SCALE_F16, SCALE_BF16, SCALE_E8M0, SCALE_E4M3 };

/* What lies apart from the codes of a format from QUANT_PLANES on. */
struct quant_planes {
    const uint8_t *scales, *mins; /* (rows · cols / group); mins may be NULL */
    size_t group;                 /* neighbours that share a scale */
    enum scale_type scale_type;   /* of both */
    float factor;                 /* of the whole matrix */
    const int32_t *groups;        /* (cols): a column's group where they do not follow one another, or NULL */
};
/* A matrix as its file holds it. */
struct quant_matrix {
    enum quant_type type;
    const uint8_t *data; /* (rows, cols), any alignment */
    size_t rows, cols, row_bytes;
    struct quant_planes planes;
};

/* The rows from `row` on: planes whose groups cross rows must begin one there. */
struct quant_matrix quant_rows_from(struct quant_matrix w, size_t row);
/* y[i] = W[row][col + i], i < n; col may lie inside a block. */
void quant_dequantize(float *y, const struct quant_matrix *w, size_t row, size_t col, size_t n);

struct quant_format {
    const char *name;                                             /* as GGUF and people write it: "Q4_1" */
    size_t block;                                                 /* elements per block */
    size_t block_bytes;                                           /* bytes per block */
    uint32_t ggml_type;                                           /* the number in GGUF files; QUANT_NO_GGML: none */
    void (*dequantize)(float *y, const void *x, size_t elements); /* elements: a multiple of block; NULL: planes */
};
enum { QUANT_NO_GGML = 0xFFFFFFFF, QUANT_BLOCK = 256 }; /* the largest block */
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
float e4m3_to_float(uint8_t e);  /* OCP FP8 E4M3: no infinity, 0x7F and 0xFF are NaN */

#endif
