/* config_gguf.h — a GGUF's metadata about a model's shape, in both directions: config_gguf.c reads it (config.h),
 * config_gguf_write.c writes it. Both go by one table of keys and by the family's own file. */
#ifndef MODEL_CONFIG_GGUF_H
#define MODEL_CONFIG_GGUF_H

#include "file/gguf_draft.h"
#include "model/family.h"

extern const struct config_key config_gguf_keys[]; /* of every architecture, below its name; a NULL name ends them */

/* The architecture that a GGUF of this family names, and the family that reads such a file. LORAC_UNSUPPORTED:
 * llama.cpp has none. */
lorac_status config_gguf_architecture(const struct family *f, const char *path, const char **architecture,
                                      const struct family **reader, lorac_error *err);
/* Into the draft: the keys below the architecture's name. */
void config_to_gguf(const struct family *f, const char *architecture, const struct model_config *c,
                    struct gguf_draft *d);

/* What a GGUF says of the rotary embedding in tensors: divisors of its frequencies. */
struct rope_divisors {
    const char *name;
    size_t count;
    float values[MAX_HEAD_DIM / 2];
};
enum { ROPE_DIVISORS = 2 };
size_t config_rope_divisors(const struct model_config *c, struct rope_divisors out[ROPE_DIVISORS]);

/* The draft, its tensors listed, read back: what it says otherwise than `c` is refused by name. */
lorac_status config_gguf_check(const struct gguf_draft *d, const struct model_config *c, lorac_error *err);

#endif
