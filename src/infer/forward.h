/* forward.h — one forward over the pending tokens of several sessions. */
#ifndef INFER_FORWARD_H
#define INFER_FORWARD_H

#include "infer/session.h"

/* The stack and gradient bytes that a forward of `rows` rows with logits of `picks` of them needs: run on the null
 * backend. */
lorac_status forward_plan(const struct lorac_model *model, size_t rows, size_t picks, enum precision precision,
                          size_t *stack, size_t *gradients, lorac_error *err);

#endif
