/* train.c — trains an adapter on a JSONL file and measures the loss of held-out rows before and after.
 *
 *   cc -std=c11 examples/train.c $(pkg-config --cflags --libs lorac) -o learn
 *   ./learn model.gguf train.jsonl valid.jsonl adapters [iterations]
 *
 * A line of the data is {"prompt": ..., "completion": ...}, {"messages": [...]} or {"text": ...}.
 */
#include <lorac/trainer.h>
#include <stdio.h>
#include <stdlib.h>

struct open {
    lorac_runtime *runtime;
    lorac_model *model;
    lorac_tokenizer *tokenizer;
    lorac_dataset *train, *valid; /* texts as tokens, with a mark on those that count */
    lorac_trainer *trainer;
    lorac_adapter *adapter;
    lorac_adapter_set *set;
};

/* Called after every iteration, report and validation. Anything but 0: save and stop. */
static int show(void *user, const lorac_event *event)
{
    (void)user;
    if (event->kind == LORAC_EVENT_TRAIN)
        printf("iteration %zu of %zu: loss %.4f, %.0f tokens/s\n", event->iteration, event->iterations, event->loss,
               event->tokens_per_second);
    return 0;
}

static lorac_status open_data(struct open *o, char **argv, lorac_error *err)
{
    lorac_dataset_options options;
    lorac_dataset_options_init(&options);
    options.train_on = LORAC_TRAIN_ON_LAST; /* learn the answers, not the questions */
    lorac_status status = lorac_runtime_create(NULL, &o->runtime, err);
    if (status == LORAC_OK) status = lorac_model_open(o->runtime, argv[1], &o->model, err);
    if (status == LORAC_OK) status = lorac_tokenizer_open(o->runtime, argv[1], &o->tokenizer, err);
    if (status == LORAC_OK) status = lorac_dataset_open(o->runtime, o->tokenizer, argv[2], &options, &o->train, err);
    if (status == LORAC_OK) status = lorac_dataset_open(o->runtime, o->tokenizer, argv[3], &options, &o->valid, err);
    return status;
}

/* The loss of the held-out rows: mean −log p over the tokens that count. */
static lorac_status measure(struct open *o, const char *when, lorac_error *err)
{
    lorac_evaluation e = {.struct_size = sizeof e};
    lorac_status status = lorac_evaluate(o->model, o->set, o->valid, LORAC_FAST, NULL, NULL, &e, err);
    if (status == LORAC_OK) printf("%s: held-out loss %.4f over %zu tokens\n", when, e.loss, e.tokens);
    return status;
}

static lorac_status train(struct open *o, const char *folder, size_t iterations, lorac_error *err)
{
    lorac_trainer_options options;
    lorac_train_result result = {.struct_size = sizeof result};
    const double full = 1;
    lorac_trainer_options_init(&options); /* rank 8 in all linears of the last 16 layers */
    options.iterations = iterations;
    options.learning_rate = 5e-4;
    options.adapter_path = folder; /* PEFT loads this folder unchanged */
    lorac_status status = lorac_trainer_create(o->model, o->train, NULL, &options, &o->trainer, err);
    if (status == LORAC_OK) status = lorac_trainer_run(o->trainer, show, NULL, &result, err);
    /* The trained weights can be used at once, without the folder. */
    if (status == LORAC_OK) status = lorac_trainer_adapter(o->trainer, &o->adapter, err);
    if (status == LORAC_OK) status = lorac_adapter_set_create(&o->adapter, &full, 1, &o->set, err);
    return status;
}

int main(int argc, char **argv)
{
    struct open o = {0};
    lorac_error err = {0};
    if (argc < 5 || argc > 6)
        return fprintf(stderr, "usage: %s MODEL TRAIN.jsonl VALID.jsonl FOLDER [ITERATIONS]\n", argv[0]), 2;
    lorac_status status = open_data(&o, argv, &err);
    if (status == LORAC_OK) status = measure(&o, "before", &err);
    if (status == LORAC_OK) status = train(&o, argv[4], argc > 5 ? strtoul(argv[5], NULL, 10) : 60, &err);
    if (status == LORAC_OK) status = measure(&o, "after", &err);
    if (status != LORAC_OK) fprintf(stderr, "%s: %s\n", lorac_status_name(status), err.message);
    lorac_adapter_set_release(o.set);
    lorac_adapter_release(o.adapter);
    lorac_trainer_free(o.trainer);
    lorac_dataset_close(o.valid);
    lorac_dataset_close(o.train);
    lorac_tokenizer_close(o.tokenizer);
    lorac_model_release(o.model);
    lorac_runtime_free(o.runtime);
    return status == LORAC_OK ? 0 : 1;
}
