/* dataset_rows.h — a data file's rows as JSON objects: JSONL, a JSON array, or CSV, by the file's name. */
#ifndef TEXT_DATASET_ROWS_H
#define TEXT_DATASET_ROWS_H

#include "base/json.h"

/* Gets each row in order, borrowed, and where it stands: the number of its line, in a JSON array of the row. */
typedef lorac_status (*row_sink)(void *context, json_t *row, size_t place, lorac_error *err);

/* What errors call a place in this file: "line" or "row". */
const char *rows_unit(const char *path);
/* At most `most` rows. */
lorac_status rows_read(struct memory *m, const char *path, const char *bytes, size_t size, size_t most, row_sink sink,
                       void *context, lorac_error *err);

#endif
