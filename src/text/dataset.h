/* dataset.h — the inside of a data set: rows of ids laid end to end. */
#ifndef TEXT_DATASET_H
#define TEXT_DATASET_H

#include "base/hash.h"
#include "base/runtime.h"
#include <lorac/dataset.h>

struct lorac_dataset {
    struct memory *memory;
    struct list ids;    /* int32_t */
    struct list mask;   /* uint8_t: 1 where the id is a target */
    struct list starts; /* size_t: where each row begins; one more than rows */
    size_t targets, longest, cut;
    uint8_t hash[HASH_BYTES];
};

/* Appends a row under the options' length rule. place: what errors call it ("line 7"). */
lorac_status dataset_add(struct lorac_dataset *d, const int32_t *ids, const uint8_t *mask, size_t count,
                         const lorac_dataset_options *options, const char *path, size_t line, lorac_error *err);

lorac_status dataset_create(struct memory *m, struct lorac_dataset **dataset, lorac_error *err);
lorac_status dataset_finish(struct lorac_dataset *d, lorac_error *err); /* hashes */

#endif
