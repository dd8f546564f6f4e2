/* data.c — splits are DIR/train.jsonl, DIR/valid.jsonl and DIR/test.jsonl. */
#include "data.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int data_check(const struct arguments *a, const struct data *d, bool json)
{
    if (!d->folder) return fail_usage(json, "lorac %s needs --data DIR", a->command->name);
    if (d->mask_prompt && option_origin(a, "train-on") && d->train_on != LORAC_TRAIN_ON_LAST)
        return fail_usage(json, "--mask-prompt means --train-on last; give one of them");
    return 0;
}

static void split_path(const struct data *d, const char *split, char *path, size_t size)
{
    size_t length = strlen(d->folder);
    snprintf(path, size, "%s%s%s.jsonl", d->folder, length && d->folder[length - 1] == '/' ? "" : "/", split);
}

bool data_has(const struct data *d, const char *split)
{
    char path[4096];
    split_path(d, split, path, sizeof path);
    return path_exists(path);
}

static int open_file(const struct data *d, const struct engine *e, const char *path, bool json, lorac_dataset **dataset)
{
    lorac_dataset_options options;
    lorac_error err;
    lorac_dataset_options_init(&options);
    options.max_seq_length = d->max_seq_length;
    options.overlong = (lorac_overlong)d->overlong;
    options.train_on = d->mask_prompt ? LORAC_TRAIN_ON_LAST : (lorac_train_on)d->train_on;
    if (lorac_dataset_open(e->runtime, e->tokenizer, path, &options, dataset, &err)) return fail_error(json, &err);
    return 0;
}

int data_open(const struct data *d, const struct engine *e, const char *split, bool json, lorac_dataset **dataset)
{
    char path[4096];
    split_path(d, split, path, sizeof path);
    if (!path_exists(path))
        return fail_status(json, LORAC_NOT_FOUND, path, "%s: no such file; --data needs a folder with it", path);
    return open_file(d, e, path, json, dataset);
}

/* Copies the first `rows` lines that are not blank. */
static bool copy_rows(FILE *from, FILE *to, size_t rows)
{
    char *line = NULL;
    size_t capacity = 0;
    ssize_t length;
    while (rows && (length = getline(&line, &capacity, from)) >= 0) {
        rows -= strspn(line, " \t\r\n") < (size_t)length;
        fwrite(line, 1, (size_t)length, to);
    }
    free(line);
    return !ferror(from) && fflush(to) == 0;
}

int data_open_first(const struct data *d, const struct engine *e, const char *split, size_t rows, bool json,
                    lorac_dataset **dataset)
{
    char path[4096], copy[4096];
    const char *folder = getenv("TMPDIR");
    split_path(d, split, path, sizeof path);
    snprintf(copy, sizeof copy, "%s/lorac-XXXXXX", folder && *folder ? folder : P_tmpdir);
    FILE *from = fopen(path, "rb");
    int handle = from ? mkstemp(copy) : -1;
    FILE *to = handle >= 0 ? fdopen(handle, "wb") : NULL;
    int status;
    if (to && copy_rows(from, to, rows))
        status = open_file(d, e, copy, json, dataset);
    else
        status = fail_status(json, LORAC_IO, path, "%s: cannot copy its first rows: %s", path, strerror(errno));
    if (to) fclose(to);
    if (handle >= 0) unlink(copy);
    if (from) fclose(from);
    return status;
}
