/* gguf.h — GGUF versions 2 and 3: metadata and tensor table as views of the mapped file, or of a model's files.
 *
 * Everything is checked on opening: counts against the bytes there are, names unique and UTF-8, alignment a
 * power of two from 8, every tensor inside the file, none overlapping. Nothing is copied but the tables. */
#ifndef FILE_GGUF_H
#define FILE_GGUF_H

#include "base/os.h"

enum gguf_type { /* of a metadata value, numbered as in the file */
                 GGUF_U8,
                 GGUF_I8,
                 GGUF_U16,
                 GGUF_I16,
                 GGUF_U32,
                 GGUF_I32,
                 GGUF_F32,
                 GGUF_BOOL,
                 GGUF_STRING,
                 GGUF_ARRAY,
                 GGUF_U64,
                 GGUF_I64,
                 GGUF_F64
};

struct gguf_string {
    const char *data; /* not NUL-terminated */
    size_t length;
};
struct gguf_value {
    struct gguf_string key;
    enum gguf_type type;
    union {
        int64_t integer; /* all integer types and bool (u64 over INT64_MAX are refused on opening) */
        double real;     /* f32, f64 */
        struct gguf_string string;
        struct {
            enum gguf_type type; /* of the elements; arrays of arrays are refused */
            size_t count;
            const uint8_t *data; /* the elements as in the file */
            size_t bytes;
        } array;
    } as;
};
struct gguf_tensor {
    struct gguf_string name;
    uint32_t type;   /* ggml type number */
    size_t dims;     /* 1 to 4 */
    size_t shape[4]; /* as in the file: shape[0] is the fastest, a matrix's columns */
    const uint8_t *data;
    size_t bytes;
    size_t file; /* the part that holds it */
};
struct gguf {
    struct os_file *files; /* the parts of the model in order, mostly one; none of gguf_open_bytes */
    size_t file_count;
    const char *path; /* owned; of a split model that of the first part, whose metadata these are */
    struct gguf_value *values;
    size_t value_count;
    struct gguf_tensor *tensors;
    size_t tensor_count;
    struct memory *memory;
};

/* bytes per block and elements per block of a ggml type; false for a type that lorac does not know.
 * Known here: the size of every type up to number 39, so that any real file's table can be checked. */
bool gguf_type_size(uint32_t type, size_t *block_elements, size_t *block_bytes, const char **name);

/* Of a split model (NAME-00001-of-00003.gguf) any part opens all; they lie in one folder. */
lorac_status gguf_open(struct memory *m, const char *path, bool map, struct gguf *g, lorac_error *err);
lorac_status gguf_open_bytes(struct memory *m, const uint8_t *bytes, size_t size, struct gguf *g, lorac_error *err);
void gguf_close(struct gguf *g);
bool gguf_is(const char *path); /* the file begins with GGUF's magic */

const struct gguf_value *gguf_find(const struct gguf *g, const char *key); /* NULL when absent */
const struct gguf_tensor *gguf_find_tensor(const struct gguf *g, const char *name);

/* Typed access: an error names the key, what was expected and found. Missing: `fallback`, or LORAC_NOT_FOUND where
 * noted. */
lorac_status gguf_get_size(const struct gguf *g, const char *key, size_t fallback, size_t *value, lorac_error *err);
lorac_status gguf_get_float(const struct gguf *g, const char *key, double fallback, double *value, lorac_error *err);
lorac_status gguf_get_bool(const struct gguf *g, const char *key, bool fallback, bool *value, lorac_error *err);
/* A NUL-terminated copy (mem_free); *value is NULL when missing. */
lorac_status gguf_get_text(const struct gguf *g, const char *key, char **value, lorac_error *err);

/* Walks an array of strings: call with *at = 0 first; false at the end or at damage (opening has checked, so only at
 * the end). */
bool gguf_next_string(const struct gguf_value *array, size_t *at, struct gguf_string *item);
/* Element i of a numeric array (any integer or float type) as a double. */
double gguf_number(const struct gguf_value *array, size_t i);

#endif
