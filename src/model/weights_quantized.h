/* weights_quantized.h — modules of folders whose weight is quantised: several tensors that make one matrix.
 *
 * Known are MLX's modes (`.scales`), bitsandbytes' 4 bits (`.weight.absmax`) and 8 bits (`.SCB`), GPTQ and AWQ
 * (`.qweight`), MXFP4 (`_blocks`), compressed-tensors (`.weight_packed`, `.weight_scale`) and FP8 (`.weight_scale_inv`,
 * `.weight_scale`). What a file's layout fits is mapped; what runs along the input is turned once when the model opens.
 */
#ifndef MODEL_WEIGHTS_QUANTIZED_H
#define MODEL_WEIGHTS_QUANTIZED_H

#include "model/weights_list.h"

/* The matrix of a module, of which `name` is the tensor "MODULE.weight"; *found: whether it is quantised. */
lorac_status weights_quantized(struct weights *w, const char *name, size_t rows, size_t cols, struct qmatrix *m,
                               bool *found, lorac_error *err);
/* The matrix that was made last, if it is this one: several linears may be rows of one. */
bool weights_last(const struct weights *w, const char *name, size_t rows, size_t cols, struct qmatrix *m);
void weights_remember(struct weights *w, const char *name, const struct qmatrix *m);
/* The model's list of matrices gets this one, which `s` holds or belongs to, unless it was the last to be added. */
void weights_list_matrix(struct weights *w, const struct source *s, const char *ending, const struct qmatrix *m);
/* *m, the whole of the tensor, as it is computed with: as it is stored, or expanded (quant/codebook.h). */
lorac_status weights_expand(struct weights *w, const char *name, const struct source *s, struct qmatrix *m,
                            lorac_error *err);
/* A copy of the planes' description that lives as long as the model. */
lorac_status weights_planes(struct weights *w, const struct qplanes *planes, struct qplanes **kept, lorac_error *err);

/* ---- what the schemes' files share ---------------------------------------------------------- */

struct module {
    struct weights *w;
    const char *name; /* without ".weight" */
    size_t rows, cols;
};
/* The module's tensor of that ending, or NULL. */
struct source *module_tensor(const struct module *m, const char *ending);
/* The same; an error if it is missing or has not the dtype and size. */
lorac_status module_take(const struct module *m, const char *ending, enum st_dtype dtype, size_t rows, size_t cols,
                         struct source **s, lorac_error *err);
lorac_status module_fail(const struct module *m, const char *what, lorac_error *err);
/* Fills the matrix: codes and planes lie in the file (data from s), or are kept. */
lorac_status module_finish(const struct module *m, enum quant_type type, struct buf codes, const struct qplanes *planes,
                           struct qmatrix *out, lorac_error *err);
struct buf source_buf(const struct source *s);
bool scale_type_of(enum st_dtype dtype, enum scale_type *type); /* F32, F16, BF16 */
/* Element i of an F32, F16 or BF16 tensor. */
float source_float(const struct source *s, size_t i);
/* Word i of an I32 tensor, little-endian. */
uint32_t source_word(const struct source *s, size_t i);

/* Each fills *out, when the module has its tensors. */
typedef lorac_status scheme_fn(const struct module *m, struct qmatrix *out, lorac_error *err);
scheme_fn scheme_mlx, scheme_bnb4, scheme_bnb8, scheme_gptq, scheme_awq, scheme_packed, scheme_nvfp4, scheme_mxfp4,
    scheme_scaled;

#endif
