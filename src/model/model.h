/* model.h — the inside of a lorac_model: config, weights, linears. */
#ifndef MODEL_MODEL_H
#define MODEL_MODEL_H

#include "base/runtime.h"
#include "file/safetensors.h"
#include "model/batch.h"
#include "model/family.h"
#include "ops/ops.h"
#include <lorac/model.h>

/* The weights of one decoder layer: what a family's config leaves out is not there (count 0, no weight). */
struct decoder_layer {
    struct norm attention_norm, attention_after, mlp_norm, mlp_after, q_norm, k_norm;
    struct linear_group qkv, o, gate_up, down;
};

/* The angles of rotary positions, for one kind of layers. */
struct rope_weights {
    struct buf inverse[2]; /* (dims / 2); [1]: longrope's, of sequences beyond the original context */
    float factor;          /* on cos and sin */
};

/* A matrix as the files store it: one tensor, or all tensors of a quantised module. */
struct stored_matrix {
    const char *name; /* of the tensors, before ".weight" and the like; not NUL-terminated */
    size_t name_length;
    struct qmatrix matrix;
    size_t linear; /* the first linear that is rows of it, SIZE_MAX: none */
};

struct lorac_model {
    _Atomic size_t references;
    struct lorac_runtime *runtime;
    const struct family *family;
    struct model_config config;
    char *path;
    bool sees;               /* the folder's model also sees: lorac computes its language model */
    uint8_t fingerprint[32]; /* SHA-256 of the tensors' names, shapes, types and a sample of their bytes */

    /* files and what was made of them; see weights.c */
    struct gguf gguf;
    struct st_folder folder;
    struct buffer **buffers;
    size_t buffer_count;
    struct qplanes **planes; /* of the quantised matrices whose scales lie apart */
    size_t plane_count;
    struct stored_matrix *stored;
    size_t stored_count;
    char *names;                     /* of the linears, one after the other */
    size_t weight_bytes, parameters; /* of the tensors as they are computed with */
    size_t file_bytes;               /* of the files that are mapped or read */

    struct qmatrix embedding;
    struct head head;
    struct norm final_norm;
    struct qmatrix positions; /* learned ones */
    struct rope_weights rope[ROPES];
    struct decoder_layer *layers;
    struct linear *linears;
    size_t linear_count;
};

struct linear_list;
struct module_names;
struct adapter_layout;
struct module_names family_modules(const struct family *f, bool sees); /* how adapter formats spell its modules */
struct linear_list model_linears(const struct lorac_model *m);         /* what adapters are read against (adapter.h) */
/* adapter_read, of a GGUF too. */
lorac_status model_adapter_read(const struct lorac_model *m, const char *path, struct adapter_layout *layout,
                                float **floats, lorac_error *err);

#endif
