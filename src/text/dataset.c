/* dataset.c — rows of token ids with masks: storage, length rule, hash. The formats are in dataset_read.c. */
#include "text/dataset.h"

#include <string.h>

void lorac_dataset_options_init(lorac_dataset_options *options)
{
    *options = (lorac_dataset_options){.struct_size = sizeof *options, .max_seq_length = 2048};
}

/* ---- rows ----------------------------------------------------------------------------------- */

static bool push(struct list *l, const void *item)
{
    void *place = list_add(l);
    if (place) memcpy(place, item, l->size);
    return place != NULL;
}

/* One row as it is. Its first id has nothing before it and is never a target. */
static lorac_status add_row(struct lorac_dataset *d, const int32_t *ids, const uint8_t *mask, size_t count,
                            lorac_error *err)
{
    bool ok = true;
    for (size_t i = 0; ok && i < count; i++) {
        uint8_t target = i && mask[i];
        d->targets += target;
        ok = push(&d->ids, &ids[i]) && push(&d->mask, &target);
    }
    if (!ok || !push(&d->starts, &d->ids.count)) return fail_memory(err, "the data", d->ids.count * 5);
    if (count > d->longest) d->longest = count;
    return LORAC_OK;
}

/* The row without its middle. The first id after the gap is not predicted from what stood before it: no target. */
static lorac_status add_ends(struct lorac_dataset *d, const int32_t *ids, const uint8_t *mask, size_t count,
                             size_t most, lorac_error *err)
{
    struct memory *m = d->memory;
    size_t head = most - most / 2, tail = most / 2;
    int32_t *kept = mem_array(m, most, sizeof *kept);
    uint8_t *targets = mem_alloc(m, most);
    lorac_status status = kept && targets ? LORAC_OK : fail_memory(err, "a row", most * 5);
    if (status == LORAC_OK) {
        memcpy(kept, ids, head * sizeof *kept);
        memcpy(kept + head, ids + count - tail, tail * sizeof *kept);
        memcpy(targets, mask, head);
        memcpy(targets + head, mask + count - tail, tail);
        if (tail) targets[head] = 0;
        status = add_row(d, kept, targets, most, err);
    }
    mem_free(m, kept);
    mem_free(m, targets);
    return status;
}

lorac_status dataset_add(struct lorac_dataset *d, const int32_t *ids, const uint8_t *mask, size_t count,
                         const lorac_dataset_options *o, const char *path, size_t line, lorac_error *err)
{
    size_t most = o->max_seq_length ? o->max_seq_length : SIZE_MAX;
    if (count <= most) return add_row(d, ids, mask, count, err);
    if (o->overlong == LORAC_OVERLONG_ERROR)
        return fail(err, LORAC_FORMAT, path,
                    "line %zu has %zu tokens, more than the %zu allowed (--overlong cut or split accepts it)", line,
                    count, most);
    d->cut++;
    if (o->overlong == LORAC_OVERLONG_CUT) return add_row(d, ids, mask, most, err);
    if (o->overlong == LORAC_OVERLONG_CUT_LEFT) return add_row(d, ids + count - most, mask + count - most, most, err);
    if (o->overlong == LORAC_OVERLONG_CUT_MIDDLE) return add_ends(d, ids, mask, count, most, err);
    for (size_t at = 0; at < count; at += most)
        TRY(add_row(d, ids + at, mask + at, count - at < most ? count - at : most, err));
    return LORAC_OK;
}

/* ---- life ----------------------------------------------------------------------------------- */

lorac_status dataset_create(struct memory *m, struct lorac_dataset **dataset, lorac_error *err)
{
    size_t zero = 0;
    struct lorac_dataset *d = mem_alloc(m, sizeof *d);
    if (!d) return fail_memory(err, "a data set", sizeof *d);
    *d = (struct lorac_dataset){.memory = m,
                                .ids = {.memory = m, .size = sizeof(int32_t)},
                                .mask = {.memory = m, .size = 1},
                                .starts = {.memory = m, .size = sizeof(size_t)}};
    *dataset = d;
    if (push(&d->starts, &zero)) return LORAC_OK;
    lorac_dataset_close(d);
    *dataset = NULL;
    return fail_memory(err, "a data set", sizeof *d);
}

lorac_status dataset_finish(struct lorac_dataset *d, lorac_error *err)
{
    struct hash h;
    TRY(hash_begin(&h, err));
    hash_add(&h, d->starts.items, d->starts.count * d->starts.size);
    hash_add(&h, d->ids.items, d->ids.count * d->ids.size);
    hash_add(&h, d->mask.items, d->mask.count);
    hash_end(&h, d->hash);
    return LORAC_OK;
}

void lorac_dataset_close(lorac_dataset *d)
{
    if (!d) return;
    list_free(&d->ids);
    list_free(&d->mask);
    list_free(&d->starts);
    mem_free(d->memory, d);
}

lorac_status lorac_dataset_from_tokens(lorac_runtime *runtime, const int32_t *ids, const size_t *lengths, size_t rows,
                                       lorac_dataset **dataset, lorac_error *err)
{
    const lorac_dataset_options any = {.struct_size = sizeof any};
    struct lorac_dataset *d;
    size_t longest = 0;
    for (size_t i = 0; i < rows; i++)
        if (lengths[i] > longest) longest = lengths[i];
    TRY(dataset_create(&runtime->memory, &d, err));
    uint8_t *ones = mem_alloc(&runtime->memory, longest + 1);
    lorac_status status = ones ? LORAC_OK : fail_memory(err, "a mask", longest);
    if (ones) memset(ones, 1, longest);
    for (size_t i = 0; status == LORAC_OK && i < rows; ids += lengths[i++])
        status = dataset_add(d, ids, ones, lengths[i], &any, NULL, i, err);
    mem_free(&runtime->memory, ones);
    if (status == LORAC_OK) status = dataset_finish(d, err);
    if (status == LORAC_OK)
        *dataset = d;
    else
        lorac_dataset_close(d);
    return status;
}

void lorac_dataset_get_info(const lorac_dataset *d, lorac_dataset_info *info)
{
    size_t size = info->struct_size;
    lorac_dataset_info full = {.struct_size = size,
                               .rows = d->starts.count - 1,
                               .tokens = d->ids.count,
                               .targets = d->targets,
                               .longest = d->longest,
                               .cut = d->cut};
    hash_text(d->hash, full.hash);
    memcpy(info, &full, size < sizeof full ? size : sizeof full);
}

lorac_status lorac_dataset_row(const lorac_dataset *d, size_t row, const int32_t **ids, const uint8_t **is_target,
                               size_t *count, lorac_error *err)
{
    const size_t *starts = d->starts.items;
    if (row + 1 >= d->starts.count)
        return fail(err, LORAC_INVALID_ARGUMENT, NULL, "there is no row %zu in a data set of %zu", row,
                    d->starts.count - 1);
    *ids = (const int32_t *)d->ids.items + starts[row];
    *is_target = (const uint8_t *)d->mask.items + starts[row];
    *count = starts[row + 1] - starts[row];
    return LORAC_OK;
}
