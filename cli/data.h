/* data.h — opening the splits of a data folder. */
#ifndef CLI_DATA_H
#define CLI_DATA_H

#include "common.h"
#include <lorac/dataset.h>
#include <lorac/trainer.h>

struct data {
    const char *folder;
    size_t max_seq_length;
    int overlong, train_on;
    bool mask_prompt;
};

#define DATA_OPTIONS(values)                                                                                           \
    OPTION(TEXT, values, data.folder, "data", .value = "DIR",                                                          \
           .help = "a folder with train.jsonl, valid.jsonl, test.jsonl (or .json, .csv)"),                             \
        OPTION(COUNT, values, data.max_seq_length, "max-seq-length", .value = "N", .fallback = "2048",                 \
               .help = "most tokens of a row; 0: no limit"),                                                           \
        OPTION(CHOICE, values, data.overlong, "overlong", .value = "HOW",                                              \
               .choices = "cut|split|error|cut-left|cut-middle", .fallback = "cut",                                    \
               .help = "what happens to longer rows"),                                                                 \
        OPTION(FLAG, values, data.mask_prompt, "mask-prompt",                                                          \
               .help = "count the loss of the last answer only; the same as --train-on last"),                         \
        OPTION(CHOICE, values, data.train_on, "train-on", .value = "WHAT", .choices = "all|last|assistant",            \
               .fallback = "all", .help = "whose tokens count: all, the last answer's, every answer's")

/* 0, or the exit status of a reported failure: no folder given, a contradiction between options. */
int data_check(const struct arguments *a, const struct data *d, bool json);
/* The file of a split, which need not exist. */
void data_path(const struct data *d, const char *split, char *path, size_t size);
bool data_has(const struct data *d, const char *split);
int data_open(const struct data *d, const struct engine *e, const char *split, bool json, lorac_dataset **dataset);
/* The same, but at most the first `rows` rows; 0: all. */
int data_open_first(const struct data *d, const struct engine *e, const char *split, size_t rows, bool json,
                    lorac_dataset **dataset);
/* The mean loss over the dataset, with a progress bar; 0, or the exit status of a reported failure. */
int data_evaluate(const struct engine *e, lorac_adapter_set *set, const lorac_dataset *dataset, const struct common *c,
                  lorac_evaluation *result);

#endif
