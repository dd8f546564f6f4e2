/* fuzz_adapter.c — an adapter's config and its weights, one behind the other (the first two bytes: how long the config
 * is): read, described and fitted to a tiny model; weights that begin as a GGUF are one. */
#include "adapter/file.h"
#include "model/model.h"
#include "model/outline.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static lorac_runtime *runtime;
static lorac_model *model;
static struct outline outline;

static void end(void)
{
    outline_close(&outline);
    lorac_model_release(model);
    lorac_runtime_free(runtime);
}

static void prepare(void)
{
    lorac_runtime_options o;
    if (runtime) return;
    lorac_runtime_options_init(&o);
    o.threads = 1;
    if (lorac_runtime_create(&o, &runtime, NULL) ||
        lorac_model_open(runtime, TEST_DATA "/models/plain", &model, NULL) || outline_of_model(model, &outline, NULL))
        abort();
    atexit(end);
}

static lorac_status open_bytes(struct adapter_file *f, const uint8_t *bytes, size_t size)
{
    bool gguf = size >= 4 && !memcmp(bytes, "GGUF", 4);
    if (!gguf) return safetensors_open_bytes(f->memory, bytes, size, &f->tensors, NULL);
    f->format = ADAPTER_GGUF;
    return gguf_open_bytes(f->memory, bytes, size, &f->gguf, NULL);
}

static void describe(const struct adapter_file *f)
{
    uint8_t digest[HASH_BYTES];
    double norm;
    file_hash(f, digest, NULL);
    for (size_t i = 0; i < f->modules.count; i++) {
        const struct file_module *m = &file_modules(f)[i];
        if (m->a.rows <= 64) module_norm(f->memory, m, &norm, NULL);
    }
}

static void read_bytes(struct memory *m, json_t *config, const uint8_t *bytes, size_t size)
{
    struct adapter_file f;
    struct adapter_layout layout = {0};
    float *floats = NULL;
    lorac_error err;
    struct linear_list linears = model_linears(model);
    linears.gguf = &outline.gguf;
    file_begin(&f, m);
    f.config = json_incref(config);
    if (open_bytes(&f, bytes, size) == LORAC_OK && file_read(&f, &err) == LORAC_OK) {
        describe(&f);
        adapter_of_file(&f, linears, &layout, &floats, &err);
    }
    mem_free(m, layout.modules);
    mem_free(m, floats);
    file_close(&f);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct memory memory = {.limit = 64u << 20};
    json_t *config = NULL;
    prepare();
    if (size < 2) return 0;
    size_t length = (size_t)data[0] | (size_t)data[1] << 8;
    if (length > size - 2) length = size - 2;
    if (json_read(&memory, (const char *)data + 2, length, "adapter_config.json", &config, NULL) == LORAC_OK)
        read_bytes(&memory, config, data + 2 + length, size - 2 - length);
    json_decref(config);
    if (memory.used) abort();
    return 0;
}
