/* model.h — an open base model: weights mapped, immutable, shared by every session and trainer.
 *
 * Thread rule: a model may be used from any thread; it is counted and closed with its last release. */
#ifndef LORAC_MODEL_H
#define LORAC_MODEL_H

#include <lorac/runtime.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct lorac_model lorac_model;

/* exact: f32 throughout; a row's result is bit-equal whatever else is in the batch and however a prompt is cut.
 * fast: bf16 products where the CPU has them, int8 activations per 32 values in quantised decoding. */
typedef enum lorac_precision { LORAC_FAST = 0, LORAC_EXACT = 1 } lorac_precision;

/* path: a GGUF file or a Hugging Face folder (config.json and safetensors). A missing, surplus or misshapen
 * tensor, or a config value that would change numbers and is not known, is an error that names it. */
LORAC_API lorac_status lorac_model_open(lorac_runtime *runtime, const char *path, lorac_model **model,
                                        lorac_error *err);
LORAC_API void lorac_model_retain(lorac_model *model);
LORAC_API void lorac_model_release(lorac_model *model);

typedef struct lorac_model_info {
    size_t struct_size;
    const char *architecture; /* "llama"; borrowed, as the other text here */
    const char *path;
    size_t layers, hidden_size, intermediate_size, heads, kv_heads, head_dim, vocab_size, context_length;
    size_t parameters;   /* weights, a tied head counted once */
    size_t weight_bytes; /* as they are computed with: stored so, but IQ1 to IQ3 and TQ1_0 expanded */
    int tied_head;
    int int8_products; /* in fast precision, prompts meet most of the layers' weights with int8 activations */
} lorac_model_info;
LORAC_API void lorac_model_get_info(const lorac_model *model, lorac_model_info *info);

/* Says what a file or folder is (model, adapter, tokenizer) as a JSON object; *json is released with lorac_free. */
LORAC_API lorac_status lorac_inspect(lorac_runtime *runtime, const char *path, char **json, lorac_error *err);

#ifdef __cplusplus
}
#endif
#endif
