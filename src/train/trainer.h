/* trainer.h — the inside of a trainer. Files: targets (which matrices), schedule, plan (memory), step (gradient and
 * update), order (which rows), evaluate, checkpoint, run (the loop), trainer (life). */
#ifndef TRAIN_TRAINER_H
#define TRAIN_TRAINER_H

#include "adapter/adapter.h"
#include "model/model.h"
#include "text/dataset.h"
#include <lorac/trainer.h>

/* A forward with losses over rows of a data set: what training and evaluation share. */
struct pass {
    struct lorac_model *model;
    struct exec exec;
    struct batch batch;
    struct head_loss loss;
    struct buffer *buffer; /* index, targets, weights, losses: (max_targets) each */
    int32_t *index, *targets;
    float *weights, *losses;
    size_t max_targets, count; /* count: targets of the batch */
    float dropout;             /* while training */
};
/* Shapes and memory of a pass: rows and sequences at most, targets at most. */
struct pass_shape {
    size_t rows, sequences, targets;
    size_t stack, gradients; /* bytes; from pass_plan */
};
lorac_status pass_create(struct lorac_model *model, struct backend *backend, const struct pass_shape *shape,
                         enum precision precision, struct pass *p, lorac_error *err);
void pass_free(struct pass *p);
void pass_clear(struct pass *p);
/* Adds a row: its ids but the last are computed. false: full. */
bool pass_add(struct pass *p, const int32_t *ids, const uint8_t *mask, size_t count, const struct term_table *terms);
/* Forward, and with `train` backward into the terms' gradients (of the sum of the losses). *sum: Σ losses. */
lorac_status pass_run(struct pass *p, bool train, double *sum, lorac_error *err);
/* The stack and gradient bytes of the largest batch, on the null backend. */
lorac_status pass_plan(struct lorac_model *model, struct pass_shape *shape, bool train, enum precision precision,
                       float dropout, const struct term_table *terms, size_t first_trained, struct recompute recompute,
                       lorac_error *err);

struct lorac_trainer {
    struct lorac_model *model;
    struct lorac_runtime *runtime;
    const struct lorac_dataset *train, *valid;
    lorac_trainer_options options;
    char *targets, *folder, *base, *initial; /* copies of the options' texts */
    enum precision precision;

    struct adapter_layout layout;
    size_t first_layer;
    struct buffer *weights, *gradients, *m, *v, *sums; /* (layout.floats) each; sums: f64 */
    uint32_t *term_begin;
    struct lora_term *terms;
    struct term_table table;
    float *staged; /* (3 · layout.floats): weights, m, v for checkpoints; NULL where the host sees the buffers */
    double *host_sums;
    size_t sum_count;

    struct pass pass;
    lorac_memory_plan plan;
    atomic_bool cancel;

    size_t *order; /* the epoch's permutation */
    size_t order_epoch;

    /* the state: what a checkpoint holds, as of the last optimiser step */
    size_t iteration; /* micro-batches done */
    size_t optimizer_step;
    size_t best_iteration, evaluations_without_best;
    size_t validated; /* 1 + the iteration of the last finished validation; 0: none yet */
    double best_loss, valid_loss;
};

/* targets.c */
lorac_status targets_choose(struct lorac_trainer *t, lorac_error *err);
/* schedule.c: the learning rate of optimiser step s (from 0) of `steps`. */
double schedule_rate(const lorac_trainer_options *o, size_t s, size_t steps);
/* order.c */
size_t order_batches(const struct lorac_trainer *t);                         /* of an epoch */
size_t order_batch(struct lorac_trainer *t, size_t iteration, size_t *rows); /* fills row numbers, returns how many */
/* plan.c */
lorac_status plan_memory(struct lorac_trainer *t, struct pass_shape *shape, lorac_error *err);
/* step.c */
lorac_status step_gradient(struct lorac_trainer *t, size_t iteration, double *loss_sum, size_t *targets,
                           lorac_error *err);
lorac_status step_update(struct lorac_trainer *t, size_t targets, double rate, lorac_error *err);
void step_zero(struct lorac_trainer *t);
/* evaluate.c: every id of the data must be one of the model's. */
lorac_status check_ids(const struct lorac_model *model, const struct lorac_dataset *d, lorac_error *err);
/* Rows first .. first + rows of a data set in the trainer's own memory. */
lorac_status evaluate_rows(struct pass *p, const struct lorac_dataset *d, size_t first, size_t rows,
                           const struct term_table *terms, lorac_progress_fn progress, void *user,
                           lorac_evaluation *result, lorac_error *err);
/* checkpoint.c */
enum trainer_state { STATE_WEIGHTS, STATE_M, STATE_V, STATES };
const float *trainer_floats(struct lorac_trainer *t, enum trainer_state state); /* on the host, until the next step */
lorac_status checkpoint_prepare(struct lorac_trainer *t, lorac_error *err); /* the folder is there and can be written */
lorac_status checkpoint_save(struct lorac_trainer *t, lorac_error *err);    /* adapter, state/ */
lorac_status checkpoint_keep(struct lorac_trainer *t, lorac_error *err);    /* checkpoints/NNNNNNN/ */
lorac_status checkpoint_best(struct lorac_trainer *t, lorac_error *err);    /* best/ */
lorac_status checkpoint_resume(struct lorac_trainer *t, lorac_error *err);
lorac_status checkpoint_initial(struct lorac_trainer *t,
                                lorac_error *err); /* A drawn, B zero; or the given adapter's weights */

#endif
