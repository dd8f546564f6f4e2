/* fuzz_tokenizer_model.c — a tokenizer.model (SentencePiece or tiktoken) from any bytes. */
#include "tokenizer_file.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    try_file("tokenizer.model", tokenizer_read_model, data, size);
    return 0;
}
