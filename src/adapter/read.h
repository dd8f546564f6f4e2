/* read.h — what the readers of adapter folders share: read.c (the folder), read_config.c (its config), read_pair.c (a
 * module's tensors). */
#ifndef ADAPTER_READ_H
#define ADAPTER_READ_H

#include "adapter/adapter.h"

/* ---- adapter_config.json -------------------------------------------------------------------- */

struct scaling {
    bool direct; /* mlx-lm: the scale itself */
    double scale;
    double alpha;
    bool rslora;
    const json_t *alpha_pattern;
};
lorac_status scaling_of_peft(const json_t *config, const char *path, struct scaling *s, lorac_error *err);
lorac_status scaling_of_mlx(const json_t *config, const char *path, struct scaling *s, lorac_error *err);
double scaling_factor(const struct scaling *s, const char *module, size_t rank);

/* ---- the tensors of a module ---------------------------------------------------------------- */

/* The two dialects: what stands before the module's name and after it. */
struct dialect {
    const char *prefix;
    const char *a[2], *b[2]; /* suffixes, newer first */
    bool transposed;         /* mlx-lm: A (in, r), B (r, out) */
};
extern const struct dialect peft_dialect, mlx_dialect;

/* A module's A and B. Where mlx-lm has its outputs as modules of their own, these rows of B, and rows of A. */
struct pair {
    const struct st_tensor *a, *b;
    size_t first, rows;      /* of B, Hugging Face order */
    size_t rank_first, rank; /* of A */
};
struct pairs {
    struct pair items[MODULE_PARTS];
    size_t count, rank; /* rank: of all */
};
/* The module's pairs; none: count 0. Half a pair and shapes that are not the base's are errors. */
lorac_status pairs_find(const struct safetensors *file, const struct dialect *d, const struct module_names *names,
                        const struct linear *l, struct pairs *p, lorac_error *err);
/* Into the module's floats, which are zero. */
void pairs_copy(const struct dialect *d, const struct adapter_module *m, const struct pairs *p, float *floats);

#endif
