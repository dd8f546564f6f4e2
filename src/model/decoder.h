/* decoder.h — the body of every dense decoder, composed by its model_config: norms before and after, attention, MLP,
 * one after the other or in parallel. */
#ifndef MODEL_DECODER_H
#define MODEL_DECODER_H

#include "model/model.h"

struct weights;

/* Fills the model's layers, linears, embedding, head, norms and rotary angles. */
lorac_status decoder_load(struct lorac_model *model, struct weights *w, lorac_error *err);
/* Where the rows of q, k and v stand in Hugging Face's module. */
void decoder_place_rows(const struct model_config *c, struct linear *qkv);
/* Buffers that older programs saved among a layer's weights are not looked at. */
void decoder_ignore_buffers(struct weights *w, size_t layer);
/* The hidden rows after the final norm, (batch rows, hidden). */
struct tensor *decoder_forward(const struct lorac_model *model, struct exec *e, struct batch *batch);

#endif
