/* run.c — the loop: gradients, updates, validations, reports, checkpoints.
 *
 * The state that checkpoints hold is that of the last optimiser step: a run that stops between two of them goes on from
 * there. */
#include "train/trainer.h"

#include "base/os.h"

#include <math.h>
#include <string.h>

struct running {
    struct lorac_trainer *t;
    lorac_event_fn on_event;
    void *user;
    lorac_error *err;
    size_t steps;          /* optimiser steps of the whole run */
    size_t iteration;      /* micro-batches done, those of an unfinished step included */
    size_t window_targets; /* targets of the unfinished optimiser step */
    /* since the last report */
    double loss_sum, seconds;
    size_t targets, all_targets;
    double rate;
    bool stop;
};

static void tell(struct running *r, lorac_event_kind kind, lorac_event e)
{
    e.struct_size = sizeof e;
    e.kind = kind;
    e.iteration = kind == LORAC_EVENT_SAVE ? r->t->iteration : r->iteration;
    e.iterations = r->t->options.iterations;
    e.learning_rate = r->rate;
    if (kind == LORAC_EVENT_TRAIN) e.peak_rss_bytes = os_peak_resident_bytes();
    if (r->on_event && r->on_event(r->user, &e)) r->stop = true;
}

/* ---- saving ---------------------------------------------------------------------------------- */

static lorac_status save(struct running *r, bool keep)
{
    if (!r->t->folder) return LORAC_OK;
    TRY(checkpoint_save(r->t, r->err));
    if (keep) TRY(checkpoint_keep(r->t, r->err));
    tell(r, LORAC_EVENT_SAVE, (lorac_event){0});
    return LORAC_OK;
}

/* ---- validation ------------------------------------------------------------------------------ */

static int evaluating(void *user, size_t done, size_t total)
{
    struct running *r = user;
    tell(r, LORAC_EVENT_VALID_PROGRESS, (lorac_event){.target_tokens = done});
    return r->stop || r->t->cancel;
}

static lorac_status judge(struct running *r)
{
    struct lorac_trainer *t = r->t;
    if (t->valid_loss < t->best_loss) {
        t->best_loss = t->valid_loss;
        t->best_iteration = r->iteration;
        t->evaluations_without_best = 0;
        return r->iteration ? checkpoint_best(t, r->err) : LORAC_OK;
    }
    t->evaluations_without_best++;
    if (t->options.early_stop && t->evaluations_without_best >= t->options.early_stop) r->stop = true;
    return LORAC_OK;
}

static lorac_status validate(struct running *r)
{
    struct lorac_trainer *t = r->t;
    lorac_evaluation result;
    if (!t->valid || !t->options.val_batches || t->validated > r->iteration) return LORAC_OK;
    size_t rows = t->valid->starts.count - 1, wanted = rows;
    if (t->options.val_batches < rows) wanted = t->options.val_batches * t->options.batch_size;
    t->pass.exec.stream.cancel = &t->cancel;
    lorac_status status =
        evaluate_rows(&t->pass, t->valid, 0, wanted < rows ? wanted : rows, &t->table, evaluating, r, &result, r->err);
    t->pass.exec.stream.cancel = NULL;
    TRY(status);
    t->valid_loss = result.loss;
    t->validated = r->iteration + 1;
    tell(r, LORAC_EVENT_VALID,
         (lorac_event){.loss = result.loss, .target_tokens = result.tokens, .seconds = result.seconds});
    if (!isfinite(result.loss)) return fail(r->err, LORAC_NOT_FINITE, NULL, "the validation loss is not finite");
    return judge(r);
}

/* ---- one iteration --------------------------------------------------------------------------- */

static bool every(size_t iteration, size_t n)
{
    return n && iteration % n == 0;
}

/* At every n-th iteration, 0 among them, and at the end; n = 0: never. */
static bool due(const struct running *r, size_t n)
{
    return every(r->iteration, n) || (n && r->iteration == r->t->options.iterations);
}

