/* train.c — `lorac train`: options to a trainer, and its run. */
#include "data.h"
#include "plot.h"
#include "report.h"
#include "signals.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

struct train {
    struct common common;
    struct data data;
    struct text_list folder; /* a list, to see a second one */
    const char *modules, *resume_file, *plot, *config;
    double scale, alpha, dropout, rate, decay, clip;
    size_t rank, iterations, batch, accumulation, warmup, seed, steps_per_report, steps_per_eval, save_every,
        early_stop;
    long long layers, val_batches, test_batches;
    int type, optimizer, schedule, format;
    bool rslora, grad_checkpoint, resume, test, train;
};

enum { TYPE_LORA, TYPE_DORA, TYPE_FULL };
enum { OPTIMIZER_ADAMW, OPTIMIZER_ADAM };
#define HUB_DATA_REFUSAL "data comes from a folder (--data), with the keys prompt and completion, messages, or text"

static const struct option option_table[] = {
    SECTION("Data"),
    DATA_OPTIONS(struct train),
    SECTION("Adapter"),
    OPTION(CHOICE, struct train, type, "fine-tune-type", .value = "TYPE", .choices = "lora|dora|full",
           .fallback = "lora", .help = "what to train; dora and full are not available yet"),
    OPTION(COUNT, struct train, rank, "rank", .value = "R", .fallback = "8", .least = 1, .help = "rank of the adapter"),
    OPTION(REAL, struct train, scale, "scale", .value = "S", .fallback = "20", .help = "what B A x is multiplied with"),
    OPTION(REAL, struct train, alpha, "alpha", .value = "A",
           .help = "in place of --scale: scale = A / rank, with --rslora A / sqrt(rank)"),
    OPTION(FLAG, struct train, rslora, "rslora", .help = "rank-stabilised scaling (use_rslora in the config)"),
    OPTION(REAL, struct train, dropout, "dropout", .value = "P", .fallback = "0", .least = 0, .most = 0.999999,
           .help = "probability that an input of the adapter is dropped"),
    OPTION(TEXT, struct train, modules, "target-modules", .value = "LIST", .fallback = "all-linear",
           .help = "modules to adapt: names separated by commas, all-linear, or re:REGEX"),
    OPTION(INTEGER, struct train, layers, "num-layers", .aliases = "lora-layers", .value = "N",
           .help = "adapt the last N layers; -1: all (default: 16, or all if there are fewer)"),
    SECTION("Optimisation"),
    OPTION(COUNT, struct train, iterations, "iters", .value = "N", .fallback = "600", .least = 1,
           .help = "iterations: batches to train on"),
    OPTION(COUNT, struct train, batch, "batch-size", .value = "N", .fallback = "4", .least = 1,
           .help = "examples of a batch"),
    OPTION(COUNT, struct train, accumulation, "grad-accumulation-steps", .value = "N", .fallback = "1", .least = 1,
           .help = "batches of one optimiser step"),
    OPTION(REAL, struct train, rate, "learning-rate", .value = "X", .fallback = "1e-5", .least = 0, .most = 1e6,
           .help = "learning rate"),
    OPTION(CHOICE, struct train, optimizer, "optimizer", .value = "NAME", .choices = "adamw|adam|muon|sgd|adafactor",
           .fallback = "adamw",
           .help = "optimiser; adam is adamw without weight decay, the others are not available yet"),
    OPTION(REAL, struct train, decay, "weight-decay", .value = "X", .fallback = "0", .least = 0, .most = 1e6,
           .help = "weight decay of adamw"),
    OPTION(CHOICE, struct train, schedule, "lr-schedule", .value = "NAME", .choices = "constant|linear|cosine",
           .fallback = "constant", .help = "how the learning rate falls"),
    OPTION(COUNT, struct train, warmup, "warmup", .value = "N", .fallback = "0",
           .help = "optimiser steps in which the learning rate rises from 0"),
    OPTION(REAL, struct train, clip, "clip-norm", .value = "X", .least = 0, .most = 1e30,
           .help = "clip the gradient's norm to this"),
    OPTION(COUNT, struct train, seed, "seed", .value = "N", .fallback = "0", .help = "what random numbers start from"),
    OPTION(FLAG, struct train, grad_checkpoint, "grad-checkpoint",
           .help = "recompute layers in the backward pass: less memory, more time"),
    SECTION("Validation"),
    OPTION(INTEGER, struct train, val_batches, "val-batches", .value = "N", .fallback = "25", .least = -1, .most = 1e15,
           .help = "batches of a validation; -1: all"),
    OPTION(COUNT, struct train, steps_per_report, "steps-per-report", .value = "N", .fallback = "10",
           .help = "iterations between reports; 0: none"),
    OPTION(COUNT, struct train, steps_per_eval, "steps-per-eval", .value = "N", .fallback = "200",
           .help = "iterations between validations; 0: none"),
    OPTION(COUNT, struct train, early_stop, "early-stop", .value = "N",
           .help = "end after N validations without improvement"),
    OPTION(FLAG, struct train, test, "test", .help = "evaluate on test.jsonl at the end"),
    OPTION(INTEGER, struct train, test_batches, "test-batches", .value = "N", .fallback = "-1", .least = -1,
           .most = 1e15, .help = "batches of the test; -1: all"),
    SECTION("Output"),
    OPTION(LIST, struct train, folder, "adapter-path", .aliases = "adapter-file out save-path", .value = "DIR",
           .help = "where the adapter goes (default: adapters)"),
    OPTION(CHOICE, struct train, format, "adapter-format", .value = "FORMAT", .choices = "peft|mlx|both",
           .fallback = "peft", .help = "whose files to write"),
    OPTION(COUNT, struct train, save_every, "save-every", .value = "N", .fallback = "100",
           .help = "iterations between checkpoints; 0: only at the end"),
    OPTION(FLAG, struct train, resume, "resume", .help = "continue the run in --adapter-path exactly"),
    OPTION(TEXT, struct train, resume_file, "resume-adapter-file", .value = "PATH",
           .help = "start from this adapter's weights"),
    OPTION(TEXT, struct train, plot, "plot", .value = "FILE.svg", .help = "draw the losses when the run ends"),
    JSON_OPTION(struct train),
    SECTION("Configuration"),
    OPTION(TEXT, struct train, config, "config", .aliases = "-c", .value = "YAML",
           .help = "read options from a file with mlx-lm's keys; the command line wins"),
    OPTION(FLAG, struct train, train, "train", .help = "does nothing; mlx-lm has it"),
    SECTION("Model"),
    MODEL_OPTIONS(struct train),
    REFUSED("clear-cache-threshold", "SIZE", "0", "lorac has no allocator cache"),
    REFUSED("report-to", "NAME", "none", "lorac reports to train.jsonl and --json only"),
    REFUSED("project-name", "NAME", "none", "lorac reports to train.jsonl and --json only"),
    REFUSED("hf-dataset", "NAME", NULL, HUB_DATA_REFUSAL),
    REFUSED("prompt-feature", "NAME", "prompt", HUB_DATA_REFUSAL),
    REFUSED("completion-feature", "NAME", "completion", HUB_DATA_REFUSAL),
    REFUSED("text-feature", "NAME", "text", HUB_DATA_REFUSAL),
    REFUSED("chat-feature", "NAME", "messages", HUB_DATA_REFUSAL),
    OPTIONS_END,
};

