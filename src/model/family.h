/* family.h — a model family: what its files are called and how its config is read. One file each; close relatives share
 * one. What a family computes is said by the model_config that it fills, and computed by decoder.c. */
#ifndef MODEL_FAMILY_H
#define MODEL_FAMILY_H

#include "file/gguf_draft.h"
#include "model/config.h"

#include <stddef.h>

/* Places of a model for tensors; a name has one %zu for the layer where there is one. */
enum part {
    PART_EMBEDDING,
    PART_POSITIONS,
    PART_FINAL_NORM,
    PART_HEAD,
    /* of a layer: */
    PART_ATTENTION_NORM,
    PART_ATTENTION_AFTER,
    PART_MLP_NORM,
    PART_MLP_AFTER,
    PART_Q_NORM,
    PART_K_NORM,
    PART_QKV, /* fused */
    PART_Q,
    PART_K,
    PART_V,
    PART_O,
    PART_GATE_UP, /* fused */
    PART_GATE,
    PART_UP,
    PART_DOWN,
    PARTS
};
struct weight_name {
    const char *hf, *gguf; /* modules: without ".weight" */
};
#define APART "" /* in place of a GGUF's name: it holds the fused module's parts as tensors of their own */
/* Llama's in Hugging Face folders, llama.cpp's in GGUF files: what a family does not name otherwise. */
extern const struct weight_name usual_names[PARTS];

/* A key of config.json or of a GGUF's metadata, and the member of model_config that it becomes. */
enum key_kind { KEY_SIZE, KEY_FLOAT, KEY_BOOL, KEY_ACTIVATION, KEY_KNOWN }; /* known: read by the family's function */
struct config_key {
    const char *name;
    enum key_kind kind;
    size_t offset;
};
#define KEY(name, kind, member)                                                                                        \
    {                                                                                                                  \
        name, KEY_##kind, offsetof(struct model_config, member)                                                        \
    }

struct family {
    const char *name;
    const char *const *model_types;        /* config.json's, NULL at the end */
    const char *const *architectures;      /* GGUF's, NULL at the end */
    void (*fixed)(struct model_config *c); /* sets what is so for every model of the family; NULL: as Llama */
    const struct config_key *keys;         /* of config.json, beyond the common ones; a NULL name ends them; or NULL */
    const struct weight_name *names;       /* (PARTS) where they differ from the usual ones, or NULL */
    /* What tables cannot say, after the keys were read; either may be NULL. */
    lorac_status (*from_json)(const json_t *config, const char *file, struct model_config *c, lorac_error *err);
    lorac_status (*from_gguf)(const struct gguf *g, struct model_config *c, lorac_error *err);
    /* GGUF files: the architecture that those of a family without one of its own name; whether rows of q and k stand in
     * interleaved pairs; the inverse of from_gguf (c becomes what the common keys are to say, own keys are put). */
    const char *gguf_as;
    bool gguf_interleaved;
    void (*to_gguf)(struct model_config *c, struct gguf_draft *d);
    const char *const *mlx; /* the start of the layers' names, and what mlx-lm puts for it; NULL: mlx-lm keeps names */
    const struct module_split *splits; /* modules that mlx-lm has under other names (adapter.h), or NULL */
};

extern const struct family *const families[]; /* NULL at the end */
const struct family *family_of_model_type(const char *name);
const struct family *family_of_architecture(const char *name);
/* The error for a name that no family claims: says which are near. */
lorac_status family_unknown(const char *file, const char *key, const char *name, bool gguf, lorac_error *err);
/* What holds before a file says otherwise: Llama's, then the family's own. */
void config_defaults(const struct family *f, struct model_config *c);

struct weight_name family_name(const struct family *f, enum part part);

/* LongRoPE's factor on cos and sin for a context `factor` times the original one. */
double rope_long_factor(double factor, double original);

/* ---- what families' functions share ------------------------------------------------------- */

/* Marks the layers whose number i has (i + 1) % every != 0 as LAYER_WINDOW: `every` − 1 windows, then a full layer. */
void config_window_pattern(struct model_config *c, size_t every);
void config_window_all(struct model_config *c);
/* config.json's "layer_types", where it is there; *found. */
lorac_status config_layer_types(const json_t *config, const char *file, struct model_config *c, bool *found,
                                lorac_error *err);

#endif
