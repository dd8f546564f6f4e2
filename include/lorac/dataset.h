/* dataset.h — files of rows to token rows with loss masks.
 *
 * A file is JSONL, or by its name a JSON array (.json) or a table (.csv, the first line names the columns). Formats,
 * told by the first row's keys: {"prompt","completion"}, {"messages"[, "tools"]}, {"text"}. A message with
 * "train": false is never a target. A bad line is an error that names file and line. Immutable after opening. Thread
 * rule: use from any thread. */
#ifndef LORAC_DATASET_H
#define LORAC_DATASET_H

#include <lorac/tokenizer.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct lorac_dataset lorac_dataset;

/* What becomes of a row that is longer than max_seq_length: its end, its beginning or its middle is cut off, or it is
 * split into several rows, or it is an error. */
typedef enum lorac_overlong {
    LORAC_OVERLONG_CUT = 0,
    LORAC_OVERLONG_SPLIT,
    LORAC_OVERLONG_ERROR,
    LORAC_OVERLONG_CUT_LEFT,
    LORAC_OVERLONG_CUT_MIDDLE
} lorac_overlong;
/* Which tokens of a chat or completion are targets. */
typedef enum lorac_train_on { LORAC_TRAIN_ON_ALL = 0, LORAC_TRAIN_ON_LAST, LORAC_TRAIN_ON_ASSISTANT } lorac_train_on;

typedef struct lorac_dataset_options {
    size_t struct_size;
    size_t max_seq_length; /* default 2048; 0: no limit */
    lorac_overlong overlong;
    lorac_train_on train_on; /* --mask-prompt is LORAC_TRAIN_ON_LAST; text rows take LORAC_TRAIN_ON_ALL only */
    size_t max_rows;         /* no more rows of the file than this; 0: all */
} lorac_dataset_options;
LORAC_API void lorac_dataset_options_init(lorac_dataset_options *options);

LORAC_API lorac_status lorac_dataset_open(lorac_runtime *runtime, const lorac_tokenizer *tokenizer, const char *path,
                                          const lorac_dataset_options *options, lorac_dataset **dataset,
                                          lorac_error *err);
/* Rows of ids, all of them targets: row i is lengths[i] ids. The ids are copied. */
LORAC_API lorac_status lorac_dataset_from_tokens(lorac_runtime *runtime, const int32_t *ids, const size_t *lengths,
                                                 size_t rows, lorac_dataset **dataset, lorac_error *err);
LORAC_API void lorac_dataset_close(lorac_dataset *dataset);

typedef struct lorac_dataset_info {
    size_t struct_size;
    size_t rows, tokens, targets, longest; /* longest: tokens of the longest row */
    size_t cut;                            /* rows that were cut or split */
    char hash[65];                         /* SHA-256 of ids and masks */
} lorac_dataset_info;
LORAC_API void lorac_dataset_get_info(const lorac_dataset *dataset, lorac_dataset_info *info);

/* Row `row`: its ids and, per id, 1 where it is a target (it is predicted from those before it; the first never is).
 * Borrowed. */
LORAC_API lorac_status lorac_dataset_row(const lorac_dataset *dataset, size_t row, const int32_t **ids,
                                         const uint8_t **is_target, size_t *count, lorac_error *err);

#ifdef __cplusplus
}
#endif
#endif
