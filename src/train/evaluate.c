/* evaluate.c — the mean loss over rows of a data set, as many rows in a forward as fit. */
#include "train/trainer.h"

#include "base/os.h"

#include <string.h>

enum { PACK_TOKENS = 1024, PACK_ROWS = 64 };

lorac_status check_ids(const struct lorac_model *model, const struct lorac_dataset *d, lorac_error *err)
{
    const int32_t *ids = d->ids.items;
    for (size_t i = 0; i < d->ids.count; i++)
        if (ids[i] < 0 || (size_t)ids[i] >= model->config.vocab)
            return fail(err, LORAC_MISMATCH, model->path,
                        "the data holds token %d, the model's vocabulary has %zu: the tokenizer is another model's",
                        ids[i], model->config.vocab);
    return LORAC_OK;
}

static lorac_status flush(struct pass *p, lorac_evaluation *r, lorac_error *err)
{
    double sum;
    if (!p->batch.sequences) return LORAC_OK;
    TRY(pass_run(p, false, &sum, err));
    r->loss += sum;
    r->tokens += p->count;
    pass_clear(p);
    return LORAC_OK;
}

lorac_status evaluate_rows(struct pass *p, const struct lorac_dataset *d, size_t first, size_t rows,
                           const struct term_table *terms, lorac_progress_fn progress, void *user,
                           lorac_evaluation *result, lorac_error *err)
{
    double start = os_seconds();
    lorac_evaluation r = {.struct_size = sizeof r};
    pass_clear(p);
    for (size_t i = first; i < first + rows; i++) {
        const int32_t *ids;
        const uint8_t *mask;
        size_t count;
        TRY(lorac_dataset_row(d, i, &ids, &mask, &count, err));
        if (!pass_add(p, ids, mask, count, terms)) {
            TRY(flush(p, &r, err));
            if (progress && progress(user, r.tokens, d->targets)) return fail(err, LORAC_CANCELLED, NULL, "cancelled");
            if (!pass_add(p, ids, mask, count, terms))
                return fail(err, LORAC_OUT_OF_MEMORY, NULL, "row %zu is larger than planned", i + 1);
        }
    }
    TRY(flush(p, &r, err));
    if (progress) progress(user, r.tokens, d->targets);
    if (!r.tokens) return fail(err, LORAC_INVALID_ARGUMENT, NULL, "the data holds no target token");
    r.loss /= (double)r.tokens;
    r.seconds = os_seconds() - start;
    *result = r;
    return LORAC_OK;
}

lorac_status lorac_evaluate(lorac_model *model, lorac_adapter_set *set, const lorac_dataset *data,
                            lorac_precision precision, lorac_progress_fn progress, void *user, lorac_evaluation *result,
                            lorac_error *err)
{
    size_t longest = data->longest > PACK_TOKENS ? data->longest : PACK_TOKENS;
    struct pass_shape shape = {.rows = longest, .sequences = PACK_ROWS, .targets = longest};
    enum precision p = precision == LORAC_EXACT ? PRECISION_EXACT : PRECISION_FAST;
    const struct term_table *terms = set && set->table.begin ? &set->table : NULL;
    struct pass pass = {0};
    lorac_evaluation full;
    size_t size = result->struct_size ? result->struct_size : sizeof full;
    TRY(check_ids(model, data, err));
    TRY(pass_plan(model, &shape, false, p, 0, terms, SIZE_MAX, (struct recompute){0}, err));
    lorac_status status = pass_create(model, model->runtime->backend, &shape, &pass, err);
    pass.exec.precision = p;
    if (status == LORAC_OK)
        status = evaluate_rows(&pass, data, 0, data->starts.count - 1, terms, progress, user, &full, err);
    pass_free(&pass);
    if (status == LORAC_OK) memcpy(result, &full, size < sizeof full ? size : sizeof full);
    return status;
}
