/* data.c — splits are DIR/train.jsonl, DIR/valid.jsonl and DIR/test.jsonl; or .json, or .csv. */
#include "data.h"
#include "signals.h"
#include "terminal.h"

#include <string.h>

int data_check(const struct arguments *a, const struct data *d, bool json)
{
    if (!d->folder) return fail_usage(json, "lorac %s needs --data DIR", a->command->name);
    if (d->mask_prompt && option_origin(a, "train-on") && d->train_on != LORAC_TRAIN_ON_LAST)
        return fail_usage(json, "--mask-prompt means --train-on last; give one of them");
    return 0;
}

/* The split's file in the first form that exists; without any, the name of the JSONL file. */
void data_path(const struct data *d, const char *split, char *path, size_t size)
{
    static const char *const endings[] = {"jsonl", "json", "csv", "parquet",
                                          "jsonl"}; /* Parquet is refused with a reason */
    size_t length = strlen(d->folder);
    const char *slash = length && d->folder[length - 1] == '/' ? "" : "/";
    for (size_t i = 0; i < sizeof endings / sizeof *endings; i++) {
        snprintf(path, size, "%s%s%s.%s", d->folder, slash, split, endings[i]);
        if (path_exists(path)) return;
    }
}

bool data_has(const struct data *d, const char *split)
{
    char path[4096];
    data_path(d, split, path, sizeof path);
    return path_exists(path);
}

int data_open_first(const struct data *d, const struct engine *e, const char *split, size_t rows, bool json,
                    lorac_dataset **dataset)
{
    char path[4096];
    lorac_dataset_options options;
    lorac_error err;
    data_path(d, split, path, sizeof path);
    if (!path_exists(path))
        return fail_status(json, LORAC_NOT_FOUND, path, "%s: no such file; --data needs a folder with it", path);
    lorac_dataset_options_init(&options);
    options.max_seq_length = d->max_seq_length;
    options.overlong = (lorac_overlong)d->overlong;
    options.train_on = d->mask_prompt ? LORAC_TRAIN_ON_LAST : (lorac_train_on)d->train_on;
    options.max_rows = rows;
    if (lorac_dataset_open(e->runtime, e->tokenizer, path, &options, dataset, &err)) return fail_error(json, &err);
    return 0;
}

int data_open(const struct data *d, const struct engine *e, const char *split, bool json, lorac_dataset **dataset)
{
    return data_open_first(d, e, split, 0, json, dataset);
}

/* ---- loss ---------------------------------------------------------------------------------- */

static int on_progress(void *user, size_t done, size_t total)
{
    struct terminal *t = user;
    char left[32];
    double fraction = total ? (double)done / (double)total : 0;
    if (terminal_due(t) && done)
        terminal_progress(t, fraction, "%zu of %zu tokens  %.0f tokens/s  %s left", done, total,
                          (double)done / (seconds_now() - t->start), terminal_left(t, left, sizeof left, fraction));
    return interrupted();
}

int data_evaluate(const struct engine *e, lorac_adapter_set *set, const lorac_dataset *dataset, const struct common *c,
                  lorac_evaluation *result)
{
    struct terminal terminal;
    lorac_error err;
    *result = (lorac_evaluation){.struct_size = sizeof *result};
    terminal_open(&terminal, stderr);
    lorac_status failed =
        lorac_evaluate(e->model, set, dataset, (lorac_precision)c->precision, on_progress, &terminal, result, &err);
    terminal_clear(&terminal);
    if (interrupted()) return fail_interrupted(c->json, "interrupted");
    return failed ? fail_error(c->json, &err) : 0;
}
