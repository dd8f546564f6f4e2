/* adapter_file.h — adapters as files: what is in one, how two differ, and the same in another program's format.
 *
 * Nothing is computed with the base; where names or rows depend on it, its config is enough: `base` is a model's folder
 * (config.json) or a GGUF, or NULL. Thread rule: any thread. */
#ifndef LORAC_ADAPTER_FILE_H
#define LORAC_ADAPTER_FILE_H

#include <lorac/runtime.h>

#ifdef __cplusplus
extern "C" {
#endif

/* What an adapter holds, as a JSON object: format, method, rank, scale, layers, parameters, hash (the same in every
 * format), lineage, and for each module shape, rank, scale and the Frobenius norm of scale·B·A. *json is released with
 * lorac_free, here and below. */
LORAC_API lorac_status lorac_adapter_describe(lorac_runtime *runtime, const char *path, const char *base, char **json,
                                              lorac_error *err);

/* The modules in which two adapters differ, and how much, as a JSON object: "equal"; "distance", of the changes that
 * they make, relative to the first's; "modules". */
LORAC_API lorac_status lorac_adapter_compare(lorac_runtime *runtime, const char *first, const char *second,
                                             const char *base, char **json, lorac_error *err);

typedef struct lorac_adapter_export_options {
    size_t struct_size;
    const char *format; /* "peft" or "mlx": a folder; "gguf": a file, needs a base; NULL (default): lorac's own folder,
                           which PEFT reads, and mlx-lm too unless its form cannot hold the adapter */
    const char *base;   /* NULL (default): names and rows stay as they are */
    const char *dtype;  /* "float32", "float16", "bfloat16"; NULL (default): each tensor as it is, float32 for
                           "gguf" */
    int force;          /* take the place of an adapter that is there */
} lorac_adapter_export_options;
LORAC_API void lorac_adapter_export_options_init(lorac_adapter_export_options *options);

/* The adapter in another form, whole or not at all: "out", "formats", "modules", and "left_out", why a form is not
 * there. What the format cannot hold is refused by name. LORAC_INVALID_ARGUMENT: options that make no sense, or
 * something is at `out`. */
LORAC_API lorac_status lorac_adapter_export(lorac_runtime *runtime, const char *path, const char *out,
                                            const lorac_adapter_export_options *options, char **json, lorac_error *err);

#ifdef __cplusplus
}
#endif
#endif
