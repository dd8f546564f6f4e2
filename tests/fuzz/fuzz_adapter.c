/* fuzz_adapter.c — an adapter's config and its safetensors file, one behind the other (the first two bytes: how long
 * the config is), read against the linears of a tiny model. */
#include "adapter/file.h"
#include "model/model.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static lorac_runtime *runtime;
static lorac_model *model;

static void end(void)
{
    lorac_model_release(model);
    lorac_runtime_free(runtime);
}

static void prepare(void)
{
    lorac_runtime_options o;
    if (runtime) return;
    lorac_runtime_options_init(&o);
    o.threads = 1;
    if (lorac_runtime_create(&o, &runtime, NULL) || lorac_model_open(runtime, TEST_DATA "/models/plain", &model, NULL))
        abort();
    atexit(end);
}

static void read_tensors(struct memory *m, json_t *config, const uint8_t *bytes, size_t size)
{
    struct adapter_file f;
    struct adapter_layout layout = {0};
    float *floats = NULL;
    lorac_error err;
    file_begin(&f, m);
    f.config = json_incref(config);
    if (safetensors_open_bytes(m, bytes, size, &f.tensors, &err) == LORAC_OK && file_read(&f, &err) == LORAC_OK)
        adapter_of_file(&f, model_linears(model), &layout, &floats, &err);
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
        read_tensors(&memory, config, data + 2 + length, size - 2 - length);
    json_decref(config);
    if (memory.used) abort();
    return 0;
}
