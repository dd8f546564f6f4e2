/* weights.h — named tensors of a model's files, whichever format, as matrices and vectors of the backend.
 *
 * Each tensor is asked for by its Hugging Face and its GGUF name with the shape it must have; at the end every tensor
 * of the files must have been asked for. In the folder of a model that also sees, the language model's tensors are
 * found behind their prefix, the others are not looked at. */
#ifndef MODEL_WEIGHTS_H
#define MODEL_WEIGHTS_H

#include "model/family.h"
#include "model/model.h"

struct weights;

lorac_status weights_open(struct lorac_model *model, const char *path, struct weights **w, lorac_error *err);
/* A model whose files are open and listed, and nothing more: family and config are there. Both are to be closed. */
lorac_status model_open_weights(lorac_runtime *runtime, const char *path, struct lorac_model **model,
                                struct weights **w, lorac_error *err);
void weights_close(struct weights *w); /* NULL is allowed; the model keeps the files and buffers */

/* layer: SIZE_MAX outside the layers. Names are those of the modules: ".weight" and ".bias" are added. */
lorac_status weights_matrix(struct weights *w, struct weight_name name, size_t layer, size_t rows, size_t cols,
                            struct qmatrix *m, lorac_error *err);
/* A vector in f32, copied: `suffix` ".weight" or ".bias"; `add` is added to each number. Optional ones give no buffer
 * when they are missing. */
struct vector_source {
    struct weight_name name;
    const char *suffix;
    bool optional;
    float add;
};
lorac_status weights_vector(struct weights *w, const struct vector_source *source, size_t layer, size_t size,
                            struct buf *v, lorac_error *err);
/* (heads, size) from a tensor for each head: "NAME.norms.0.weight" and on. */
lorac_status weights_head_vectors(struct weights *w, struct weight_name name, size_t layer, size_t heads, size_t size,
                                  struct buf *v, lorac_error *err);
/* A linear is a tensor, or some of its rows: in the tensor's order from `first` on, or gathered by the linear's
 * order. */
struct linear_source {
    const char *module; /* the Hugging Face name that adapters use */
    struct weight_name tensor;
    size_t rows, first;        /* of the tensor */
    bool gathered, transposed; /* the latter: the tensor is (in, out) */
    bool bias;
};
lorac_status weights_linear(struct weights *w, const struct linear_source *source, size_t layer, size_t rows,
                            size_t cols, struct linear *l, lorac_error *err);
/* A tensor that carries nothing: may be there, is not read. The whole name. */
void weights_ignore(struct weights *w, struct weight_name name, size_t layer);
bool weights_has(const struct weights *w, struct weight_name name, size_t layer); /* its ".weight" */
bool weights_are_gguf(const struct weights *w);
/* A f32 vector of the model's own. */
lorac_status weights_upload(struct weights *w, const float *values, size_t count, struct buf *v, lorac_error *err);
/* After all: names tensors that nobody asked for; keeps the linears' names. */
lorac_status weights_finish(struct weights *w, lorac_error *err);

#endif
