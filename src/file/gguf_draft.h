/* gguf_draft.h — a GGUF file in the making: metadata and tensor table as gguf.h has them, so that what reads a file can
 * read the draft of one before a byte is written; then the writer, which lays the tensors out.
 *
 * Keys and names must be new, UTF-8 and not empty, as opening a file asks; a failure of any call is kept until
 * gguf_writer_open or gguf_draft_check. The same draft gives the same bytes. */
#ifndef FILE_GGUF_DRAFT_H
#define FILE_GGUF_DRAFT_H

#include "file/gguf.h"
#include "file/tensor_writer.h"

struct gguf_draft {
    struct gguf gguf;            /* the view of it: valid after gguf_draft_check */
    struct list values, tensors; /* struct gguf_value, struct gguf_tensor */
    struct list kept;            /* void *: what they point to */
    bool failed;                 /* no memory, or too large */
};
/* path: what errors call the file. */
void gguf_draft_init(struct gguf_draft *d, struct memory *m, const char *path);
void gguf_draft_free(struct gguf_draft *d);
lorac_status gguf_draft_check(struct gguf_draft *d, lorac_error *err);

void gguf_put_size(struct gguf_draft *d, const char *key, size_t value);
void gguf_put_float(struct gguf_draft *d, const char *key, double value); /* as f32 */
void gguf_put_bool(struct gguf_draft *d, const char *key, bool value);
void gguf_put_text(struct gguf_draft *d, const char *key, const char *text);
/* The elements as in the file; of strings each after gguf_add_string. Copied. */
void gguf_put_array(struct gguf_draft *d, const char *key, enum gguf_type type, size_t count, const void *bytes,
                    size_t size);
void gguf_add_string(struct text *array, const char *bytes, size_t length);

/* shape[0] is a row's length. Returns the tensor's number, by which the writer takes its bytes. */
size_t gguf_put_tensor(struct gguf_draft *d, const char *name, uint32_t type, size_t dims, const size_t *shape);

lorac_status gguf_writer_open(struct gguf_draft *d, const char *path, struct tensor_writer *w, lorac_error *err);

#endif
