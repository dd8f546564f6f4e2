/* fuzz_config.c — any bytes as a config.json, or as a GGUF file whose metadata is read as one; then the rotary
 * frequencies of what was accepted. */
#include "base/memory.h"
#include "model/config.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void use(const struct model_config *c)
{
    float inverse[MAX_HEAD_DIM / 2], factor;
    if (config_check(c, "config", NULL) != LORAC_OK) return;
    for (int i = 0; i < ROPES; i++)
        if (c->rope[i].dims <= MAX_HEAD_DIM && c->rope[i].original_context > 0) {
            rope_frequencies(&c->rope[i], 0, NULL, inverse, &factor);
            rope_frequencies(&c->rope[i], SIZE_MAX, NULL, inverse, &factor);
        }
    for (size_t i = 0; i < c->layers; i++) {
        config_attention(c, i);
        config_rope(c, i);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct memory memory = {.limit = 64u << 20};
    struct model_config c;
    const struct family *family;
    lorac_error err;
    if (size >= 4 && !memcmp(data, "GGUF", 4)) {
        struct gguf g;
        if (gguf_open_bytes(&memory, data, size, &g, &err) != LORAC_OK) return 0;
        if (config_from_gguf(&g, &family, &c, &err) == LORAC_OK) use(&c);
        gguf_close(&g);
    } else {
        json_t *config;
        if (json_read(&memory, (const char *)data, size, "config.json", &config, &err) != LORAC_OK) return 0;
        if (config_from_json(config, "config.json", &family, &c, &err) == LORAC_OK) use(&c);
        json_decref(config);
    }
    if (memory.used) abort();
    return 0;
}
