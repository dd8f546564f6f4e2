/* inspect.h — what the parts of lorac_inspect share. Each describer adds members to `out` and reads no weight's values.
 */
#ifndef MODEL_INSPECT_H
#define MODEL_INSPECT_H

#include "base/json.h"
#include "base/runtime.h"
#include "file/gguf.h"
#include "file/safetensors.h"

struct inspection {
    struct lorac_runtime *runtime;
    struct memory *memory;
    const char *path;
    json_t *out; /* the description */
};

/* ---- kinds ---------------------------------------------------------------------------------- */

lorac_status inspect_gguf(struct inspection *i, lorac_error *err);
lorac_status inspect_model_folder(struct inspection *i, lorac_error *err);
/* Of a folder's files, or of the one weights file that was named (NULL: all of them). */
lorac_status inspect_adapter(struct inspection *i, const char *folder, const char *file, lorac_error *err);
lorac_status inspect_gguf_adapter(struct inspection *i, const struct gguf *g, lorac_error *err);

/* ---- pieces --------------------------------------------------------------------------------- */

/* The tensors of one description: how many, of which types. */
struct tally {
    json_t *types;                  /* "Q4_1": {"count", "bytes"} */
    size_t elements, element_bytes; /* weights, and what they take; 0: not known */
    size_t bytes, files;
    size_t largest; /* bytes of the type that holds most */
};
void tally_add(struct tally *t, const char *type, size_t elements, size_t bytes);
void tally_gguf(struct tally *t, const struct gguf *g);
void tally_safetensors(struct tally *t, const struct safetensors *s);
/* "parameters", "weight_bytes", "file_bytes", "tensors"; takes over the types. */
void tally_report(struct tally *t, json_t *out);

void put_text(json_t *out, const char *key, const char *text); /* NULL, empty or no UTF-8: left out */
void put_size(json_t *out, const char *key, size_t value);
void put_gguf(json_t *out, const char *key, const struct gguf *g,
              const char *name); /* a string or integer; else left out */
/* "tokenizer" and "chat_template" of a GGUF file, tokenizer.json or folder. */
void put_tokenizer(struct inspection *i);
/* "supported", and "reason" where an opener refused with `status`. */
void put_support(json_t *out, lorac_status status, const lorac_error *err);

#endif
