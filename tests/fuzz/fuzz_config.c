/* fuzz_config.c — any bytes as a config.json, or as a GGUF file whose metadata is read as one; then the rotary
 * frequencies of what was accepted. */
#include "base/memory.h"
#include "model/config.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void use(const struct model_config *c)
{
    float *inverse, factor;
    if (c->rope.dims > 1024) return; /* opening a model refuses it (weights.c) */
    inverse = calloc(c->rope.dims / 2 + 1, sizeof *inverse);
    if (!inverse) abort();
    rope_frequencies(&c->rope, NULL, inverse, &factor);
    free(inverse);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct memory memory = {.limit = 64u << 20};
    struct model_config c;
    lorac_error err;
    if (size >= 4 && !memcmp(data, "GGUF", 4)) {
        struct gguf g;
        if (gguf_open_bytes(&memory, data, size, &g, &err) != LORAC_OK) return 0;
        if (config_from_gguf(&g, &c, &err) == LORAC_OK) use(&c);
        gguf_close(&g);
    } else {
        json_t *config;
        if (json_read(&memory, (const char *)data, size, "config.json", &config, &err) != LORAC_OK) return 0;
        if (config_from_json(config, "config.json", &c, &err) == LORAC_OK) use(&c);
        json_decref(config);
    }
    if (memory.used) abort();
    return 0;
}