/* ---- what makes sense ---------------------------------------------------------------------- */

static int check_features(const struct train *t, bool json)
{
    static const char *const optimizers[] = {"adamw", "adam", "muon", "sgd", "adafactor"};
    if (t->type == TYPE_DORA)
        return fail_usage(json, "--fine-tune-type dora is not available: lorac does not train DoRA adapters yet");
    if (t->type == TYPE_FULL)
        return fail_usage(json, "--fine-tune-type full is not available: lorac does not train whole weights yet");
    if (t->optimizer > OPTIMIZER_ADAM)
        return fail_usage(json, "--optimizer %s is not available: lorac trains with adamw or adam",
                          optimizers[t->optimizer]);
    if (t->optimizer == OPTIMIZER_ADAM && t->decay != 0)
        return fail_usage(json, "--optimizer adam has no weight decay; use adamw");
    return 0;
}

static int check(const struct arguments *a, const struct train *t)
{
    bool json = t->common.json;
    enum origin scale = option_origin(a, "scale"), alpha = option_origin(a, "alpha");
    int status = check_features(t, json);
    if (!status) status = data_check(a, &t->data, json);
    if (status) return status;
    if (scale && scale == alpha) return fail_usage(json, "give --scale or --alpha, not both");
    if (t->folder.count > 1) return fail_usage(json, "--adapter-path is the output folder here; give it once");
    if (option_origin(a, "num-layers") && (t->layers == 0 || t->layers < -1))
        return fail_usage(json, "--num-layers must be -1 (all) or at least 1, not %lld", t->layers);
    if (option_origin(a, "train") && !t->train)
        return fail_usage(json, "train: false asks for no training; use `lorac eval`");
    if (option_origin(a, "clip-norm") && t->clip == 0) return fail_usage(json, "--clip-norm must be above 0");
    if (t->resume && t->resume_file)
        return fail_usage(json, "--resume continues a run and --resume-adapter-file starts one; give one of them");
    if (t->early_stop && !t->steps_per_eval) return fail_usage(json, "--early-stop needs --steps-per-eval above 0");
    return 0;
}

