/* tensor_writer.c — see tensor_writer.h. */
#include "file/tensor_writer.h"

void tensor_writer_put(struct tensor_writer *w, size_t tensor, size_t offset, const void *bytes, size_t size)
{
    os_writer_put(&w->file, w->places[tensor] + offset, bytes, size);
}

lorac_status tensor_writer_commit(struct tensor_writer *w, lorac_error *err)
{
    mem_free(w->file.memory, w->places);
    return os_writer_commit(&w->file, err);
}

void tensor_writer_abort(struct tensor_writer *w)
{
    mem_free(w->file.memory, w->places);
    os_writer_abort(&w->file);
}
