/* adapter.h — the inside of adapters: which matrices of a base carry a low-rank pair, and where the pairs' floats lie.
 *
 * In memory B's rows stand in the base file's order, part after part of a fused module, so that a product needs no
 * permutation; on disk and in hashes they stand in Hugging Face order (linear_hf_row). */
#ifndef ADAPTER_ADAPTER_H
#define ADAPTER_ADAPTER_H

#include "base/hash.h"
#include "base/json.h"
#include "base/runtime.h"
#include "file/safetensors.h"
#include "ops/linear.h"
#include <lorac/adapter.h>

struct adapter_module {
    const struct linear *linear; /* the first weight of the module */
    size_t rank;
    double scale;
    size_t a, b; /* floats from the start: A (rank, in), B (out, rank) */
};
/* A layout: the pairs of one adapter, in the order of the base's linears. */
struct adapter_layout {
    struct adapter_module *modules;
    size_t count, floats;
};

/* The matrices' numbers: f32 for exact precision, bf16 for fast. An adapter whose numbers bf16 holds exactly has these
 * alone, one that trains only the others. */
struct adapter_numbers {
    struct buffer *wide, *narrow; /* (layout.floats) each, or NULL */
};

struct lorac_adapter {
    _Atomic size_t references;
    struct lorac_runtime *runtime;
    struct lorac_model *model; /* kept alive: the linears are its */
    size_t linears;            /* of the model */
    struct adapter_layout layout;
    struct adapter_numbers numbers;
    char *path;
    uint8_t hash[HASH_BYTES];
};

struct lorac_adapter_set {
    _Atomic size_t references;
    struct lorac_runtime *runtime;
    struct lorac_adapter **adapters;
    size_t count;
    struct term_table table;
    uint32_t *begin;
    struct lora_term *terms;
    size_t rank; /* of all terms of a linear together, at most */
};

/* A module that mlx-lm has under another name, or as modules whose outputs follow one another: what stands for part of
 * its name. */
enum { MODULE_PARTS = 2 };
struct module_split {
    const char *own, *mlx[MODULE_PARTS];
};
/* How the names of a base's linears start, and what the formats write for that: where a model also sees, its language
 * model's "model." is "model.language_model." to PEFT. */
struct module_names {
    const char *own, *peft, *mlx;
    const struct module_split *splits; /* own NULL at the end; or NULL */
};
/* What llama.cpp calls the same modules, and how their rows stand in its files. */
enum { TENSOR_NAME = 64 };
struct gguf_form {
    const char *architecture;     /* NULL: it does not know the family */
    const struct linear *linears; /* (count) with Hugging Face's names; after the layers the embedding and the head */
    char (*tensors)[TENSOR_NAME]; /* (count) without ".weight"; parts of a module may share one */
    size_t count;
};
struct linear_list {
    const struct linear *items;
    size_t count;
    struct module_names names;
    const struct gguf_form *gguf; /* NULL: nobody asked for it */
};
enum { MODULE_NAME = 256 };
/* The module's name with another start. */
void module_spell(const struct module_names *names, const char *start, const char *module, char text[MODULE_NAME]);

/* mlx-lm's modules where they are others than the module itself, as names of the base; their number. */
size_t module_parts(const struct module_names *names, const char *module, char parts[MODULE_PARTS][MODULE_NAME]);

/* Places for `count` modules whose linear, rank and scale are set: fills a, b and floats. */
lorac_status layout_place(struct adapter_layout *layout, lorac_error *err);
/* The pair of the module's weight number `part`. */
struct lora_term layout_term(const struct adapter_module *m, size_t part, const struct adapter_numbers *n,
                             struct buffer *gradients, double factor);
size_t module_rows(const struct adapter_module *m);               /* of B */
size_t module_row(const struct adapter_module *m, size_t hf_row); /* of B in memory that is row hf_row on disk */

/* An adapter from host floats in the layout's order (copied to the backend). Takes over the layout's modules. */
lorac_status adapter_create(struct lorac_runtime *runtime, struct lorac_model *model, size_t linears,
                            struct adapter_layout *layout, const float *floats, const char *path,
                            struct lorac_adapter **adapter, lorac_error *err);

/* Reads an adapter folder or file against the base's linears: a layout and its floats (mem_free both). */
lorac_status adapter_read(struct memory *m, const char *path, struct linear_list linears, struct adapter_layout *layout,
                          float **floats, lorac_error *err);
/* What goes into adapter_config.json besides the weights' shape. */
struct adapter_description {
    const char *base; /* base_model_name_or_path */
    double dropout;
    bool rslora;
    size_t layers;  /* of the base */
    bool peft, mlx; /* formats to write */
    struct linear_list linears;
};
/* Writes config and weights into the folder (created), each file whole or not at all. */
lorac_status adapter_write(struct memory *m, const char *folder, const struct adapter_layout *layout,
                           const float *floats, const struct adapter_description *d, lorac_error *err);
#endif
