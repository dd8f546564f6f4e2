/* convert.h — what the commands share that write a model: their options, and the progress of the work. */
#ifndef CLI_CONVERT_H
#define CLI_CONVERT_H

#include "data.h"
#include "terminal.h"
#include <lorac/convert.h>

struct convert {
    struct common common;
    const char *out;
    struct data data;
    bool force, quantize, dequantize, double_quant;
    int mode, dtype, recipe, method, gguf;
    size_t calibration_rows;
    double target_bits;
    bool error_feedback; /* fuse: as method gptq */
    const char *imatrix;
    const char *export_gguf; /* fuse: in place of `out` */
    struct text_list overrides;
    size_t bits, group, shard_bytes;
};

#define FOLDER_OPTIONS(values, name, others, usual)                                                                    \
    SECTION("Place"),                                                                                                  \
        OPTION(TEXT, values, out, name, .aliases = others, .value = "DIR|FILE.gguf", .fallback = usual,                \
               .help = "the folder to write, or the GGUF file; it must not be there"),                                 \
        OPTION(FLAG, values, force, "force", .help = "replace a model's folder or GGUF file that is there"),           \
        OPTION(BYTES, values, shard_bytes, "max-shard-size", .value = "SIZE", .fallback = "5368709120", .least = 1,    \
               .help = "weights that take more are cut into files of this size")

#define NUMBER_OPTIONS(values)                                                                                         \
    SECTION("Numbers"),                                                                                                \
        OPTION(CHOICE, values, gguf, "gguf-type", .value = "TYPE",                                                     \
               .choices = "none|f32|f16|bf16|q4_0|q4_1|q5_0|q5_1|q8_0|q2_k|q2_k_s|q3_k_s|q3_k_m|q3_k_l|q4_k_s|q4_k_m|" \
                          "q5_k_s|q5_k_m|q6_k|iq4_nl|iq4_xs|mxfp4",                                                    \
               .fallback = "none", .help = "write a GGUF file, its matrices of this type; vectors stay f32"),          \
        OPTION(TEXT, values, imatrix, "imatrix", .value = "FILE",                                                      \
               .help = "GGUF: which columns matter, as llama.cpp's imatrix tool measured it"),                         \
        OPTION(FLAG, values, quantize, "quantize", .aliases = "-q", .help = "quantise"),                               \
        OPTION(FLAG, values, dequantize, "dequantize", .aliases = "-d",                                                \
               .help = "write the numbers of a model that is quantised"),                                              \
        OPTION(CHOICE, values, mode, "q-mode", .value = "MODE", .choices = "affine|mxfp4|mxfp8|nvfp4|nf4",             \
               .fallback = "affine",                                                                                   \
               .help = "how: affine, mxfp4, mxfp8 and nvfp4 for mlx-lm, nf4 for transformers with bitsandbytes"),      \
        OPTION(COUNT, values, bits, "q-bits", .value = "BITS", .fallback = "0",                                        \
               .help = "affine: 2, 3, 4, 5, 6 or 8; 0: what the mode has (affine: 4)"),                                \
        OPTION(COUNT, values, group, "q-group-size", .value = "N", .fallback = "0",                                    \
               .help = "numbers that share a scale, affine: 32, 64 or 128; 0: what the mode has (affine: 64)"),        \
        OPTION(CHOICE, values, recipe, "quant-predicate", .value = "RECIPE",                                           \
               .choices = "none|mixed_2_6|mixed_3_4|mixed_3_6|mixed_4_6", .fallback = "none",                          \
               .help = "affine: the second number of bits for the head and some layers' values and down projections"), \
        OPTION(LIST, values, overrides, "q-override", .value = "PATTERN=MODE:BITS:GROUP",                              \
               .help = "quantise otherwise the modules whose name, or its end after a dot, fits PATTERN (* and ?), "   \
                       "or not at "                                                                                    \
                       "all (PATTERN=none); may be repeated, the last that fits holds"),                               \
        OPTION(CHOICE, values, method, "q-method", .value = "METHOD", .choices = "round|gptq", .fallback = "round",    \
               .help = "affine: gptq chooses the layers' codes by the text of --data's train split"),                  \
        OPTION(REAL, values, target_bits, "target-bpw", .value = "BITS", .fallback = "0", .least = 0, .most = 9,       \
               .help =                                                                                                 \
                   "affine: each module has the bits with which the outputs on --data's train split change least, "    \
                   "while all weights have so many each; 0: --q-bits"),                                                \
        OPTION(COUNT, values, calibration_rows, "calibration-rows", .value = "N", .fallback = "128", .least = 1,       \
               .help = "rows of the train split that gptq reads, at most 1024 tokens of each"),                        \
        OPTION(FLAG, values, double_quant, "double-quant", .help = "nf4: quantise its scales, too"),                   \
        OPTION(CHOICE, values, dtype, "dtype", .value = "TYPE", .choices = "auto|float16|bfloat16|float32",            \
               .fallback = "auto",                                                                                     \
               .help = "the type of what is not quantised; auto: config.json's torch_dtype, else as it is")

/* What the library's calls are told: `user` of their options. */
struct converting {
    struct terminal terminal;
    struct fused_list *modules; /* that adapters changed; NULL: nobody asks */
};
int convert_progress(void *user, size_t done, size_t total);
lorac_convert_options convert_options(const struct convert *v, struct converting *user);
/* 0, or the exit status of a reported failure: options that contradict each other; what could not be written; or read.
 */
int convert_check(const struct arguments *a, const struct convert *v);
int convert_write(const struct convert *v, lorac_runtime *runtime, const char *model, const lorac_convert_options *o,
                  struct converting *user, lorac_converted *converted);
/* The text that codes are chosen by, from the train split, if the options ask for one; else *dataset is NULL. */
int convert_calibration(const struct convert *v, const struct engine *e, lorac_dataset **dataset);
unsigned convert_parts(const struct convert *v); /* of the engine, that the calibration needs */
/* The model's loss on the valid split; adapted: with the adapters as well, NULL: not asked for. */
int convert_measure(const struct convert *v, const char *model, double *loss, double *adapted);

/* What the options ask for, as one word. */
const char *convert_format(const struct convert *v, const char *otherwise);
void convert_print_unquantized(const struct convert *v, const lorac_converted *r);

#endif
