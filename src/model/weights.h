/* weights.h — named tensors of a model's files, whichever format, as matrices and vectors of the backend.
 *
 * A family asks for each tensor by its Hugging Face and its GGUF name with the shape it must have; at the end every
 * tensor of the files must have been asked for. */
#ifndef MODEL_WEIGHTS_H
#define MODEL_WEIGHTS_H

#include "model/model.h"

struct weight_name {
    const char *hf, *gguf; /* with one %zu for the layer where there is one */
};
struct weights;

lorac_status weights_open(struct lorac_model *model, const char *path, struct weights **w, lorac_error *err);
void weights_close(struct weights *w); /* the model keeps the files and buffers */

/* layer: SIZE_MAX outside the layers. */
lorac_status weights_matrix(struct weights *w, struct weight_name name, size_t layer, size_t rows, size_t cols,
                            struct qmatrix *m, lorac_error *err);
/* A vector in f32, copied. Optional ones give no buffer when they are missing. */
lorac_status weights_vector(struct weights *w, struct weight_name name, size_t layer, size_t size, bool optional,
                            struct buf *v, lorac_error *err);
/* A tensor that carries nothing: may be there, is not read. */
void weights_ignore(struct weights *w, struct weight_name name, size_t layer);
bool weights_has(const struct weights *w, struct weight_name name, size_t layer);
/* A linear: weight and, where wanted, bias. `hf` is the module's name without ".weight". */
lorac_status weights_linear(struct weights *w, struct weight_name module, size_t layer, size_t rows, size_t cols,
                            bool bias, struct linear *l, lorac_error *err);
/* Names the tensors that nobody asked for. */
lorac_status weights_finish(struct weights *w, lorac_error *err);
/* A f32 vector of the backend that belongs to the model. */
lorac_status weights_upload(struct weights *w, const float *values, size_t count, struct buf *v, lorac_error *err);

#endif
