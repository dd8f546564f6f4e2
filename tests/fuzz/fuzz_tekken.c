/* fuzz_tekken.c — a tekken.json from any bytes. */
#include "tokenizer_file.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    try_file("tekken.json", tokenizer_read_tekken, data, size);
    return 0;
}
