/* decoder.h — the shared body of pre-norm decoders: x → x + attention(norm x) → + mlp(norm x), layer after layer. */
#ifndef MODEL_DECODER_H
#define MODEL_DECODER_H

#include "model/model.h"

/* x: the embedded rows. Returns the rows after the last layer. */
struct tensor *decoder_forward(const struct lorac_model *model, struct exec *e, struct batch *batch, struct tensor *x);

#endif
