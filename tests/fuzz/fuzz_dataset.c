/* fuzz_dataset.c — any bytes as a JSONL, JSON or CSV data file, under the tokenizer and chat template of a tiny model.
 * The first byte chooses the options. */
#include "base/os.h"
#include "base/runtime.h"
#include <lorac/dataset.h>

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static lorac_runtime *runtime;
static lorac_tokenizer *tokenizer;

static void end(void)
{
    lorac_tokenizer_close(tokenizer);
    lorac_runtime_free(runtime);
}

static void prepare(void)
{
    lorac_runtime_options o;
    if (runtime) return;
    lorac_runtime_options_init(&o);
    o.threads = 1;
    if (lorac_runtime_create(&o, &runtime, NULL) ||
        lorac_tokenizer_open(runtime, TEST_DATA "/models/plain", &tokenizer, NULL))
        abort();
    atexit(end);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const endings[] = {"jsonl", "json", "csv"};
    char path[64];
    lorac_dataset *d = NULL;
    lorac_dataset_options o;
    lorac_error err;
    prepare();
    if (!size) return 0;
    snprintf(path, sizeof path, "/tmp/lorac-fuzz-data-%d.%s", (int)getpid(), endings[data[0] / 60 % 3]);
    FILE *f = fopen(path, "wb");
    if (!f) abort();
    fwrite(data + 1, 1, size - 1, f);
    fclose(f);
    lorac_dataset_options_init(&o);
    o.max_seq_length = data[0] & 3 ? 16u << (data[0] & 3) : 2048;
    o.overlong = (lorac_overlong)(data[0] / 4 % 5);
    o.train_on = (lorac_train_on)(data[0] / 20 % 3);
    if (lorac_dataset_open(runtime, tokenizer, path, &o, &d, &err) == LORAC_OK) lorac_dataset_close(d);
    remove(path);
    return 0;
}
