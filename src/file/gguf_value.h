/* gguf_value.h — metadata values as they lie in the file; shared by gguf.c and gguf_get.c only. */
#ifndef FILE_GGUF_VALUE_H
#define FILE_GGUF_VALUE_H

#include "file/gguf.h"

/* Bytes of one value of a type in the file; of a string its length field; 0 for arrays and unknown types. */
size_t gguf_value_size(enum gguf_type type);
int64_t gguf_read_integer(enum gguf_type type, const uint8_t *bytes); /* integers and bools; u64 wraps */
double gguf_read_real(enum gguf_type type, const uint8_t *bytes);     /* f32, f64 */

#endif
