/* text_run.c — the calibration text through the base. See conversion.h. */
#include "convert/conversion.h"

#include "model/decoder.h"

enum { BATCH_TOKENS = 1024, BATCH_ROWS = 64 };

static lorac_status plan_exec(const struct lorac_model *m, size_t *stack, lorac_error *err)
{
    struct memory *memory = &m->runtime->memory;
    struct backend *null;
    struct exec e = {0};
    struct batch batch = {0};
    TRY(backend_null_create(memory, &null, err));
    lorac_status status = batch_create(m, null, BATCH_TOKENS, 1, &batch, err);
    if (status == LORAC_OK) status = exec_create(memory, null, m->config.layers, 0, 0, &e, err);
    if (status == LORAC_OK) {
        batch_add_blank(&batch, BATCH_TOKENS);
        batch_upload(&batch, &e.stream);
        e.precision = PRECISION_FAST;
        decoder_forward(m, &e, &batch);
        *stack = e.stack.high;
    }
    exec_free(&e);
    batch_free(&batch);
    backend_free(null);
    return status;
}

lorac_status text_run_open(struct conversion *c, struct text_run *t, lorac_error *err)
{
    const struct lorac_model *m = c->base;
    struct backend *b = m->runtime->backend;
    size_t stack = 0;
    *t = (struct text_run){.c = c};
    TRY(plan_exec(m, &stack, err));
    TRY(batch_create(m, b, BATCH_TOKENS, BATCH_ROWS, &t->batch, err));
    TRY(exec_create(c->memory, b, m->config.layers, stack, 0, &t->exec, err));
    t->exec.precision = PRECISION_FAST;
    return LORAC_OK;
}

void text_run_close(struct text_run *t)
{
    if (!t->c) return;
    exec_free(&t->exec);
    batch_free(&t->batch);
}

/* What is in the batch, and that so many tokens of all are done. */
static lorac_status flush(struct text_run *t, size_t *done, size_t all, lorac_error *err)
{
    struct exec *e = &t->exec;
    size_t part = (size_t)((double)t->c->source_bytes * t->share * (double)*done / (double)(all ? all : 1));
    *done = 0;
    if (!t->batch.sequences) return LORAC_OK;
    exec_reset(e);
    e->k->begin(&e->stream);
    batch_upload(&t->batch, &e->stream);
    const struct tensor *x = decoder_forward(t->c->base, e, &t->batch);
    bool ran = e->k->wait(&e->stream);
    batch_clear(&t->batch);
    if (!ran) return fail_memory(err, "a forward", e->stack.high);
    if (t->output) t->output(t->context, x);
    return conversion_report(t->c, part, err);
}

lorac_status text_run(struct text_run *t, size_t most, lorac_error *err)
{
    const lorac_dataset *d = t->c->options->calibration;
    size_t all = d->ids.count < most ? d->ids.count : most, seen = 0, done = 0;
    for (size_t i = 0; i < d->starts.count - 1 && seen < most; i++) {
        const int32_t *ids;
        const uint8_t *mask;
        size_t count;
        TRY(lorac_dataset_row(d, i, &ids, &mask, &count, err));
        size_t n = count < BATCH_TOKENS ? count : BATCH_TOKENS;
        if (n && !batch_add(&t->batch, ids, n, 0, n, NULL, NULL)) {
            TRY(flush(t, &done, all, err));
            batch_add(&t->batch, ids, n, 0, n, NULL, NULL);
        }
        done += count, seen += count;
    }
    return flush(t, &done, all, err);
}
