/* fuzz_safetensors.c — any bytes as a safetensors file: no crash, no leak, no more memory than the bytes justify;
 * and what was accepted can be read to the last byte and found by name. */
#include "file/safetensors.h"

#include <stdlib.h>

static volatile unsigned sink; /* keeps the reads */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct memory m = {.limit = 64 * size + 65536};
    struct safetensors s;
    lorac_error err = {.message = ""};
    lorac_status status = safetensors_open_bytes(&m, data, size, &s, &err);
    if (status == LORAC_OUT_OF_MEMORY) abort();
    if (status != LORAC_OK) return m.used || !*err.message ? abort(), 0 : 0;
    for (size_t i = 0; i < s.count; i++) {
        if (safetensors_find(&s, s.tensors[i].name) != &s.tensors[i]) abort();
        for (size_t k = 0; k < s.tensors[i].bytes; k++) sink += s.tensors[i].data[k];
    }
    for (size_t i = 0; i < s.metadata_count; i++)
        if (safetensors_metadata(&s, s.metadata[2 * i]) != s.metadata[2 * i + 1]) abort();
    safetensors_close(&s);
    if (m.used) abort();
    return 0;
}
