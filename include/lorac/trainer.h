/* trainer.h — LoRA and QLoRA training, and evaluation.
 *
 * The loss of a step is the mean of −log p over all its target tokens. Frozen weights stay in their file's layout.
 * Random numbers are keyed by seed and place: results depend neither on threads nor on interruptions.
 * Thread rule: a trainer belongs to one thread; models and data sets may be shared. */
#ifndef LORAC_TRAINER_H
#define LORAC_TRAINER_H

#include <lorac/adapter.h>
#include <lorac/dataset.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct lorac_trainer lorac_trainer;
typedef enum lorac_schedule { LORAC_CONSTANT = 0, LORAC_LINEAR, LORAC_COSINE } lorac_schedule;
typedef enum lorac_adapter_format {
    LORAC_FORMAT_PEFT = 1,
    LORAC_FORMAT_MLX = 2,
    LORAC_FORMAT_BOTH = 3
} lorac_adapter_format;

typedef struct lorac_trainer_options {
    size_t struct_size;
    lorac_precision precision;
    size_t rank;                /* 8 */
    double scale;               /* 20; multiplies B A x */
    int rslora;                 /* only written into the config: scale is what counts */
    double dropout;             /* 0 */
    const char *target_modules; /* "all-linear" (default), a comma-separated list of module names, or re:REGEX over full
                                   names */
    int num_layers; /* the last N layers; −1 all; −2 (default): 16, or all if there are fewer; 0 or too many: an error
                     */
    size_t iterations;    /* 600 */
    size_t batch_size;    /* 4 examples, ragged */
    size_t accumulation;  /* 1: the optimiser steps every k-th iteration and after the last */
    double learning_rate; /* 1e-5 */
    double weight_decay;  /* 0 */
    double clip_norm;     /* 0: none; else the global gradient norm is clipped to it */
    lorac_schedule schedule;
    size_t warmup; /* optimiser steps of linear warm-up from 0 */
    uint64_t seed;
    size_t val_batches; /* 25 batches of the validation data; (size_t)-1: all; 0: no validation */
    size_t steps_per_report, steps_per_eval,
        save_every;           /* 10, 200, 100 iterations, and at the end; 0: never, saving still at the end */
    size_t early_stop;        /* end after this many validations without improvement; 0: never */
    size_t memory_limit;      /* bytes for the whole process; 0: none. Recomputation is chosen to fit it */
    int recompute;            /* 1: recompute whole layers whatever the limit (--grad-checkpoint) */
    const char *adapter_path; /* output folder; NULL: nothing is written */
    lorac_adapter_format format;
    int resume;                  /* continue exactly from adapter_path/state */
    const char *initial_adapter; /* weights only, from this adapter (--resume-adapter-file); NULL: A uniform in ±1/√in,
                                    B zero */
    const char *base_name;       /* base_model_name_or_path for the config; NULL: the model's path */
} lorac_trainer_options;
LORAC_API void lorac_trainer_options_init(lorac_trainer_options *options);

/* valid may be NULL. The trainer keeps the model alive; the data sets must outlive it. */
LORAC_API lorac_status lorac_trainer_create(lorac_model *model, const lorac_dataset *train, const lorac_dataset *valid,
                                            const lorac_trainer_options *options, lorac_trainer **trainer,
                                            lorac_error *err);
LORAC_API void lorac_trainer_free(lorac_trainer *trainer);

/* What the run will need at most, in bytes, found by running the step on the null backend. */
typedef struct lorac_memory_plan {
    size_t struct_size;
    size_t weights;     /* mapped file pages that the run touches */
    size_t adapter;     /* A, B, their gradients and moments */
    size_t activations; /* saved, scratch and gradient regions for the largest batch */
    size_t process;     /* what the process holds already, data and tokenizer included */
    size_t total;
    const char *recompute;    /* "none", "gate-up", "layers" */
    size_t recomputed_layers; /* how many of the adapted ones */
} lorac_memory_plan;
LORAC_API void lorac_trainer_get_plan(const lorac_trainer *trainer, lorac_memory_plan *plan);

typedef struct lorac_trainer_info {
    size_t struct_size;
    size_t trainable_parameters;
    size_t first_layer, layers; /* adapted: first_layer .. layers-1 */
    size_t start_iteration;     /* 0, or where a resumed run goes on */
    double scale;
} lorac_trainer_info;
LORAC_API void lorac_trainer_get_info(const lorac_trainer *trainer, lorac_trainer_info *info);

typedef enum lorac_event_kind {
    LORAC_EVENT_STEP,           /* after every iteration */
    LORAC_EVENT_TRAIN,          /* every steps_per_report iterations and at the end: values since the last report */
    LORAC_EVENT_VALID,          /* a validation ended */
    LORAC_EVENT_VALID_PROGRESS, /* during a validation: tokens so far */
    LORAC_EVENT_SAVE            /* a checkpoint was written */
} lorac_event_kind;

typedef struct lorac_event {
    size_t struct_size;
    lorac_event_kind kind;
    size_t iteration, iterations;
    double loss;
    double learning_rate;
    size_t target_tokens;     /* TRAIN: of the whole run so far; STEP, VALID: of this one */
    double seconds;           /* STEP: of this iteration */
    double tokens_per_second; /* TRAIN: target tokens of the window by its training time */
    double flops;             /* STEP: that the work needed */
    size_t peak_rss_bytes;
} lorac_event;
/* Not 0: save the state, then return LORAC_CANCELLED. */
typedef int (*lorac_event_fn)(void *user, const lorac_event *event);

typedef struct lorac_train_result {
    size_t struct_size;
    size_t iteration, best_iteration;
    double valid_loss; /* of the last validation; NaN without one */
} lorac_train_result;
LORAC_API lorac_status lorac_trainer_run(lorac_trainer *trainer, lorac_event_fn on_event, void *user,
                                         lorac_train_result *result, lorac_error *err);
/* From any thread or a signal handler: stop within a few ms in the middle of a step; the state before it is kept and
 * saved. */
LORAC_API void lorac_trainer_cancel(lorac_trainer *trainer);

/* The adapter as it is now, as an immutable copy. */
LORAC_API lorac_status lorac_trainer_adapter(lorac_trainer *trainer, lorac_adapter **adapter, lorac_error *err);

typedef struct lorac_evaluation {
    size_t struct_size;
    double loss;   /* mean −log p over the targets */
    size_t tokens; /* targets */
    double seconds;
} lorac_evaluation;
typedef int (*lorac_progress_fn)(void *user, size_t done, size_t total); /* in tokens; not 0: cancel */
/* Every row of the data set under `set` (NULL: the base). */
LORAC_API lorac_status lorac_evaluate(lorac_model *model, lorac_adapter_set *set, const lorac_dataset *data,
                                      lorac_precision precision, lorac_progress_fn progress, void *user,
                                      lorac_evaluation *result, lorac_error *err);

#ifdef __cplusplus
}
#endif
#endif
