/* tensor_writer.h — a file of tensors too large to be held: its head lays them out, then their bytes are put in any
 * order. st_writer_open and gguf_writer_open make one; failures are kept until the commit. */
#ifndef FILE_TENSOR_WRITER_H
#define FILE_TENSOR_WRITER_H

#include "base/os.h"

struct tensor_writer {
    struct os_writer file;
    size_t *places; /* in the file, of the tensors as they were given */
};
void tensor_writer_put(struct tensor_writer *w, size_t tensor, size_t offset, const void *bytes, size_t size);
lorac_status tensor_writer_commit(struct tensor_writer *w, lorac_error *err);
void tensor_writer_abort(struct tensor_writer *w);

#endif