static void report(struct running *r)
{
    if (!r->targets) return;
    r->all_targets += r->targets;
    tell(r, LORAC_EVENT_TRAIN,
         (lorac_event){.loss = r->loss_sum / (double)r->targets,
                       .target_tokens = r->all_targets,
                       .tokens_per_second = (double)r->targets / fmax(r->seconds, 1e-9)});
    r->loss_sum = r->seconds = 0;
    r->targets = 0;
}

static lorac_status update(struct running *r)
{
    struct lorac_trainer *t = r->t;
    if (r->iteration % t->options.accumulation && r->iteration < t->options.iterations) return LORAC_OK;
    r->rate = schedule_rate(&t->options, t->optimizer_step, r->steps);
    TRY(step_update(t, r->window_targets, r->rate, r->err));
    step_zero(t);
    r->window_targets = 0;
    t->iteration = r->iteration;
    return LORAC_OK;
}

static lorac_status iterate(struct running *r)
{
    struct lorac_trainer *t = r->t;
    double start = os_seconds(), loss, flops = t->pass.exec.stream.flops;
    size_t targets;
    TRY(step_gradient(t, r->iteration, &loss, &targets, r->err));
    r->iteration++;
    r->window_targets += targets;
    TRY(update(r));
    double seconds = os_seconds() - start;
    r->loss_sum += loss;
    r->targets += targets;
    r->seconds += seconds;
    tell(r, LORAC_EVENT_STEP,
         (lorac_event){.loss = targets ? loss / (double)targets : 0,
                       .target_tokens = targets,
                       .seconds = seconds,
                       .flops = t->pass.exec.stream.flops - flops});
    return LORAC_OK;
}

static lorac_status after_iteration(struct running *r)
{
    const lorac_trainer_options *o = &r->t->options;
    bool last = r->iteration == o->iterations;
    if (due(r, o->steps_per_report)) report(r);
    if (due(r, o->steps_per_eval)) TRY(validate(r));
    if (every(r->iteration, o->save_every) && !last) TRY(save(r, true));
    return LORAC_OK;
}

/* ---- the run --------------------------------------------------------------------------------- */

static lorac_status run(struct running *r)
{
    struct lorac_trainer *t = r->t;
    size_t k = t->options.accumulation;
    r->steps = (t->options.iterations + k - 1) / k;
    r->iteration = t->iteration;
    step_zero(t);
    if (due(r, r->t->options.steps_per_eval)) TRY(validate(r)); /* the first, or one that a stop cut off */
    while (r->iteration < t->options.iterations && !r->stop && !t->cancel) {
        TRY(iterate(r));
        TRY(after_iteration(r));
    }
    return LORAC_OK;
}

lorac_status lorac_trainer_run(lorac_trainer *t, lorac_event_fn on_event, void *user, lorac_train_result *result,
                               lorac_error *err)
{
    struct running r = {.t = t, .on_event = on_event, .user = user, .err = err};
    lorac_status status = run(&r);
    bool early = r.stop && t->options.early_stop && t->evaluations_without_best >= t->options.early_stop;
    bool cancelled =
        status == LORAC_CANCELLED || t->cancel || (r.stop && !early && r.iteration < t->options.iterations);
    if (cancelled) status = LORAC_OK;
    if (status == LORAC_OK) status = save(&r, false);
    if (result) {
        lorac_train_result full = {sizeof full, t->iteration, t->best_iteration, t->valid_loss};
        size_t size = result->struct_size && result->struct_size < sizeof full ? result->struct_size : sizeof full;
        memcpy(result, &full, size);
    }
    return status == LORAC_OK && cancelled ? fail(err, LORAC_CANCELLED, NULL, "stopped at iteration %zu", t->iteration)
                                           : status;
}

void lorac_trainer_cancel(lorac_trainer *t)
{
    atomic_store(&t->cancel, true);
}
