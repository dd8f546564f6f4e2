/* file_gguf.c — GGUF adapters as llama.cpp loads them. See file.h. */
#include "adapter/file.h"

lorac_status file_read_gguf(struct adapter_file *f, lorac_error *err)
{
    return fail(err, LORAC_UNSUPPORTED, f->path, "lorac loads adapters from PEFT and mlx-lm folders");
}

lorac_status file_scale_gguf(struct adapter_file *f, lorac_error *err)
{
    (void)f, (void)err;
    return LORAC_OK;
}
