/* gguf_value.h — metadata values as they lie in the file, and one file of a model; shared by gguf*.c only. */
#ifndef FILE_GGUF_VALUE_H
#define FILE_GGUF_VALUE_H

#include "file/gguf.h"

/* Bytes of one value of a type in the file; of a string its length field; 0 for arrays and unknown types. */
size_t gguf_value_size(enum gguf_type type);
int64_t gguf_read_integer(enum gguf_type type, const uint8_t *bytes); /* integers and bools; u64 wraps */
double gguf_read_real(enum gguf_type type, const uint8_t *bytes);     /* f32, f64 */

/* One file, whether or not it is all of the model. On failure nothing stays open. */
lorac_status gguf_open_part(struct memory *m, const char *path, bool map, struct gguf *g, lorac_error *err);
lorac_status gguf_unique_tensors(const struct gguf *g, lorac_error *err); /* no two of one name */
lorac_status gguf_unique_keys(const struct gguf *g, lorac_error *err);

#endif
