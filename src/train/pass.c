/* pass.c — rows of a data set through the model to a loss, and back. */
#include "train/trainer.h"

#include "model/decoder.h"

static struct buf part(const struct pass *p, size_t i)
{
    return buf_at((struct buf){p->buffer, 0}, i * p->max_targets);
}

lorac_status pass_create(struct lorac_model *model, struct backend *backend, const struct pass_shape *shape,
                         enum precision precision, struct pass *p, lorac_error *err)
{
    struct memory *m = &model->runtime->memory;
    *p = (struct pass){.model = model, .max_targets = shape->targets};
    p->index = mem_array(m, shape->targets, sizeof *p->index);
    p->targets = mem_array(m, shape->targets, sizeof *p->targets);
    p->weights = mem_array(m, shape->targets, sizeof *p->weights);
    p->losses = mem_array(m, shape->targets, sizeof *p->losses);
    if (!p->index || !p->targets || !p->weights || !p->losses)
        return fail_memory(err, "a batch's targets", shape->targets * 16);
    for (size_t i = 0; i < shape->targets; i++) p->weights[i] = 1;
    TRY(backend->kernels->buffer_create(backend, shape->targets * 16, &p->buffer, err));
    TRY(batch_create(model, backend, shape->rows, shape->sequences, &p->batch, err));
    TRY(exec_create(m, backend, model->config.layers, shape->stack, shape->gradients, &p->exec, err));
    p->exec.stream.priority = POOL_LOW;
    p->exec.precision = precision;
    p->exec.narrow = precision == PRECISION_FAST ? NUMBER_BF16 : NUMBER_F32;
    p->loss = (struct head_loss){&model->head, part(p, 0), part(p, 1), part(p, 2), part(p, 3), 0};
    return LORAC_OK;
}

void pass_free(struct pass *p)
{
    if (!p->model) return;
    struct memory *m = &p->model->runtime->memory;
    struct backend *b = p->batch.backend ? p->batch.backend : p->model->runtime->backend;
    b->kernels->buffer_free(b, p->buffer);
    exec_free(&p->exec);
    batch_free(&p->batch);
    mem_free(m, p->index);
    mem_free(m, p->targets);
    mem_free(m, p->weights);
    mem_free(m, p->losses);
    *p = (struct pass){0};
}

void pass_clear(struct pass *p)
{
    batch_clear(&p->batch);
    p->count = 0;
}

bool pass_add(struct pass *p, const int32_t *ids, const uint8_t *mask, size_t count, const struct term_table *terms)
{
    size_t row = p->batch.rows, targets = 0;
    if (count < 2) return true; /* nothing to predict */
    for (size_t i = 1; i < count; i++) targets += mask[i];
    if (targets > p->max_targets - p->count || !batch_add(&p->batch, ids, count - 1, 0, count, NULL, terms))
        return false;
    for (size_t i = 1; i < count; i++)
        if (mask[i]) {
            p->index[p->count] = (int32_t)(row + i - 1);
            p->targets[p->count++] = ids[i];
        }
    return true;
}

static void issue(struct pass *p, bool train)
{
    struct exec *e = &p->exec;
    e->dropout = train ? p->dropout : 0;
    p->loss.count = p->count;
    batch_upload(&p->batch, &e->stream);
    e->k->upload(&e->stream, p->loss.index, p->index, p->count * sizeof *p->index);
    e->k->upload(&e->stream, p->loss.targets, p->targets, p->count * sizeof *p->targets);
    e->k->upload(&e->stream, p->loss.weights, p->weights, p->count * sizeof *p->weights);
    e->recording = train;
    struct tensor *x = decoder_forward(p->model, e, &p->batch);
    op_head_loss(e, x, &p->loss);
    if (train) exec_backward(e);
}

lorac_status pass_run(struct pass *p, bool train, double *sum, lorac_error *err)
{
    struct exec *e = &p->exec;
    *sum = 0;
    exec_reset(e);
    if (!p->count) return LORAC_OK;
    e->k->begin(&e->stream);
    issue(p, train);
    if (!e->k->wait(&e->stream))
        return e->failed ? fail(err, LORAC_OUT_OF_MEMORY, NULL, "the memory plan was too small for a batch of %zu rows",
                                p->batch.rows)
                         : fail(err, LORAC_CANCELLED, NULL, "cancelled");
    e->k->readback(&e->stream, p->losses, p->loss.losses, p->count * sizeof *p->losses);
    for (size_t i = 0; i < p->count; i++) *sum += (double)p->losses[i];
    return LORAC_OK;
}

lorac_status pass_plan(struct lorac_model *model, struct pass_shape *shape, bool train, enum precision precision,
                       float dropout, const struct term_table *terms, size_t first_trained, struct recompute recompute,
                       lorac_error *err)
{
    struct backend *null;
    struct pass p = {0};
    shape->stack = shape->gradients = 0;
    TRY(backend_null_create(&model->runtime->memory, &null, err));
    lorac_status status = pass_create(model, null, shape, precision, &p, err);
    if (status == LORAC_OK) {
        p.dropout = dropout;
        p.batch.first_trained = first_trained;
        p.batch.recompute = recompute;
        batch_add_blank(&p.batch, shape->rows);
        p.batch.ranges[0].table = terms;
        p.count = shape->targets;
        p.exec.k->begin(&p.exec.stream);
        issue(&p, train);
        shape->stack = p.exec.stack.high;
        shape->gradients = p.exec.gradients.high;
        if (p.exec.failed) status = fail(err, LORAC_UNSUPPORTED, NULL, "the model has more parts than the tape holds");
    }
    pass_free(&p);
    backend_free(null);
    return status;
}
