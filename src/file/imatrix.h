/* imatrix.h — the importance of a model's columns, as llama.cpp's imatrix tool measures it: for each matrix the mean
 * square of its inputs, a number a column.
 *
 * Two forms, told apart by the first bytes. GGUF: tensors NAME.in_sum2 and NAME.counts (F32). The older .dat: i32
 * entries; then for each i32 length, name, i32 calls, i32 values, f32 values that are sums over the calls; what may
 * follow is not read. Everything is checked on opening: sizes against the bytes there are, numbers finite and not
 * negative. Matrices of experts are refused. */
#ifndef FILE_IMATRIX_H
#define FILE_IMATRIX_H

#include "base/os.h"

struct imatrix_entry {
    char *name; /* of the tensor in GGUF: "blk.0.attn_q.weight" */
    float *importance;
    size_t cols;
};
struct imatrix {
    struct list entries; /* of struct imatrix_entry */
};

lorac_status imatrix_open(struct memory *m, const char *path, struct imatrix *im, lorac_error *err);
lorac_status imatrix_open_bytes(struct memory *m, const uint8_t *bytes, size_t size, struct imatrix *im,
                                lorac_error *err);
void imatrix_close(struct imatrix *im);

/* *importance (cols): of this tensor, NULL where the file has none. An entry of another length is an error. */
lorac_status imatrix_find(const struct imatrix *im, const char *tensor, size_t cols, const float **importance,
                          lorac_error *err);

#endif
