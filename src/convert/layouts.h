/* layouts.h — what layouts.c and write.c know of a quantised module's tensors: their order, and bitsandbytes' state. */
#ifndef CONVERT_LAYOUTS_H
#define CONVERT_LAYOUTS_H

#include "convert/conversion.h"

enum { MLX_CODES, MLX_SCALES, MLX_MINS };
enum { BNB_CODES, BNB_ABSMAX, BNB_MAP, BNB_JSON, BNB_OUTER, BNB_OUTER_MAP };

enum { BNB_STATE = 320 };
/* The JSON text that says how a module was quantised, not NUL-terminated; its length. With nested scales it is padded
 * with blanks, since their offset is known last. */
size_t bnb_state(const struct item *item, bool nested, float offset, char text[BNB_STATE]);

#endif