/* What needs the model: 0 or an exit status. */
static int check_layers(const struct arguments *a, const struct train *t, const lorac_model *model)
{
    lorac_model_info info = {.struct_size = sizeof info};
    lorac_model_get_info(model, &info);
    if (option_origin(a, "num-layers") && t->layers > (long long)info.layers)
        return fail_usage(t->common.json, "--num-layers %lld is more than the model's %zu layers", t->layers,
                          info.layers);
    return 0;
}

/* ---- options to the trainer ---------------------------------------------------------------- */

static const char *output_folder(const struct train *t)
{
    return t->folder.count ? t->folder.items[0] : "adapters";
}

static double scale_of(const struct arguments *a, const struct train *t)
{
    if (option_origin(a, "alpha") <= option_origin(a, "scale")) return t->scale;
    return t->alpha / (t->rslora ? sqrt((double)t->rank) : (double)t->rank);
}

static void trainer_options(const struct arguments *a, const struct train *t, lorac_trainer_options *o)
{
    static const lorac_adapter_format formats[] = {LORAC_FORMAT_PEFT, LORAC_FORMAT_MLX, LORAC_FORMAT_BOTH};
    lorac_trainer_options_init(o);
    o->precision = (lorac_precision)t->common.precision;
    o->rank = t->rank;
    o->scale = scale_of(a, t);
    o->rslora = t->rslora;
    o->dropout = t->dropout;
    o->target_modules = t->modules;
    o->num_layers = option_origin(a, "num-layers") ? (int)t->layers : -2;
    o->iterations = t->iterations;
    o->batch_size = t->batch;
    o->accumulation = t->accumulation;
    o->learning_rate = t->rate;
    o->weight_decay = t->decay;
    o->clip_norm = t->clip;
    o->schedule = (lorac_schedule)t->schedule;
    o->warmup = t->warmup;
    o->seed = t->seed;
    o->val_batches = t->val_batches < 0 ? (size_t)-1 : (size_t)t->val_batches;
    o->steps_per_report = t->steps_per_report;
    o->steps_per_eval = t->steps_per_eval;
    o->save_every = t->save_every;
    o->early_stop = t->early_stop;
    o->memory_limit = t->common.memory_limit;
    o->recompute = t->grad_checkpoint;
    o->adapter_path = output_folder(t);
    o->format = formats[t->format];
    o->resume = t->resume;
    o->initial_adapter = t->resume_file;
}

/* ---- the run ------------------------------------------------------------------------------- */

struct run {
    const struct arguments *arguments;
    const struct train *train;
    struct engine engine;
    lorac_dataset *rows, *valid, *test;
    lorac_trainer *trainer;
    struct report report;
};

static int open_data(struct run *r)
{
    const struct train *t = r->train;
    bool json = t->common.json;
    int status = data_open(&t->data, &r->engine, "train", json, &r->rows);
    if (!status && data_has(&t->data, "valid"))
        status = data_open(&t->data, &r->engine, "valid", json, &r->valid);
    else if (!status)
        fprintf(stderr, "lorac: note: %s has no valid.jsonl; there will be no validation\n", t->data.folder);
    if (status || !t->test) return status;
    if ((status = data_open(&t->data, &r->engine, "test", json, &r->test))) return status;
    lorac_dataset_info info = {.struct_size = sizeof info};
    lorac_dataset_get_info(r->test, &info);
    if (t->test_batches < 0 || (size_t)t->test_batches >= info.rows / t->batch + 1) return 0;
    lorac_dataset_close(r->test);
    r->test = NULL;
    return data_open_first(&t->data, &r->engine, "test", (size_t)t->test_batches * t->batch, json, &r->test);
}

/* On a terminal the share of the machine's peak is shown: that takes the peak. */
static void measure_peak(struct run *r)
{
    lorac_machine machine = {.struct_size = sizeof machine};
    if (!r->report.terminal.live || lorac_machine_measure(r->engine.runtime, &machine, NULL)) return;
    bool bf16 = machine.peak_bf16 > 0 && r->train->common.precision == LORAC_FAST;
    r->report.peak_flops = bf16 ? machine.peak_bf16 : machine.peak_f32;
}

