/* fuzz_gguf.c — any bytes as a GGUF file: no crash, no leak, no more memory than the bytes justify; and what was
 * accepted can be walked to the last byte. */
#include "file/gguf.h"

#include <stdlib.h>

static volatile double sink; /* keeps the reads */

static void walk(const struct gguf *g)
{
    for (size_t i = 0; i < g->value_count; i++) {
        const struct gguf_value *v = &g->values[i];
        struct gguf_string item;
        size_t at = 0, strings = 0;
        if (v->type != GGUF_ARRAY) continue;
        for (; gguf_next_string(v, &at, &item); strings++)
            for (size_t k = 0; k < item.length; k++) sink += item.data[k];
        if (v->as.array.type == GGUF_STRING && strings != v->as.array.count) abort();
        for (size_t k = 0; k < v->as.array.count && !strings; k++) sink += gguf_number(v, k);
    }
    for (size_t i = 0; i < g->tensor_count; i++)
        for (size_t k = 0; k < g->tensors[i].bytes; k++) sink += g->tensors[i].data[k];
}

static void ask(const struct gguf *g)
{
    size_t size;
    double real;
    bool flag;
    char *text;
    for (size_t i = 0; i < g->value_count && i < 64; i++) {
        char *key = mem_text(g->memory, g->values[i].key.data, g->values[i].key.length);
        if (!key) abort();
        if (gguf_find(g, key) != &g->values[i]) abort(); /* keys are unique */
        gguf_get_size(g, key, 0, &size, NULL);
        gguf_get_float(g, key, 0, &real, NULL);
        gguf_get_bool(g, key, false, &flag, NULL);
        if (gguf_get_text(g, key, &text, NULL) == LORAC_OK) mem_free(g->memory, text);
        mem_free(g->memory, key);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct memory m = {.limit = 16 * size + 65536};
    struct gguf g;
    lorac_error err = {.message = ""};
    lorac_status status = gguf_open_bytes(&m, data, size, &g, &err);
    if (status == LORAC_OUT_OF_MEMORY) abort();
    if (status != LORAC_OK) return m.used || !*err.message ? abort(), 0 : 0;
    walk(&g);
    ask(&g);
    gguf_close(&g);
    if (m.used) abort();
    return 0;
}
