/* model.h — the inside of a lorac_model: config, weights, linears, and what a family file provides. */
#ifndef MODEL_MODEL_H
#define MODEL_MODEL_H

#include "base/runtime.h"
#include "file/safetensors.h"
#include "model/config.h"
#include "model/batch.h"
#include "ops/ops.h"
#include <lorac/model.h>

struct weights;

/* A family: config → weights → forward. One file each. */
struct family {
    const char *name;
    /* Fills the model's layers, linears, embedding, head and final norm; every tensor is asked for by its names. */
    lorac_status (*load)(struct lorac_model *model, struct weights *w, lorac_error *err);
    /* The hidden rows after the final norm, (batch rows, hidden). */
    struct tensor *(*forward)(const struct lorac_model *model, struct exec *e, struct batch *batch);
};

/* The weights of one decoder layer that attention, MLP and two norms make up. */
struct decoder_layer {
    struct norm attention_norm, mlp_norm;
    struct linear_group qkv, o, gate_up, down;
};

struct lorac_model {
    _Atomic size_t references;
    struct lorac_runtime *runtime;
    const struct family *family;
    struct model_config config;
    char *path;
    uint8_t fingerprint[32]; /* SHA-256 of the tensors' names, shapes, types and a sample of their bytes */

    /* files and what was made of them; see weights.c */
    struct gguf gguf;
    struct st_folder folder;
    struct buffer **buffers;
    size_t buffer_count;
    char *names;                     /* of the linears, one after the other */
    size_t weight_bytes, parameters; /* of the tensors */
    size_t file_bytes;               /* of the files that are mapped or read */

    struct qmatrix embedding, head;
    struct norm final_norm;
    struct buf rope_inverse; /* (rope dims / 2) */
    float rope_factor;
    struct decoder_layer *layers;
    struct linear *linears;
    size_t linear_count;
};

extern const struct family family_llama;

#endif
