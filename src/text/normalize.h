/* normalize.h — the normalisers that tokenizer files name. So far Unicode's canonical composition (NFC). */
#ifndef TEXT_NORMALIZE_H
#define TEXT_NORMALIZE_H

#include "base/memory.h"

typedef lorac_status (*normalize_fn)(struct text *out, const char *text, size_t length, lorac_error *err);

enum { MAX_NORMALIZERS = 16 };
struct normalizer {
    normalize_fn steps[MAX_NORMALIZERS];
    size_t count;
};

/* The step that a file calls `name`; NULL: unknown. */
normalize_fn normalize_named(const char *name);

/* *text (length) becomes the normalised text: itself, or *buffer's (memory set), which is overwritten. Valid UTF-8. */
lorac_status normalize(const struct normalizer *n, struct text *buffer, const char **text, size_t *length,
                       lorac_error *err);

#endif