static int evaluate_test(struct run *r)
{
    lorac_adapter *adapter = NULL;
    lorac_adapter_set *set = NULL;
    lorac_evaluation result = {.struct_size = sizeof result};
    lorac_error err;
    double one = 1;
    lorac_status failed = lorac_trainer_adapter(r->trainer, &adapter, &err);
    if (!failed) failed = lorac_adapter_set_create(&adapter, &one, 1, &set, &err);
    if (!failed)
        failed = lorac_evaluate(r->engine.model, set, r->test, (lorac_precision)r->train->common.precision, NULL, NULL,
                                &result, &err);
    if (set) lorac_adapter_set_release(set);
    if (adapter) lorac_adapter_release(adapter);
    if (failed) return fail_error(r->train->common.json, &err);
    report_test(&r->report, &result);
    return 0;
}

static int draw_plot(struct run *r)
{
    char why[1024];
    if (!r->train->plot) return 0;
    if (plot_write(r->train->plot, r->report.events, "Training", why, sizeof why)) return 0;
    return fail_status(r->train->common.json, LORAC_IO, r->train->plot, "%s", why);
}

static int train_and_report(struct run *r)
{
    bool json = r->train->common.json;
    lorac_train_result result = {.struct_size = sizeof result};
    lorac_error err;
    report_plan(&r->report, r->trainer);
    measure_peak(r);
    signals_watch(r->trainer);
    lorac_status failed =
        interrupted() ? LORAC_CANCELLED : lorac_trainer_run(r->trainer, report_event, &r->report, &result, &err);
    signals_watch(NULL);
    terminal_clear(&r->report.terminal);
    int drawn = draw_plot(r), status = 0;
    if (failed == LORAC_CANCELLED && interrupted())
        return fail_interrupted(json, "interrupted; `lorac train … --resume` continues from the saved state");
    if (failed) return fail_error(json, &err);
    if (r->test) status = evaluate_test(r);
    if (!status) report_done(&r->report, &result, output_folder(r->train));
    return status ? status : drawn;
}

static int create_trainer(struct run *r)
{
    lorac_trainer_options trainer;
    lorac_trainer_info info = {.struct_size = sizeof info};
    lorac_error err;
    trainer_options(r->arguments, r->train, &trainer);
    lorac_status failed = lorac_trainer_create(r->engine.model, r->rows, r->valid, &trainer, &r->trainer, &err);
    if (failed == LORAC_INVALID_ARGUMENT) return fail_usage(r->train->common.json, "%s", err.message);
    if (failed) return fail_error(r->train->common.json, &err);
    lorac_trainer_get_info(r->trainer, &info);
    return report_open(&r->report, output_folder(r->train), r->train->common.json, r->train->resume,
                       info.start_iteration);
}

static void run_close(struct run *r)
{
    report_close(&r->report);
    if (r->trainer) lorac_trainer_free(r->trainer);
    if (r->rows) lorac_dataset_close(r->rows);
    if (r->valid) lorac_dataset_close(r->valid);
    if (r->test) lorac_dataset_close(r->test);
    engine_close(&r->engine);
}

static int run(struct arguments *a)
{
    struct train *t = a->values;
    struct run r = {.arguments = a, .train = t};
    struct complaint why;
    int status;
    if (t->config && !path_exists(t->config))
        return fail_status(t->common.json, LORAC_NOT_FOUND, t->config, "%s: no such config", t->config);
    if (t->config && !config_read(a, t->config, &why)) return fail_usage(t->common.json, "%s", why.text);
    if ((status = check(a, t))) return status;
    signals_install();
    status = engine_open(&r.engine, &t->common, OPEN_MODEL | OPEN_TOKENIZER);
    if (!status) status = check_layers(a, t, r.engine.model);
    if (!status) status = open_data(&r);
    if (!status) status = create_trainer(&r);
    if (!status) status = train_and_report(&r);
    run_close(&r);
    return status;
}

const struct command command_train = {
    .name = "train",
    .summary = "train a LoRA adapter",
    .details = "The output folder holds the adapter's last state, the best one (best/), checkpoints/, what --resume\n"
               "needs (state/), and every report (train.jsonl). Ctrl-C saves; a second one leaves at once.",
    .examples = "  lorac train --data data --iters 200 --learning-rate 1e-4\n"
                "  lorac train --data data --rank 16 --alpha 32 --num-layers -1 --mask-prompt --plot loss.svg\n"
                "  lorac train -c lora_config.yaml --adapter-path adapters --resume\n",
    .options = option_table,
    .values_size = sizeof(struct train),
    .run = run,
};
