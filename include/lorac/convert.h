/* convert.h — a model in another form: quantised as MLX and bitsandbytes do, in another type of numbers, or as a GGUF.
 *
 * A Hugging Face folder is read tensor by tensor and written as a folder that mlx-lm or transformers loads, or as a
 * GGUF file with its tokenizer, which llama.cpp loads. It appears whole under its name or not at all, and the same
 * input gives the same bytes. Thread rule: any thread. */
#ifndef LORAC_CONVERT_H
#define LORAC_CONVERT_H

#include <lorac/dataset.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct lorac_convert_options {
    size_t struct_size;
    const char *mode;   /* "affine", "mxfp4", "mxfp8", "nvfp4": an MLX folder; "nf4": one for transformers with
                           bitsandbytes; NULL (default): not quantised, an MLX folder */
    size_t bits, group; /* 0 (default): what mlx-lm takes for the mode */
    int double_quant;   /* nf4: its scales are quantised, too */
    int dequantize;     /* a source that is quantised is written as numbers; without it, it must be quantised anew */
    const char *recipe; /* affine, as mlx-lm's --quant-predicate: "mixed_2_6", "mixed_3_4", "mixed_3_6", "mixed_4_6":
                           values, down projections of some layers, and the head get the second number of bits, all else
                           the first; NULL (default): none */
    /* "PATTERN=MODE[:BITS[:GROUP]]" or "PATTERN=none": modules of an MLX folder that are quantised otherwise, or not at
     * all. PATTERN, with * and ?, is for a module's whole name or the end of it after a dot; the last that fits holds.
     */
    const char *const *overrides;
    size_t override_count;
    const char *dtype; /* "float16", "bfloat16", "float32": of what is not quantised, and of what is before; NULL
                          (default): config.json's torch_dtype, else each tensor as it is */
    /* Adapters (lorac_adapter_open's paths) that are added to the weights, and what each is multiplied by (NULL: 1).
     * The folder is then of the source's own kind, type and quantisation, unless the options above say otherwise. */
    const char *const *adapters;
    const double *adapter_factors;
    size_t adapter_count;
    /* A text, its tokens the model's, by which affine codes are chosen; NULL (default): rounded, with the mode's bits.
     */
    const lorac_dataset *calibration;
    int gptq;           /* the layers' codes by GPTQ on it */
    double target_bits; /* not 0: each module has the bits (2, 3, 4, 5, 6, 8) with which the outputs on the text change
                           least while all weights together have at most so many each */
    size_t shard_bytes; /* a file of weights holds at most this, or one module; 5 GiB */
    int force;          /* take the place of a model that is there */
    int (*progress)(void *user, size_t done, size_t total); /* bytes of the source; not 0 cancels; NULL */
    void (*note)(void *user, const char *line);             /* before a calibration: what memory it takes; NULL */
    /* After each module that adapters changed: the Frobenius norms of their change, and of what rounding
     * or quantising the sum made of it; NULL. */
    void (*fused)(void *user, const char *module, double change, double lost);
    void *user;
    const char *gguf_type; /* "f16", "q8_0", "q4_k_m" and the like (llama.cpp's names): a GGUF file, its matrices of
                              this type or mix; NULL: a folder */
    const char *imatrix; /* a file of llama.cpp's imatrix tool: which columns matter, for a GGUF's types; NULL: none */
} lorac_convert_options;
LORAC_API void lorac_convert_options_init(lorac_convert_options *options);

typedef struct lorac_converted {
    size_t struct_size;
    size_t parameters; /* numbers that were written, biases and norms included */
    size_t bytes;      /* of the tensors */
    size_t quantized;  /* modules, or tensors of a GGUF */
    char *unquantized; /* names of modules whose rows no group divides (GGUF: of tensors that have another type for
                          that), a line each; released with lorac_free */
    size_t unquantized_count;
} lorac_converted;
/* Fills *converted (its struct_size set) on success. LORAC_INVALID_ARGUMENT: the options make no sense together, or the
 * place is taken. The source may be quantised in any scheme that lorac_model_open takes. */
LORAC_API lorac_status lorac_convert(lorac_runtime *runtime, const char *model, const char *out,
                                     const lorac_convert_options *options, lorac_converted *converted,
                                     lorac_error *err);

#ifdef __cplusplus
}
#endif
#endif
