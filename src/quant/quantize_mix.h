/* quantize_mix.h — which type each tensor of a GGUF file gets: the mixes that people know by llama.cpp's names
 * ("Q4_K_M"), and what a type falls back to where its blocks do not divide a row. */
#ifndef QUANT_QUANTIZE_MIX_H
#define QUANT_QUANTIZE_MIX_H

#include "quant/format.h"

struct quantize_mix {
    const char *name;
    uint32_t file_type;   /* general.file_type */
    enum quant_type type; /* of most tensors */
};
/* NULL: no mix of that name, in whatever case. */
const struct quantize_mix *quantize_mix_named(const char *name);
/* The mixes in turn; NULL behind the last. */
const struct quantize_mix *quantize_mix_at(size_t i);

/* What the choice depends on. */
struct mix_model {
    size_t layers, heads, kv_heads;
    bool tied;       /* the embedding is the head as well */
    bool importance; /* an imatrix is given */
};
/* The type of a matrix of this GGUF name ("blk.3.attn_v.weight") and row length. Vectors, norms and tables of positions
 * are not asked for: they stay as they are. */
enum quant_type quantize_mix_type(const struct quantize_mix *mix, const struct mix_model *model, const char *name,
                                  size_t cols);

/* `type`, or what is written in its place where `cols` is no multiple of its block. */
enum quant_type quant_fallback(enum quant_type type, size_t cols);

#endif
