/* data_rows.c — the token rows of a data file, for tools/judge_masks.py.
 *
 * usage: data_rows TOKENIZER all|last|assistant CASES
 * CASES is JSONL, each line the content of a data file of one row; a line of standard output is {"tokens", "targets"}
 * or {"error"}. */
#include "base/json.h"
#include <lorac/dataset.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void print_numbers(const char *name, const int32_t *ids, const uint8_t *mask, size_t count)
{
    printf("\"%s\":[", name);
    for (size_t i = 0; i < count; i++) printf("%s%d", i ? "," : "", ids ? (int)ids[i] : mask[i]);
    printf("]");
}

static void print_row(lorac_runtime *runtime, const lorac_tokenizer *tokenizer, const char *path,
                      const lorac_dataset_options *options)
{
    lorac_dataset *data;
    lorac_error err;
    const int32_t *ids;
    const uint8_t *mask;
    size_t count;
    if (lorac_dataset_open(runtime, tokenizer, path, options, &data, &err)) {
        json_t *error = json_pack("{s:s}", "error", err.message);
        json_dumpf(error, stdout, 0);
        json_decref(error);
        puts("");
        return;
    }
    lorac_dataset_row(data, 0, &ids, &mask, &count, &err);
    printf("{");
    print_numbers("tokens", ids, NULL, count);
    printf(",");
    print_numbers("targets", NULL, mask, count);
    puts("}");
    lorac_dataset_close(data);
}

int main(int argc, char **argv)
{
    static const char *const modes[] = {"all", "last", "assistant"};
    lorac_runtime *runtime;
    lorac_tokenizer *tokenizer;
    lorac_dataset_options options;
    lorac_error err;
    char *line = NULL, path[] = "/tmp/lorac-rows-XXXXXX";
    size_t capacity = 0;
    FILE *cases = argc == 4 ? fopen(argv[3], "rb") : NULL;
    int handle = mkstemp(path);
    if (!cases || handle < 0) return fprintf(stderr, "usage: data_rows TOKENIZER all|last|assistant CASES\n"), 2;
    lorac_dataset_options_init(&options);
    options.max_seq_length = 0;
    for (int i = 0; i < 3; i++)
        if (!strcmp(argv[2], modes[i])) options.train_on = (lorac_train_on)i;
    if (lorac_runtime_create(NULL, &runtime, &err) || lorac_tokenizer_open(runtime, argv[1], &tokenizer, &err))
        return fprintf(stderr, "%s\n", err.message), 1;
    for (ssize_t length; (length = getline(&line, &capacity, cases)) > 0;) {
        FILE *out = fopen(path, "wb");
        if (!out || fwrite(line, 1, (size_t)length, out) != (size_t)length || fclose(out)) return 1;
        print_row(runtime, tokenizer, path, &options);
    }
    free(line);
    fclose(cases);
    close(handle);
    unlink(path);
    lorac_tokenizer_close(tokenizer);
    lorac_runtime_free(runtime);
    return 0;
}
