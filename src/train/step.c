/* step.c — one micro-batch's gradient, and one optimiser step.
 *
 * Gradients are summed over the targets of all micro-batches of a step; the update divides by their number. */
#include "train/trainer.h"

#include <math.h>

static struct buf whole(struct buffer *b)
{
    return (struct buf){b, 0};
}

void step_zero(struct lorac_trainer *t)
{
    struct exec *e = &t->pass.exec;
    e->k->begin(&e->stream);
    e->k->fill(&e->stream, whole(t->gradients), NUMBER_F32, 0, t->layout.floats);
    e->k->wait(&e->stream);
}

lorac_status step_gradient(struct lorac_trainer *t, size_t iteration, double *loss_sum, size_t *targets,
                           lorac_error *err)
{
    size_t rows[1024], n = order_batch(t, iteration, rows);
    pass_clear(&t->pass);
    for (size_t i = 0; i < n; i++) {
        const int32_t *ids;
        const uint8_t *mask;
        size_t count;
        TRY(lorac_dataset_row(t->train, rows[i], &ids, &mask, &count, err));
        if (!pass_add(&t->pass, ids, mask, count, &t->table))
            return fail(err, LORAC_OUT_OF_MEMORY, NULL, "a batch is larger than planned");
    }
    t->pass.exec.step = iteration;
    t->pass.exec.stream.cancel = &t->cancel;
    *targets = t->pass.count;
    lorac_status status = pass_run(&t->pass, true, loss_sum, err);
    t->pass.exec.stream.cancel = NULL; /* what is left of the step is short and must be whole */
    if (status == LORAC_OK && !isfinite(*loss_sum))
        return fail(err, LORAC_NOT_FINITE, NULL,
                    "the loss of iteration %zu is not finite: lower --learning-rate or set --clip-norm", iteration + 1);
    return status;
}

/* The factor that brings the mean gradient's norm down to the limit. */
static double clip(struct lorac_trainer *t, double scale)
{
    struct exec *e = &t->pass.exec;
    double sum = 0;
    if (!(t->options.clip_norm > 0)) return 1;
    e->k->begin(&e->stream);
    e->k->sum_squares(&e->stream, whole(t->sums), whole(t->gradients), t->layout.floats);
    e->k->wait(&e->stream);
    e->k->readback(&e->stream, t->host_sums, whole(t->sums), t->sum_count * sizeof *t->host_sums);
    for (size_t i = 0; i < t->sum_count; i++) sum += t->host_sums[i];
    return fmin(1, t->options.clip_norm / (sqrt(sum) * scale + 1e-6));
}

lorac_status step_update(struct lorac_trainer *t, size_t targets, double rate, lorac_error *err)
{
    const float beta1 = 0.9f,
                beta2 = 0.999f; /* the corrections are those of the rounded ones: 1 − 0.999f is not 0.001 */
    struct exec *e = &t->pass.exec;
    if (!targets) return LORAC_OK;
    double scale = 1 / (double)targets, steps = (double)++t->optimizer_step;
    scale *= clip(t, scale);
    e->k->begin(&e->stream);
    e->k->adamw(&e->stream, &(struct adamw){whole(t->weights), whole(t->gradients), whole(t->m), whole(t->v),
                                            t->layout.floats, (float)rate, beta1, beta2, 1e-8f,
                                            (float)t->options.weight_decay, (float)(1 - pow((double)beta1, steps)),
                                            (float)(1 - pow((double)beta2, steps)), (float)scale});
    e->k->wait(&e->stream);
    return LORAC_OK;
}
