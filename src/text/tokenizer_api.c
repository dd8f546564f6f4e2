/* tokenizer_api.c — opening a tokenizer with a runtime's memory. */
#include "base/runtime.h"
#include "text/tokenizer.h"

lorac_status lorac_tokenizer_open(lorac_runtime *runtime, const char *path, lorac_tokenizer **tokenizer,
                                  lorac_error *err)
{
    return tokenizer_open(&runtime->memory, runtime->map_files, path, tokenizer, err);
}
