/* adapter.h — LoRA adapters and the sets of them that rows of a batch run under.
 *
 *   y = W x + Σᵢ αᵢ sᵢ Bᵢ (Aᵢ x)        Hu et al. 2021 (arXiv 2106.09685); s = alpha/r (rsLoRA: alpha/√r), α the user's
 *
 * Adapters and sets are immutable and counted. Thread rule: use from any thread. */
#ifndef LORAC_ADAPTER_H
#define LORAC_ADAPTER_H

#include <lorac/model.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct lorac_adapter lorac_adapter;
typedef struct lorac_adapter_set lorac_adapter_set;

/* path: a PEFT folder (adapter_model.safetensors), an mlx-lm folder (adapters.safetensors), or one of these files
 * beside its adapter_config.json. All or nothing: tensors that match nothing in the model, or half a pair, are an error
 * that lists them. */
LORAC_API lorac_status lorac_adapter_open(lorac_model *model, const char *path, lorac_adapter **adapter,
                                          lorac_error *err);
LORAC_API void lorac_adapter_retain(lorac_adapter *adapter);
LORAC_API void lorac_adapter_release(lorac_adapter *adapter);

typedef struct lorac_adapter_info {
    size_t struct_size;
    const char *path;  /* borrowed */
    size_t modules;    /* adapted weight matrices */
    size_t parameters; /* elements of all A and B */
    size_t rank;       /* the largest */
    double scale;      /* of the first module */
    char hash[65];     /* SHA-256 over the tensors in Hugging Face order: the content's name */
} lorac_adapter_info;
LORAC_API void lorac_adapter_get_info(const lorac_adapter *adapter, lorac_adapter_info *info);

/* An ordered list of adapters, each with its factor α (any finite number; 0 leaves it out). The set keeps the adapters
 * alive. */
LORAC_API lorac_status lorac_adapter_set_create(lorac_adapter *const *adapters, const double *factors, size_t count,
                                                lorac_adapter_set **set, lorac_error *err);
LORAC_API void lorac_adapter_set_retain(lorac_adapter_set *set);
LORAC_API void lorac_adapter_set_release(lorac_adapter_set *set);

#ifdef __cplusplus
}
#endif
#endif
